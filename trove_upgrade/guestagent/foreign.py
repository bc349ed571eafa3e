# SPDX-License-Identifier: Apache-2.0
"""Reading, as root, what the database's user can write: the data directory, /run/mysqld, /var/log/mysql.

Whoever has the database can run code under its uid, so each name there can be a link to a file of root's, or a pipe that
nobody ever writes to, and can become one between two looks.  Only a plain file of that very user is read: its content is
nothing that he could not read himself, and it never blocks.
"""
import contextlib
import errno
import os
import pathlib
import stat
from collections.abc import Iterator

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


def owner_of(data_directory: pathlib.Path) -> int:
    """The uid of the database's user, by the data directory: its parent is root's, so that nobody else puts another there.

    :raises OSError: it is not there.
    """
    return os.lstat(data_directory).st_uid


def open_plain(name: str | pathlib.Path, owner: int, *, below: int | None = None) -> int:
    """A descriptor of a plain file that belongs to `owner`; `below` is that of a directory that `name` is in.

    :raises FileNotFoundError: there is none.
    :raises OSError: ELOOP, ENXIO and others; EPERM: it is another thing than a plain file, or another's.
    """
    descriptor = os.open(name, _FLAGS, dir_fd=below)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_uid == owner:
        return descriptor
    os.close(descriptor)
    raise PermissionError(errno.EPERM, 'it is no plain file of the database', str(name))


def read(name: str | pathlib.Path, owner: int, limit_bytes: int, *, below: int | None = None) -> bytes:
    """The first `limit_bytes` of it.  Raises as `open_plain`."""
    with os.fdopen(open_plain(name, owner, below=below), 'rb') as stream:
        return stream.read(limit_bytes)


def read_end(name: str | pathlib.Path, owner: int, limit_bytes: int) -> tuple[int, bytes]:
    """When it was written last (ns), and its last `limit_bytes`.  Raises as `open_plain`."""
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


def walk(top: pathlib.Path) -> Iterator[tuple[str, list[str], list[str], int]]:
    """As os.fwalk: by descriptors, so that a directory that becomes a link meanwhile is not followed out of `top`.

    What vanishes meanwhile was not there.

    :raises OSError: `top` is not there, or something below cannot be read.
    """
    def complain(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error
    os.lstat(top)
    return os.fwalk(top, onerror=complain, follow_symlinks=False)
