# SPDX-License-Identifier: Apache-2.0
"""Reading a stash, on a root disk that has never seen it: digest first, every hash next, and only then is anything written."""
import base64
import contextlib
import ctypes
import functools
import hashlib
import os
import pathlib
import secrets
import stat
from collections.abc import Iterator, Sequence
from typing import NoReturn, Self

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.stash import accounts as accounts_module
from trove_upgrade.guestagent.stash.manifest import CONTENT, MANIFEST, Entry, Manifest, Piece

_CHUNK_BYTES = 1 << 20
_MANIFEST_LIMIT_BYTES = 256 << 20
_BESIDE = '.trove-upgrade-'
_MODE_OF_FILES, _MODE_OF_DIRECTORIES = 0o666, 0o1777
#: Such as file capabilities.  Source: xattr(7), "Extended security attributes".
_XATTRS_OF_RIGHTS = 'security.'


def _broken(name: str, found: str) -> NoReturn:
    raise exceptions.StepFailed(f'The stash {name} cannot be used: {found}. Nothing was written. '
                                f'Look who has changed the volume; the data itself is untouched.', 'STASH_BROKEN')


def _open_below(directory: int, name: str, flags: int) -> int:
    """Open one name in a directory: no link, nothing outside of it, and without waiting for the other end of a pipe."""
    return os.open(name, flags | os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)


class Stash:
    """A published stash whose manifest is the one that upgrade_info speaks of.  A context manager."""

    def __init__(self, name: str, manifest: Manifest, content: int) -> None:
        self.name = name
        self.manifest = manifest
        self._content = content

    @classmethod
    def open(cls, directory: pathlib.Path, name: str, digest: str) -> 'Stash':
        """Open `name` in `directory`.

        :raises StepFailed: STASH_MISSING; STASH_BROKEN: it is not what was published.
        """
        try:
            above = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise _missing(name, error) from error
        try:
            own = _open_below(above, name, os.O_DIRECTORY)
        except OSError as error:
            raise _missing(name, error) from error
        finally:
            os.close(above)
        try:
            manifest = cls._manifest(own, name, digest)
            content = _open_below(own, CONTENT, 0)
        except OSError as error:
            raise _missing(name, error) from error
        finally:
            os.close(own)
        if not stat.S_ISREG(os.fstat(content).st_mode):
            os.close(content)
            _broken(name, 'its content is not a plain file')
        return cls(name, manifest, content)

    @staticmethod
    def _manifest(own: int, name: str, digest: str) -> Manifest:
        descriptor = _open_below(own, MANIFEST, 0)
        with os.fdopen(descriptor, 'rb') as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MANIFEST_LIMIT_BYTES:
                _broken(name, 'its manifest is not a plain file, or far too long')
            raw = stream.read(_MANIFEST_LIMIT_BYTES)
        found = hashlib.sha256(raw).hexdigest()
        if found != digest:
            _broken(name, f'its manifest has digest {found[:12]}, and {digest[:12]} was published')
        return Manifest.from_bytes(raw)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it; the volume could not be unmounted otherwise."""
        os.close(self._content)

    def paths(self) -> list[str]:
        """Every path that it holds."""
        return [entry.path for entry in self.manifest.entries]

    def files(self) -> list[str]:
        """Paths of files and links."""
        return [entry.path for entry in self.manifest.entries if entry.kind != 'directory']

    def links(self) -> dict[str, str]:
        """Each link with what it leads to."""
        return {entry.path: entry.target or '' for entry in self.manifest.entries if entry.kind == 'symlink'}

    def differing(self, paths: Sequence[str]) -> list[str]:
        """Return those files of `paths` at whose place there is another content now, or no plain file."""
        wanted = set(paths)
        return [entry.path for entry in self.manifest.entries if entry.path in wanted and entry.piece is not None and not _has(entry.path, entry.piece)]

    def document(self, document: str, digest: str) -> bytes:
        """One of the agent's own documents.

        :raises StepFailed: STASH_BROKEN; it is not what was published.
        """
        piece = self.manifest.documents.get(document)
        if piece is None or piece.sha256 != digest:
            _broken(self.name, f'its {document} is not the one that was published')
        self._verify(piece, document)
        return b''.join(self._chunks(piece))

    def file(self, path: str) -> bytes:
        """The content of one kept file.

        :raises KeyError: no such file.
        :raises StepFailed: STASH_BROKEN.
        """
        piece = self._pieces[path]
        if piece is None:
            raise KeyError(path)
        self._verify(piece, path)
        return b''.join(self._chunks(piece))

    @functools.cached_property
    def _pieces(self) -> dict[str, Piece | None]:
        return {entry.path: entry.piece for entry in self.manifest.entries}

    def _chunks(self, piece: Piece) -> Iterator[bytes]:
        position, end = piece.offset, piece.offset + piece.size
        while position < end:
            chunk = os.pread(self._content, min(_CHUNK_BYTES, end - position), position)
            if not chunk:
                _broken(self.name, 'its content ends too early')
            position += len(chunk)
            yield chunk

    def _verify(self, piece: Piece, what: str) -> None:
        digest = hashlib.sha256()
        for chunk in self._chunks(piece):
            digest.update(chunk)
        if digest.hexdigest() != piece.sha256:
            _broken(self.name, f'the content of {what!r} has been changed')

    def restore(self, paths: Sequence[str], accounts: accounts_module.Accounts,
                destination: pathlib.Path = pathlib.Path('/')) -> list[str]:
        """Bring `paths` back below `destination`; whatever else is there stays.  Safe to repeat.  Returns remarks.

        :raises StepFailed: STASH_BROKEN: nothing was written; STASH_IN_THE_WAY: a directory is where a file must go, or the reverse;
            STASH_NOT_RESTORED: a file cannot be written, or another process removes it.
        """
        wanted = set(paths)
        entries = [(index, entry) for index, entry in enumerate(self.manifest.entries) if entry.path in wanted]
        self._require_a_tree([entry for _, entry in entries])
        for _, entry in entries:
            if entry.piece is not None:
                self._verify(entry.piece, entry.path)
        try:
            return _Restorer(self, entries, accounts_module.Remembered(accounts), destination).run()
        except OSError as error:
            raise exceptions.StepFailed(f'The stash {self.name} cannot be restored: {error.filename or "its content"} cannot be used '
                                        f'({error.strerror}). Look what changes it on the root disk of the guest, then retry the upgrade.',
                                        'STASH_NOT_RESTORED') from error

    def _require_a_tree(self, entries: Sequence[Entry]) -> None:
        """Refuse a manifest that leads one entry through another, as an intruder on the former root disk can write it."""
        kinds = {entry.path: entry.kind for entry in entries}
        if len(kinds) != len(entries):
            _broken(self.name, 'it has one path twice')
        for entry in entries:
            if '..' in entry.path.split('/') or any(kinds.get(str(above), 'directory') != 'directory' for above in pathlib.PurePosixPath(entry.path).parents):
                _broken(self.name, f'{entry.path!r} leads through what is no directory')

    def copy(self, entry: Entry, descriptor: int) -> None:
        """Write a file's content, hashed once more on the way."""
        digest, piece = hashlib.sha256(), entry.piece or Piece(0, 0, hashlib.sha256().hexdigest())
        for chunk in self._chunks(piece):
            digest.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[os.write(descriptor, view):]
        if digest.hexdigest() != piece.sha256:
            _broken(self.name, f'the content of {entry.path!r} changes while it is read')


