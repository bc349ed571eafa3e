# SPDX-License-Identifier: Apache-2.0
"""Opening option files as root where the database's user may own the directory: in a container's
guest that user owns all of /etc/mysql.

The tenant can put links, pipes, files without end and files that include one another there.  So: a
link counts only if it is root's and leads to a file of root's, as Debian's my.cnf does; only plain
files are read, each once, and not more than a server's configuration ever is; and a file of the
tenant's brings in nothing that the tenant could not read.
"""

import errno
import os
import pathlib
import stat
from typing import BinaryIO

from trove_upgrade.guestagent.datastores.mysql_family import option_lines
from trove_upgrade.guestagent.storage.sight import Sight

_FILE_BYTES = 256 << 10
_ALL_BYTES = 1 << 20
_FILES = 256
_DIRECTIVES = 256
_NAMES = 4096
_LINKS = 10
_NAMED = 10
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_PASSED = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class _AbsentError(Exception):
    """Absence of a file, or of one that could be read."""


class _UnreadError(Exception):
    """Reason why a file that is there is not read, as the end of a sentence."""


class Source:
    """State of one look at the configuration: what it has read so far, the directories that it has
    listed, and what it would not read.
    """

    def __init__(self) -> None:
        self.files: list[pathlib.Path] = []
        self.directories: list[pathlib.Path] = []
        # at most one for each line that includes, and for each first file
        self.absent: list[pathlib.Path] = []
        self.unread: list[str] = []
        self._seen: set[tuple[int, int]] = set()
        self._bytes = 0
        self._directives = 0

    def refuse(self, path: pathlib.Path, reason: str) -> None:
        """Remember that `path` was not read, or not all of it; `reason` is the end of the
        sentence.
        """
        if len(self.unread) < _NAMED:
            self.unread.append(f'{path} {reason}')

    def content(
        self, path: pathlib.Path, base: pathlib.Path, includer: os.stat_result | None
    ) -> tuple[bytes, os.stat_result] | None:
        """The content of `path` and its owner; None if it is not there, has been read, or is not
        to be read.

        `includer` is the file that names it, and `base` the directory below which a file of another
        than root may name any.
        """
        try:
            with os.fdopen(self._opened(path, base, includer), 'rb') as stream:
                status = os.fstat(stream.fileno())
                identity = status.st_dev, status.st_ino
                if identity in self._seen:
                    return None
                content = self._limited(stream, status, includer)
        except _AbsentError:
            self.absent.append(path)
            return None
        except _UnreadError as error:
            self.refuse(path, str(error))
            return None
        self._seen.add(identity)
        self.files.append(path)
        return content, status

    @staticmethod
    def _opened(
        path: pathlib.Path, base: pathlib.Path, includer: os.stat_result | None, kind: int = 0
    ) -> int:
        """Open a path on behalf of the includer; return the descriptor.

        :raises _AbsentError, _UnreadError: as they say.
        """
        if includer is not None and includer.st_uid != 0 and not _is_below(path, base):
            raise _UnreadError("is included from elsewhere by a file that is not root's")
        if includer is not None and not Sight.of_number(
            includer.st_uid, includer.st_gid, base
        ).reaches(path):
            raise _UnreadError('is included by a file whose owner cannot look there')
        try:
            return _open(path, kind)
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:
            raise _AbsentError from error
        except OSError as error:
            raise _UnreadError(
                "is reached by a link that is not root's, or cannot be opened"
            ) from error

    def _limited(
        self, stream: BinaryIO, status: os.stat_result, includer: os.stat_result | None
    ) -> bytes:
        """Read a file, within the limits on files and bytes.

        :raises _UnreadError: it is not for the includer, or too much.
        """
        if status.st_mode & stat.S_IWOTH:
            raise _UnreadError(
                'may be written by all users, and programs of the database pass over it'
            )
        if includer is not None and not _may_bring_in(includer, status):
            raise _UnreadError('is included by a file whose owner cannot read it')
        if len(self.files) >= _FILES:
            raise _UnreadError(f'is one of more than {_FILES} files')
        content = stream.read(_FILE_BYTES + 1)
        self._bytes += len(content)
        if len(content) > _FILE_BYTES or self._bytes > _ALL_BYTES:
            raise _UnreadError(
                f'is longer than {_FILE_BYTES >> 10} KiB, or all files together than '
                f'{_ALL_BYTES >> 10} KiB'
            )
        return content

    def named(
        self, directory: pathlib.Path, base: pathlib.Path, includer: os.stat_result
    ) -> list[pathlib.Path]:
        """The option files in `directory`, in the order of their bytes."""
        try:
            descriptor = self._opened(directory, base, includer, os.O_DIRECTORY)
        except _AbsentError:
            self.absent.append(directory)
            self.refuse(
                directory,
                'is a directory of option files and not there: programs of the database read no '
                'further where a line includes it',
            )
            return []
        except _UnreadError as error:
            self.refuse(directory, str(error))
            return []
        found = []
        self.directories.append(directory)
        try:
            # empty where the directory was removed since it was opened
            with os.scandir(descriptor) as entries:
                for number, entry in enumerate(entries):
                    if number >= _NAMES:
                        self.refuse(directory, f'has more than {_NAMES} entries')
                        return []
                    if is_included(entry.name) and self._is_short(directory / entry.name):
                        found.append(directory / entry.name)
        finally:
            os.close(descriptor)
        return sorted(found, key=os.fsencode)

    def _is_short(self, path: pathlib.Path) -> bool:
        if len(os.fsencode(path)) > option_lines.PATH_BYTES:
            self.refuse(
                path,
                f'has a path of more than {option_lines.PATH_BYTES} bytes, and programs of the '
                'database pass over it',
            )
            return False
        return True

    def may_include(self, path: pathlib.Path) -> bool:
        """Return whether one more directive to include something, in `path`, is followed."""
        self._directives += 1
        if self._directives > _DIRECTIVES:
            self.refuse(path, f'has one of more than {_DIRECTIVES} lines that include others')
            return False
        return True


