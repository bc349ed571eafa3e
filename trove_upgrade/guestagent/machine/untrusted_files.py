# SPDX-License-Identifier: Apache-2.0
"""Reading, as root, what the database's user can write: the data directory, /run/mysqld,
/var/log/mysql.

A superuser of the database can run code under its uid, so each name there can be a link to a file
of root's, or a pipe without a writer, and can become one between two looks.  Only a plain file of
that very user is read: that user could read its content anyway, and it never blocks.
"""

import contextlib
import errno
import os
import pathlib
import stat
from collections.abc import Iterator, Sequence

from trove_upgrade.guestagent.machine import listing

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
#: No server nests its data or its option files like that: what is deeper is neither listed nor
#: kept, and checks refuse it.
LEVELS = 32
#: Well below the kernel's PATH_MAX of 4096, as names are made longer when they are restored.
PATH_BYTES = 2048
#: Ten times what a server with 100,000 tables has; lists of them are held in memory, and each is
#: looked at several times.
ENTRIES = 5_000_000
_OPEN_LEVELS = 16


def owner_of(data_directory: pathlib.Path) -> int:
    """The uid of the database's user, by the data directory: its parent is root's, or that user's
    own until the stop, so that no other user puts another there.

    :raises OSError: it is not there.
    """
    return os.lstat(data_directory).st_uid


def open_regular(
    name: str | pathlib.Path, *, below: int | None = None, follow: bool = False
) -> int:
    """Return a descriptor of a plain file; a pipe, a socket, a device or a directory in its place
    is closed at once, and never waited for.

    :raises FileNotFoundError: there is none.
    :raises OSError: ELOOP: it is a link, and `follow` is false; ENXIO and others; EPERM: it is
        another thing than a plain file.
    """
    descriptor = os.open(name, _FLAGS & ~os.O_NOFOLLOW if follow else _FLAGS, dir_fd=below)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise PermissionError(errno.EPERM, 'it is no plain file', str(name))


def open_plain(name: str | pathlib.Path, owner: int, *, below: int | None = None) -> int:
    """A descriptor of a plain file that belongs to `owner`; `below` is that of a directory that
    `name` is in.

    :raises FileNotFoundError: there is none.
    :raises OSError: ELOOP, ENXIO and others; EPERM: it is another thing than a plain file, or
        another's.
    """
    descriptor = open_regular(name, below=below)
    if os.fstat(descriptor).st_uid == owner:
        return descriptor
    os.close(descriptor)
    raise PermissionError(errno.EPERM, 'it is no file of the database', str(name))


def read(
    name: str | pathlib.Path, owner: int, limit_bytes: int, *, below: int | None = None
) -> bytes:
    """The first `limit_bytes` of it.  Raises as `open_plain`."""
    with os.fdopen(open_plain(name, owner, below=below), 'rb') as stream:
        return stream.read(limit_bytes)


def read_end(name: str | pathlib.Path, owner: int, limit_bytes: int) -> tuple[int, bytes]:
    """Return when a file was written last (ns), and its last `limit_bytes`. Raises as
    `open_plain`.
    """
    with os.fdopen(open_plain(name, owner), 'rb') as stream:
        status = os.fstat(stream.fileno())
        stream.seek(max(0, status.st_size - limit_bytes))
        return status.st_mtime_ns, stream.read(limit_bytes)


@contextlib.contextmanager
def directory(name: str | pathlib.Path, *, below: int | None = None) -> Iterator[int]:
    """A descriptor of a real directory.

    :raises OSError: there is none, or it is a link.
    """
    descriptor = os.open(name, _DIRECTORY_FLAGS, dir_fd=below)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def walk(
    top: str | pathlib.Path, *, below: int | None = None, levels: int | None = None
) -> Iterator[tuple[Sequence[str], list[str], list[str], int]]:
    """Names that lead from `top` to a directory, the directories and the others in it, and its
    descriptor: for `top` and all below it.

    By descriptors, so that a directory that becomes a link meanwhile is not followed out of `top`;
    with a few of them and without recursion, as that user can nest directories by the thousand.
    With `levels`, what is deeper is left out.  The names and the descriptor are good until the next
    step.  What vanishes meanwhile was not there; a `top` that is no directory has nothing below it.

    :raises OSError: `top` is not there, or something below cannot be read; ESTALE: it is moved
        while it is walked, far below `top`.
    """
    if not stat.S_ISDIR(os.stat(top, dir_fd=below, follow_symlinks=False).st_mode):
        return
    names: list[str] = []
    path = _Descent(os.open(top, _DIRECTORY_FLAGS, dir_fd=below))
    try:
        waiting = [_entries(path.here)]
        yield names, list(waiting[0][0]), waiting[0][1], path.here
        while waiting:
            directories = waiting[-1][0] if levels is None or len(names) < levels else []
            if not directories:
                waiting.pop()
                if waiting:
                    path.up()
                    names.pop()
            elif path.down(name := directories.pop()):
                names.append(name)
                waiting.append(_entries(path.here))
                yield names, list(waiting[-1][0]), waiting[-1][1], path.here
    finally:
        path.close()


