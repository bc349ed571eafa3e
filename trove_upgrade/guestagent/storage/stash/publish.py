# SPDX-License-Identifier: Apache-2.0
"""Writing a stash: beside its name first, synced, then published by one rename."""

import base64
import dataclasses
import errno
import functools
import hashlib
import os
import pathlib
import shutil
import stat
import types
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO

from trove_upgrade.guestagent.machine import durable, listing
from trove_upgrade.guestagent.storage.stash import accounts as accounts_module
from trove_upgrade.guestagent.storage.stash import tree
from trove_upgrade.guestagent.storage.stash.manifest import (
    CONTENT,
    MANIFEST,
    Entry,
    EntryKind,
    Manifest,
    Piece,
)

_CHUNK_BYTES = 1 << 20
#: How often a name is looked at that stands for another thing each time; and how that shows, by a
#: link, a pipe or a socket among others.
_LOOKS = 20
_REPLACED = listing.GONE | {errno.ENXIO, errno.EINVAL}
#: They say how the running system labels files, and the new one labels by itself.
_XATTRS_OF_THE_SYSTEM = frozenset({'security.selinux', 'security.ima', 'security.evm'})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """A stash that is on the volume for good."""

    name: str
    digest: str  #: sha256 of the manifest
    documents: Mapping[str, str]  #: name -> sha256
    files: int
    size_bytes: int


def measure(roots: Iterable[pathlib.Path]) -> int:
    """Bytes that a stash of `roots` needs, with room for its manifest.

    :raises StepFailed: STASH_TOO_LARGE.
    """
    return sum(
        1024 + (seen.status.st_size if stat.S_ISREG(seen.status.st_mode) else 0)
        for seen in tree.walk(roots)
    )


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


def _remove_others(directory: pathlib.Path, upgrade_id: str, name: str) -> None:
    """Remove the stashes of other upgrades; those of other attempts of this one stay."""
    for old in listing.matching(directory):
        if old.name.startswith(('stash-', '.stash-')) and not (
            old.name.startswith(f'stash-{upgrade_id}-') and old.name != name
        ):
            remove(directory, old.name)


def publish(
    roots: Sequence[pathlib.Path],
    directory: pathlib.Path,
    upgrade_id: str,
    attempt: int,
    documents: Mapping[str, bytes],
    accounts: accounts_module.Accounts,
) -> Published:
    """Keep `roots` and `documents` in `directory`, which is on the volume.

    An earlier stash of the same attempt is replaced; those of other upgrades go, published or not:
    they hold secrets.

    :raises OSError: nothing of this stash is published.
    """
    name = f'stash-{upgrade_id}-{attempt}'
    durable.make_directory(directory, 0o700)
    _remove_others(directory, upgrade_id, name)
    beside = directory / f'.{name}'
    beside.mkdir(mode=0o700)
    try:
        manifest, raw, size = _write(
            beside, roots, upgrade_id, attempt, documents, accounts_module.Remembered(accounts)
        )
        beside.rename(directory / name)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    durable.sync_directory(directory)
    digests = {document: piece.sha256 for document, piece in manifest.documents.items()}
    return Published(
        name=name,
        digest=hashlib.sha256(raw).hexdigest(),
        documents=digests,
        files=len(manifest.entries),
        size_bytes=size,
    )


def remove(directory: pathlib.Path, name: str) -> None:
    """Remove a stash.  Safe to repeat."""
    shutil.rmtree(directory / name, onerror=_go_on_if_gone)
    durable.sync_directories([directory])


def _go_on_if_gone(
    _function: object,
    _path: object,
    raised: tuple[type[BaseException], BaseException, types.TracebackType],
) -> None:
    """The stash keeper's thread and a job can remove the same one."""
    if not isinstance(raised[1], FileNotFoundError):
        raise raised[1]