def _missing(name: str, error: OSError) -> exceptions.StepFailed:
    return exceptions.StepFailed(f'The stash {name} cannot be used: it cannot be opened on the volume ({error.strerror}). '
                                 f'Nothing was written. Look whether this is the instance\'s volume.', 'STASH_MISSING')


def _has(path: str, piece: Piece) -> bool:
    try:
        with open(path, 'rb', opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_CLOEXEC)) as stream:
            status = os.fstat(stream.fileno())
            return (stat.S_ISREG(status.st_mode) and status.st_size == piece.size
                    and hashlib.file_digest(stream, 'sha256').hexdigest() == piece.sha256)
    except OSError:
        return False


class _Restorer:
    """One restore: everything is written beside its place and synced, then all of it is renamed, then synced again."""

    def __init__(self, stash: Stash, entries: Sequence[tuple[int, Entry]], accounts: accounts_module.Accounts,
                 destination: pathlib.Path) -> None:
        self._stash = stash
        self._entries = entries
        self._accounts = accounts
        self._root = str(destination).rstrip('/')
        self._remarks: list[str] = []
        self._links: dict[int, str] = {}
        self._devices: dict[int, str] = {}
        self._prefix = f'{_BESIDE}{secrets.token_hex(8)}-'   # an intruder who has written the manifest cannot know it

    def run(self) -> list[str]:
        for _, entry in self._entries:
            if entry.kind == 'directory':
                self._directory(entry)
        others = [(index, entry) for index, entry in self._entries if entry.kind != 'directory']
        try:
            for index, entry in others:
                self._beside(index, entry)
            self._sync()
            for index, entry in others:
                os.rename(self._temporary(index, entry), self._target(entry))  # noqa: PTH104 - odd bytes stay as they are
        except BaseException:
            for index, entry in others:
                with contextlib.suppress(OSError):
                    os.unlink(self._temporary(index, entry))  # noqa: PTH108 - odd bytes stay as they are
            raise
        for _, entry in self._entries:
            if entry.kind == 'directory':
                self._attributes(self._target(entry), entry)
        self._sync()
        return self._remarks

    def _target(self, entry: Entry) -> str:
        return self._root + entry.path

    def _temporary(self, index: int, entry: Entry) -> str:
        return f'{os.path.dirname(self._target(entry))}/{self._prefix}{index}'  # noqa: PTH120 - odd bytes stay as they are

    def _in_the_way(self, entry: Entry) -> NoReturn:
        raise exceptions.StepFailed(f'The stash {self._stash.name} cannot be restored: at {self._target(entry)!r} there is no {entry.kind}. '
                                    f'Build an image without that.', 'STASH_IN_THE_WAY')

    def _directory(self, entry: Entry) -> None:
        """Made closed; it gets its own mode once it is full."""
        target = self._target(entry)
        self._parents(target)
        try:
            status = os.lstat(target)
        except FileNotFoundError:
            os.mkdir(target, 0o700)  # noqa: PTH102 - odd bytes stay as they are
            status = os.lstat(target)
        if not stat.S_ISDIR(status.st_mode):
            self._in_the_way(entry)
        self._devices[status.st_dev] = target

    def _parents(self, target: str) -> None:
        parent = os.path.dirname(target)  # noqa: PTH120 - odd bytes stay as they are
        os.makedirs(parent, 0o755, exist_ok=True)  # noqa: PTH103 - odd bytes stay as they are
        self._devices[os.stat(parent).st_dev] = parent  # noqa: PTH116 - odd bytes stay as they are

    def _beside(self, index: int, entry: Entry) -> None:
        target, temporary = self._target(entry), self._temporary(index, entry)
        self._parents(target)
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISDIR(os.lstat(target).st_mode):
                self._in_the_way(entry)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108 - odd bytes stay as they are
        if entry.kind == 'symlink':
            os.symlink(entry.target or '', temporary)  # noqa: PTH211 - odd bytes stay as they are
        elif entry.link in self._links:
            with contextlib.suppress(OSError):  # another file system: it becomes a file of its own
                os.link(self._links[entry.link], temporary)
                return
        if entry.kind == 'file':
            self._file(entry, temporary)
        self._attributes(temporary, entry)

    def _file(self, entry: Entry, temporary: str) -> None:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            self._stash.copy(entry, descriptor)
        finally:
            os.close(descriptor)
        if entry.link is not None:
            self._links[entry.link] = temporary

    def _attributes(self, path: str, entry: Entry) -> None:
        """Owner before mode: a new owner clears it.  Time last.

        The former root disk may have been taken over: a file that comes from it can be read, never run, and has no rights of its own.
        """
        os.chown(path, self._uid(entry), self._gid(entry), follow_symlinks=False)
        if entry.kind != 'symlink':
            for name, value in entry.xattrs.items():
                if not name.startswith(_XATTRS_OF_RIGHTS):
                    os.setxattr(path, name, base64.b64decode(value), follow_symlinks=False)
            os.chmod(path, entry.mode & (_MODE_OF_FILES if entry.kind == 'file' else _MODE_OF_DIRECTORIES))  # noqa: PTH101 - odd bytes stay as they are
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)

    def _uid(self, entry: Entry) -> int:
        if entry.owner is None:
            return entry.uid
        uid = self._accounts.user_id(entry.owner)
        if uid is None:
            self._remarks.append(f'{entry.path!r} belongs to root now: this image has no user {entry.owner}')
            return 0
        return uid

    def _gid(self, entry: Entry) -> int:
        if entry.group is None:
            return entry.gid
        gid = self._accounts.group_id(entry.group)
        if gid is None:
            self._remarks.append(f'{entry.path!r} belongs to group root now: this image has no group {entry.group}')
            return 0
        return gid

    def _sync(self) -> None:
        """One sync per file system that was written to."""
        library = ctypes.CDLL(None, use_errno=True)
        for directory in self._devices.values():
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if library.syncfs(descriptor) != 0:
                    number = ctypes.get_errno()
                    raise OSError(number, os.strerror(number), directory)
            finally:
                os.close(descriptor)
