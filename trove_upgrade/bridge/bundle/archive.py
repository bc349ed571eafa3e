# SPDX-License-Identifier: Apache-2.0
"""Archive of a bundle as the bridge finds it: whole, signed where a key is given, and readable.

Beside the archive `NAME` stand `NAME.sha256`, in the form of sha256sum, and `NAME.sig`, the Ed25519
signature of that file.  OpenSSL can check both: doc/source/admin/bridge-bundle.rst.
"""

import dataclasses
import gzip
import hashlib
import lzma
import pathlib
import re
import shutil
import tarfile
from typing import BinaryIO

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from trove_upgrade.bridge.bundle import manifest
from trove_upgrade.domain import exceptions

_LINE = re.compile(r'([0-9a-f]{64}) [ *](\S+)\n?')
#: More than a digest's line, a signature or a public key has.
_SMALL_BYTES = 4096
#: More than a manifest of some thousand files has.
_MANIFEST_BYTES = 4 << 20
_BLOCK = 1 << 20


class BundleInvalid(exceptions.TroveUpgradeError):
    """A bundle cannot be used: it is not whole, not signed by the key, or of another form."""

    code = 'BRIDGE_BUNDLE_INVALID'
    template = (
        'The bundle {path} cannot be used: {found}. Fetch it again with the files .sha256 and .sig '
        'beside it, or make it with "make bundle" of the release that this bridge is.'
    )


class BundleChanged(exceptions.TroveUpgradeError):
    """A bundle has changed on this host since it was checked."""

    code = 'BRIDGE_BUNDLE_CHANGED'
    template = (
        'The bundle {path} is not what it was when this run began: {found}. Nothing of it was '
        'unpacked. Put the file back, compare it with its .sha256, and run the bridge again.'
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bundle:
    """Archive that was checked."""

    path: pathlib.Path
    sha256: str
    manifest: manifest.Manifest
    is_signed: bool  #: by the key that was given

    def for_guest(self, directory: pathlib.Path, *, has_xz: bool) -> 'Sent':
        """Return the archive that a guest can unpack: itself, or, for a guest without xz, one for
        gzip, written into `directory`.

        :raises OSError: there is no place for it.
        :raises BundleChanged: it is another one since it was checked.
        """
        if has_xz:
            return Sent(path=self.path, sha256=self.sha256)
        target = directory / f'{self.sha256[:16]}.tar.gz'
        with self.path.open('rb') as packed:
            self._repack(packed, target)
            packed.seek(0)  # afterwards, so that a change meanwhile is seen
            self.require_same(hashlib.file_digest(packed, 'sha256').hexdigest())
        return Sent(path=target, sha256=sha256_of(target))

    def _repack(self, packed: BinaryIO, target: pathlib.Path) -> None:
        try:
            with (
                lzma.open(packed) as source,
                target.open('wb') as plain,
                gzip.GzipFile(
                    filename='', fileobj=plain, mode='wb', compresslevel=6, mtime=0
                ) as sink,
            ):
                shutil.copyfileobj(source, sink, _BLOCK)
        except (lzma.LZMAError, EOFError) as error:
            raise BundleChanged(path=self.path, found=error) from None

    def require_same(self, sha256: str) -> None:
        """Refuse an archive that has another digest than when it was checked.

        :raises BundleChanged: it has.
        """
        if sha256 != self.sha256:
            raise BundleChanged(path=self.path, found=f'its SHA-256 is {sha256}')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sent:
    """File to upload, and what the guest must find it to be."""

    path: pathlib.Path
    sha256: str


def sha256_of(path: pathlib.Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open('rb') as stream:
        return hashlib.file_digest(stream, 'sha256').hexdigest()


def check(path: pathlib.Path, public_key: pathlib.Path | None) -> Bundle:
    """Return the bundle at `path`.  `public_key` is a PEM file of the operator's; None: the digest
    alone is compared, which finds damage and no forgery.

    :raises BundleInvalid: it cannot be used.
    """
    try:
        return _checked(path, public_key)
    except FileNotFoundError as error:
        raise BundleInvalid(path=path, found=f'{error.filename} is not there') from None
    except OSError as error:
        raise BundleInvalid(
            path=path, found=f'{error.filename or path} cannot be read ({error.strerror})'
        ) from None


def _checked(path: pathlib.Path, public_key: pathlib.Path | None) -> Bundle:
    line = _small(_beside(path, '.sha256'))
    if public_key is not None:
        _verify(path, line, public_key)
    match = _LINE.fullmatch(line.decode('ascii', 'replace'))
    if match is None or match[2] != path.name:
        raise BundleInvalid(path=path, found=f'{path.name}.sha256 is no line of sha256sum for it')
    found = sha256_of(path)
    if found != match[1]:
        raise BundleInvalid(
            path=path, found=f'its SHA-256 is {found}, and {path.name}.sha256 names {match[1]}'
        )
    return Bundle(
        path=path, sha256=found, manifest=_manifest(path), is_signed=public_key is not None
    )


def _beside(path: pathlib.Path, suffix: str) -> pathlib.Path:
    return path.with_name(path.name + suffix)


def _small(path: pathlib.Path) -> bytes:
    with path.open('rb') as stream:
        return stream.read(_SMALL_BYTES)


def _verify(path: pathlib.Path, line: bytes, public_key: pathlib.Path) -> None:
    try:
        key = serialization.load_pem_public_key(_small(public_key))
    except (ValueError, UnsupportedAlgorithm):
        raise BundleInvalid(path=path, found=f'{public_key} is no public key in PEM') from None
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise BundleInvalid(path=path, found=f'{public_key} is no key of Ed25519')
    try:
        key.verify(_small(_beside(path, '.sig')), line)
    except InvalidSignature:
        raise BundleInvalid(
            path=path, found=f'{path.name}.sig is no signature of {path.name}.sha256 by that key'
        ) from None


def _manifest(path: pathlib.Path) -> manifest.Manifest:
    """Return the manifest, the first member of the archive: the rest is not unpacked for it."""
    try:
        with tarfile.open(path, 'r:xz') as archive:
            member = archive.next()
            stream = archive.extractfile(member) if member is not None else None
            if member is None or stream is None or member.name != manifest.NAME:
                raise BundleInvalid(path=path, found=f'it does not begin with {manifest.NAME}')
            content = stream.read(_MANIFEST_BYTES)
        return manifest.Manifest.from_bytes(content)
    except (tarfile.TarError, lzma.LZMAError, EOFError):
        raise BundleInvalid(path=path, found='it is no tar archive of xz') from None
    except manifest.ManifestMalformed as error:
        raise BundleInvalid(path=path, found=f'of its {manifest.NAME}, {error}') from None