class _Descent:
    """The directories from the top to the one that is looked at: only the uppermost stay open, the
    others are found again by `..`.
    """

    def __init__(self, top: int) -> None:
        self.here = top
        self._open = [top]
        # device and inode of those between the uppermost and `here`
        self._closed: list[tuple[int, int]] = []

    def down(self, name: str) -> bool:
        """Go down into a directory; False if it is none any more."""
        try:
            inner = os.open(name, _DIRECTORY_FLAGS, dir_fd=self.here)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                return False
            raise
        if len(self._open) < _OPEN_LEVELS:
            self._open.append(inner)
        else:
            self._closed.append(_identity(self.here))
            if self.here != self._open[-1]:
                os.close(self.here)
        self.here = inner
        return True

    def up(self) -> None:
        """Go up to the directory that it came from.

        :raises OSError: ESTALE; it was moved meanwhile.
        """
        if not self._closed:
            os.close(self._open.pop())
            self.here = self._open[-1]
            return
        expected = self._closed.pop()
        inner, self.here = self.here, self._open[-1]
        try:
            if self._closed:
                self.here = os.open('..', _DIRECTORY_FLAGS, dir_fd=inner)
        finally:
            os.close(inner)
        if _identity(self.here) != expected:
            raise OSError(errno.ESTALE, 'the directories are moved while they are walked')

    def close(self) -> None:
        for descriptor in {*self._open, self.here}:
            os.close(descriptor)


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _entries(descriptor: int) -> tuple[list[str], list[str]]:
    directories: list[str] = []
    others: list[str] = []
    with os.scandir(descriptor) as entries:  # empty where it was removed since it was opened
        for entry in entries:
            (directories if entry.is_dir(follow_symlinks=False) else others).append(entry.name)
    return directories, others


def too_deep(top: pathlib.Path) -> pathlib.Path | None:
    """Find a path at or below `top` with more than `LEVELS` directories above it, or one too long
    to be kept; None if nothing is.

    :raises OSError: `top` is not there, or something below cannot be read.
    """
    for names, directories, others, _ in walk(top, levels=LEVELS):
        length = len(os.fsencode(top.joinpath(*names))) + 1
        if (len(names) == LEVELS and directories) or any(
            length + len(os.fsencode(name)) > PATH_BYTES for name in (*directories, *others)
        ):
            return top.joinpath(*names[:3])
    return None


def too_many(top: pathlib.Path, limit: int = ENTRIES) -> bool:
    """Return True for more than `limit` names below `top`, at any depth that is walked.

    :raises OSError: `top` is not there, or something below cannot be read.
    """
    found = 0
    for _, directories, others, _ in walk(top, levels=LEVELS):
        found += len(directories) + len(others)
        if found > limit:
            return True
    return False


def remove_tree(name: str, below: int) -> None:
    """Remove a directory with all that is in it, however deep: what is two levels down comes up,
    until there is nothing.

    What another process removes meanwhile has gone.

    :raises OSError: it cannot be done.
    """
    with contextlib.suppress(FileNotFoundError):
        with directory(name, below=below) as top:
            number = 0
            while waiting := _without_files(top):
                for child in waiting:
                    number = _raise_what_is_in(child, top, number)
        os.rmdir(name, dir_fd=below)


def _raise_what_is_in(child: str, top: int, number: int) -> int:
    """Give what is in `child` a name in `top`, from `number` on, and remove it; returns the number
    to go on with.
    """
    with listing.vanishing():
        with directory(child, below=top) as inner:
            for grandchild in _without_files(inner):
                while exists(str(number), top):
                    number += 1
                with listing.vanishing():
                    os.rename(grandchild, str(number), src_dir_fd=inner, dst_dir_fd=top)
        os.rmdir(child, dir_fd=top)
    return number


def _without_files(descriptor: int) -> list[str]:
    directories, others = _entries(descriptor)
    for name in others:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=descriptor)
    return directories


def exists(name: str, below: int) -> bool:
    """Return True where a directory, by its descriptor, has a name; a link counts, wherever it
    leads.
    """
    try:
        os.stat(name, dir_fd=below, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
