# SPDX-License-Identifier: Apache-2.0
"""Writing a stash: beside its name first, synced, then published by one rename."""
import base64
import dataclasses
import errno
import hashlib
import os
import pathlib
import shutil
import stat
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO

from trove_upgrade.domain import logs
from trove_upgrade.guestagent import durable, foreign, listing
from trove_upgrade.guestagent.stash import accounts as accounts_module
from trove_upgrade.guestagent.stash.manifest import CONTENT, MANIFEST, Entry, Manifest, Piece

LOG = logs.get_logger(__name__)

_CHUNK_BYTES = 1 << 20
_NAMED_CHARACTERS = 200
#: How often a name is looked at that stands for another thing each time; and how that shows, by a link, a pipe or a socket among others.
_LOOKS = 20
_REPLACED = listing.GONE | {errno.ENXIO, errno.EINVAL}
#: More than checks allow, as a driver's list of names repeats them below a directory of its own.
_LEVELS = 2 * foreign.LEVELS
_PATH_BYTES = foreign.PATH_BYTES + 1024
#: They say how the running system labels files, and the new one labels by itself.
_XATTRS_OF_THE_SYSTEM = frozenset({'security.selinux', 'security.ima', 'security.evm'})


@dataclasses.dataclass(frozen=True)
class Published:
    """A stash that is on the volume for good."""

    name: str
    digest: str                        #: sha256 of the manifest
    documents: Mapping[str, str]       #: name -> sha256
    files: int
    size_bytes: int


def walk(roots: Iterable[pathlib.Path]) -> Iterator[tuple[str, os.stat_result]]:
    """Everything at and below `roots`, each path once, links not followed, a directory before what is in it.

    What vanishes meanwhile was not there.  What is deeper than checks allow is left out: it could be neither kept nor restored.
    """
    seen: set[str] = set()
    waiting = [(str(root), 0) for root in sorted(roots, reverse=True)]
    while waiting:
        path, level = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if level > _LEVELS or len(os.fsencode(path)) > _PATH_BYTES:
            LOG.warning('%s is not kept: it is nested too deep', path[:_NAMED_CHARACTERS])
            continue
        found = None
        with listing.vanishing():
            status = os.lstat(path)
            found = status, sorted(os.listdir(path), reverse=True) if stat.S_ISDIR(status.st_mode) else []  # noqa: PTH208 - odd bytes
        if found is not None:
            yield path, found[0]
            waiting.extend((os.path.join(path, name), level + 1) for name in found[1])  # noqa: PTH118 - odd bytes stay as they are


def measure(roots: Iterable[pathlib.Path]) -> int:
    """Bytes that a stash of `roots` needs, with room for its manifest."""
    return sum(1024 + (status.st_size if stat.S_ISREG(status.st_mode) else 0) for _, status in walk(roots))


class _Writer:
    """Appends to `content` and remembers where."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.offset = 0

    def add(self, chunks: Iterable[bytes]) -> Piece:
        digest, start = hashlib.sha256(), self.offset
        for chunk in chunks:
            digest.update(chunk)
            self._stream.write(chunk)
            self.offset += len(chunk)
        return Piece(start, self.offset - start, digest.hexdigest())


def publish(roots: Sequence[pathlib.Path], directory: pathlib.Path, upgrade_id: str, attempt: int,
            documents: Mapping[str, bytes], accounts: accounts_module.Accounts) -> Published:
    """Keep `roots` and `documents` in `directory`, which is on the volume.

    An earlier stash of the same attempt is replaced; those of other upgrades go, published or not: they hold secrets.

    :raises OSError: nothing of this stash is published.
    """
    name = f'stash-{upgrade_id}-{attempt}'
    durable.make_directory(directory, 0o700)
    for old in listing.matching(directory):
        if old.name.startswith(('stash-', '.stash-')) and not (old.name.startswith(f'stash-{upgrade_id}-') and old.name != name):
            remove(directory, old.name)
    beside = directory / f'.{name}'
    beside.mkdir(mode=0o700)
    try:
        manifest, raw, size = _write(beside, roots, upgrade_id, attempt, documents, accounts_module.Remembered(accounts))
        beside.rename(directory / name)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    durable.sync_directory(directory)
    digests = {document: piece.sha256 for document, piece in manifest.documents.items()}
    return Published(name, hashlib.sha256(raw).hexdigest(), digests, len(manifest.entries), size)


def remove(directory: pathlib.Path, name: str) -> None:
    """Remove a stash.  Safe to repeat."""
    shutil.rmtree(directory / name, onerror=_go_on_if_gone)
    durable.sync_directories([directory])


def _go_on_if_gone(_function: object, _path: object, raised: tuple[type[BaseException], BaseException, types.TracebackType]) -> None:
    """The stash keeper's thread and a job can remove the same one."""
    if not isinstance(raised[1], FileNotFoundError):
        raise raised[1]