def is_included(name: str) -> bool:
    """Return True for names that `!includedir` reads, also those that begin with a dot."""
    return name.endswith('.cnf')


def _is_below(path: pathlib.Path, base: pathlib.Path) -> bool:
    return path.is_relative_to(base) and '..' not in path.parts


def _may_bring_in(includer: os.stat_result, included: os.stat_result) -> bool:
    """Return whether the owner of one file could read the other; root's own files may name any."""
    shared = included.st_mode & stat.S_IROTH or (
        included.st_gid == includer.st_gid and included.st_mode & stat.S_IRGRP
    )
    return includer.st_uid in {0, included.st_uid} or bool(shared)


def _open(path: pathlib.Path, kind: int = 0) -> int:
    """A descriptor of it, name by name, so that each link on the way is looked at before it is
    followed.

    :raises OSError: it is not there; EPERM: a link on the way is not root's, or leads to what is
        not.
    """
    names = list(reversed(path.absolute().parts))
    here, links = os.open(names.pop(), _PASSED | os.O_DIRECTORY), 0
    try:
        while names:
            name = names.pop()
            passed = os.open(name, _PASSED, dir_fd=here)
            status = os.fstat(passed)
            if stat.S_ISLNK(status.st_mode):
                links += 1
                target = _target(passed, status, links)
                names.extend(part for part in reversed(target.parts) if part != '/')
                if target.is_absolute():
                    os.close(here)
                    here = os.open('/', _PASSED | os.O_DIRECTORY)
            else:
                os.close(here)
                here = passed
        if links and os.fstat(here).st_uid != 0:
            raise PermissionError(errno.EPERM, "a link leads to what is not root's", str(path))
        return _reopened(here, kind)
    finally:
        os.close(here)


def _target(link: int, status: os.stat_result, links: int) -> pathlib.Path:
    """Return where a link leads, and close it."""
    try:
        if status.st_uid != 0 or links > _LINKS:
            raise PermissionError(errno.EPERM, "the link is not root's")
        return pathlib.Path(os.readlink('', dir_fd=link))
    finally:
        os.close(link)


def _reopened(passed: int, kind: int) -> int:
    """Open for reading what a descriptor stands for: another name of it could mean another thing by
    now. Never blocks on a pipe.
    """
    if not kind and not stat.S_ISREG(os.fstat(passed).st_mode):
        raise NotADirectoryError  # as a file that is not there: a server makes nothing of it either
    return os.open(f'/proc/self/fd/{passed}', _READ | kind)