def _write(
    beside: pathlib.Path,
    roots: Sequence[pathlib.Path],
    upgrade_id: str,
    attempt: int,
    documents: Mapping[str, bytes],
    accounts: accounts_module.Accounts,
) -> tuple[Manifest, bytes, int]:
    entries: list[Entry] = []
    skipped: list[str] = []
    links: dict[Hashable, tuple[int, Piece]] = {}
    with (beside / CONTENT).open('xb') as stream:
        os.fchmod(stream.fileno(), 0o600)
        writer = _Writer(stream)
        for seen in tree.walk(roots):
            with listing.vanishing():
                entry = _entry_now(seen, writer, links, accounts)
                if entry is None:
                    skipped.append(seen.path)
                else:
                    entries.append(entry)
        kept = {document: writer.add([content]) for document, content in documents.items()}
        stream.flush()
        os.fsync(stream.fileno())
    manifest = Manifest(
        upgrade_id=upgrade_id,
        attempt=attempt,
        entries=tuple(entries),
        documents=kept,
        skipped=tuple(skipped),
    )
    raw = manifest.to_bytes()
    durable.write(beside / MANIFEST, raw, 0o600)
    return manifest, raw, writer.offset


def _entry_now(
    seen: tree.Seen,
    writer: _Writer,
    links: dict[Hashable, tuple[int, Piece]],
    accounts: accounts_module.Accounts,
) -> Entry | None:
    """`_entry`, looked at again where the name stands for another thing since: editors and package
    managers replace files by a rename.

    :raises OSError: one of `listing.GONE`: it is not there any more; EBUSY: it never is the same;
        others.
    """
    status = seen.status
    for _ in range(_LOOKS):
        try:
            return _entry(seen, status, writer, links, accounts)
        except OSError as error:
            if error.errno not in _REPLACED:
                raise
        status = seen.stat()
    raise OSError(errno.EBUSY, 'it is another thing at each look', seen.path)


def _entry(
    seen: tree.Seen,
    status: os.stat_result,
    writer: _Writer,
    links: dict[Hashable, tuple[int, Piece]],
    accounts: accounts_module.Accounts,
) -> Entry | None:
    """Keep one path; None for what cannot be kept: sockets, pipes, devices. All that is kept of a
    file or a directory comes from one descriptor.
    """
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(seen.name, dir_fd=seen.above)
        return _begun(seen, status, accounts)(kind=EntryKind.SYMLINK, target=target)
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        return None
    descriptor = seen.open(os.O_DIRECTORY if stat.S_ISDIR(status.st_mode) else 0)
    try:
        status = os.fstat(descriptor)
        begun, xattrs = _begun(seen, status, accounts), _xattrs(descriptor)
        if stat.S_ISDIR(status.st_mode):
            return begun(kind=EntryKind.DIRECTORY, xattrs=xattrs)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.ESTALE, 'it is no plain file any more', seen.path)
        same = _same_file(seen, status)
        if same not in links:
            links[same] = len(links), writer.add(_chunks(descriptor, status.st_size))
        link, piece = links[same]
        return begun(kind=EntryKind.FILE, link=link, piece=piece, xattrs=xattrs)
    finally:
        os.close(descriptor)


def _same_file(seen: tree.Seen, status: os.stat_result) -> Hashable:
    """Return what the names of one file have in common, and no other file.  The number of its inode
    is not enough: it is another file's once the last name has gone.
    """
    if status.st_nlink == 1:
        return seen.path
    moments = status.st_mtime_ns, status.st_ctime_ns
    return status.st_dev, status.st_ino, status.st_size, *moments


def _begun(
    seen: tree.Seen, status: os.stat_result, accounts: accounts_module.Accounts
) -> Callable[..., Entry]:
    """Return an entry with what all kinds have; the call adds its kind, and what that kind has."""
    return functools.partial(
        Entry,
        path=seen.path,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        owner=accounts.user_name(status.st_uid),
        group=accounts.group_name(status.st_gid),
        mtime_ns=status.st_mtime_ns,
    )


def _chunks(descriptor: int, size: int) -> Iterator[bytes]:
    """Read a file as long as it was when it was opened: what is written to it meanwhile could go on
    for ever.
    """
    while size > 0 and (chunk := os.read(descriptor, min(size, _CHUNK_BYTES))):
        size -= len(chunk)
        yield chunk


def _xattrs(descriptor: int) -> dict[str, str]:
    try:
        names = os.listxattr(descriptor)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise
    return {
        name: base64.b64encode(os.getxattr(descriptor, name)).decode('ascii')
        for name in names
        if name not in _XATTRS_OF_THE_SYSTEM
    }