def _write(beside: pathlib.Path, roots: Sequence[pathlib.Path], upgrade_id: str, attempt: int,
           documents: Mapping[str, bytes], accounts: accounts_module.Accounts) -> tuple[Manifest, bytes, int]:
    entries: list[Entry] = []
    skipped: list[str] = []
    links: dict[tuple[int, int], tuple[int, Piece]] = {}
    with (beside / CONTENT).open('xb') as stream:
        os.fchmod(stream.fileno(), 0o600)
        writer = _Writer(stream)
        for path, status in walk(roots):
            with listing.vanishing():
                entry = _entry_now(path, status, writer, links, accounts)
                if entry is None:
                    skipped.append(path)
                else:
                    entries.append(entry)
        kept = {document: writer.add([content]) for document, content in documents.items()}
        stream.flush()
        os.fsync(stream.fileno())
    manifest = Manifest(upgrade_id, attempt, tuple(entries), kept, tuple(skipped))
    raw = manifest.to_bytes()
    durable.write(beside / MANIFEST, raw, 0o600)
    return manifest, raw, writer.offset


def _entry_now(path: str, status: os.stat_result, writer: _Writer, links: dict[tuple[int, int], tuple[int, Piece]],
               accounts: accounts_module.Accounts) -> Entry | None:
    """`_entry`, looked at again where the name stands for another thing since: editors and package managers replace files by a rename.

    :raises OSError: one of `listing.GONE`: it is not there any more; EBUSY: it never is the same; others.
    """
    for _ in range(_LOOKS):
        try:
            return _entry(path, status, writer, links, accounts)
        except OSError as error:
            if error.errno not in _REPLACED:
                raise
        status = os.lstat(path)
    raise OSError(errno.EBUSY, 'it is another thing at each look', path)


def _entry(path: str, status: os.stat_result, writer: _Writer, links: dict[tuple[int, int], tuple[int, Piece]],
           accounts: accounts_module.Accounts) -> Entry | None:
    """None for what cannot be kept: sockets, pipes, devices."""
    plain = Entry(path, 'directory', stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, accounts.user_name(status.st_uid),
                  accounts.group_name(status.st_gid), status.st_mtime_ns)
    if stat.S_ISLNK(status.st_mode):
        return dataclasses.replace(plain, kind='symlink', target=os.readlink(path))  # noqa: PTH115 - odd bytes stay as they are
    if stat.S_ISDIR(status.st_mode):
        return dataclasses.replace(plain, xattrs=_xattrs(path))
    if not stat.S_ISREG(status.st_mode):
        return None
    inode = (status.st_dev, status.st_ino)
    if inode not in links:
        links[inode] = len(links), writer.add(_chunks(path))
    link, piece = links[inode]
    return dataclasses.replace(plain, kind='file', link=link, piece=piece, xattrs=_xattrs(path))


def _chunks(path: str) -> Iterator[bytes]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.ESTALE, 'it is no plain file any more', path)
        while chunk := os.read(descriptor, _CHUNK_BYTES):
            yield chunk
    finally:
        os.close(descriptor)


def _xattrs(path: str) -> dict[str, str]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise
    return {name: base64.b64encode(os.getxattr(path, name, follow_symlinks=False)).decode('ascii')
            for name in names if name not in _XATTRS_OF_THE_SYSTEM}
