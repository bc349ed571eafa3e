# SPDX-License-Identifier: Apache-2.0
"""Looking over what a stash keeps, name by name below open directories.

Some of these directories are the database's user's, and the server may run: a directory that this
user turns into a link in between leads nowhere, and neither nested nor added directories keep root
busy without end.
"""

import contextlib
import dataclasses
import errno
import os
import pathlib
import stat
import time
from collections.abc import Callable, Iterable, Iterator

from trove_upgrade.domain import exceptions, logs
from trove_upgrade.domain.codes import Code
from trove_upgrade.guestagent.machine import listing, untrusted_files
from trove_upgrade.guestagent.storage.stash import beside

LOG = logs.get_logger(__name__)

_PASSED = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_LINKS = 40  #: as the kernel follows.  Source: path_resolution(7)
_NAMED_CHARACTERS = 200
#: More than checks allow, as a driver's list of names repeats them below a directory of its own.
_LEVELS = 2 * untrusted_files.LEVELS
_PATH_BYTES = untrusted_files.PATH_BYTES + 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """One name, and how to look at it again without its path.  Good until the next step of the
    walk.
    """

    path: str
    status: os.stat_result
    above: int  #: descriptor of the directory that it is in
    name: str

    def stat(self) -> os.stat_result:
        """Return what stands there now.

        :raises OSError: it has gone.
        """
        return os.stat(self.name, dir_fd=self.above, follow_symlinks=False)

    def open(self, kind: int = 0) -> int:
        """Return a descriptor to read from; a link is none, and no pipe blocks.

        :raises OSError: it has gone, or is another thing.
        """
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(self.name, flags | kind, dir_fd=self.above)


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of one walk, in entries and seconds; more than any configuration has."""

    entries: int = 100_000
    seconds: float = 300
    monotonic: Callable[[], float] = time.monotonic


class _Walk:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._until = limits.monotonic() + limits.seconds
        self._seen: set[str] = set()
        self._left = limits.entries

    def below(self, above: int, name: str, path: str, level: int = 0) -> Iterator[Seen]:
        if path in self._seen:
            return
        self._count(path)
        if beside.is_one(name):
            return
        if level > _LEVELS or len(os.fsencode(path)) > _PATH_BYTES:
            LOG.warning('%s is not kept: it is nested too deep', path[:_NAMED_CHARACTERS])
            return
        status = None
        with listing.vanishing():
            status = os.stat(name, dir_fd=above, follow_symlinks=False)
        if status is None:
            return
        yield Seen(path=path, status=status, above=above, name=name)
        if stat.S_ISDIR(status.st_mode):
            yield from self._inside(above, name, path, level + 1)

    def _inside(self, above: int, name: str, path: str, level: int) -> Iterator[Seen]:
        with contextlib.ExitStack() as opened:
            names: list[str] = []
            with listing.vanishing():
                here = opened.enter_context(untrusted_files.directory(name, below=above))
                names = self._names(here, path)
            for inner in names:
                yield from self.below(here, inner, f'{path}/{inner}', level)

    def _names(self, directory: int, path: str) -> list[str]:
        found = []
        with os.scandir(directory) as entries:
            for entry in entries:
                found.append(entry.name)
                if len(found) > self._left:
                    raise self._too_large(path)
        return sorted(found)

    def _count(self, path: str) -> None:
        self._seen.add(path)
        self._left -= 1
        if self._left < 0 or self._limits.monotonic() > self._until:
            raise self._too_large(path)

    def _too_large(self, path: str) -> exceptions.StepFailed:
        return exceptions.StepFailed(
            f'The configuration cannot be kept: with {path[:_NAMED_CHARACTERS]!r} it has more than '
            f'{self._limits.entries} files and directories, or a look at all of them takes more '
            f'than {self._limits.seconds:.0f} s. Remove from its directories what the server does '
            'not need, and try again.',
            Code.STASH_TOO_LARGE,
        )


def walk(roots: Iterable[pathlib.Path], limits: Limits | None = None) -> Iterator[Seen]:
    """Yield what is at and below `roots`, each path once, links not followed, a directory before
    what is in it.

    What vanishes meanwhile was not there, nor is what only another user's link leads to, nor what a
    killed restore has left.  What is deeper than checks allow is left out: it could be neither kept
    nor restored.

    :raises StepFailed: STASH_TOO_LARGE; it is more than `limits` allow.
    :raises OSError: something cannot be read.
    """
    found = _Walk(limits or Limits())
    for root in sorted(roots):
        with contextlib.ExitStack() as opened:
            above = None
            with listing.vanishing():
                above = _opened(root.parent)
                opened.callback(os.close, above)
            if above is not None:
                yield from found.below(above, root.name, str(root))


def _opened(directory: pathlib.Path) -> int:
    """Return a descriptor of `directory`, for which only root's links are followed.

    :raises OSError: it is not there; ELOOP: another user's link is on the way.
    """
    names, links = list(reversed(directory.absolute().parts)), 0
    here = os.open(names.pop(), _PASSED | os.O_DIRECTORY)
    try:
        while names:
            passed = os.open(name := names.pop(), _PASSED, dir_fd=here)
            status = os.fstat(passed)
            if not stat.S_ISLNK(status.st_mode):
                os.close(here)
                here = passed
                continue
            links += 1
            target = _target(passed, status, links, name)
            names.extend(part for part in reversed(target.parts) if part != '/')
            if target.is_absolute():
                os.close(here)
                here = os.open('/', _PASSED | os.O_DIRECTORY)
        return os.open('.', os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=here)
    finally:
        os.close(here)


def _target(link: int, status: os.stat_result, links: int, name: str) -> pathlib.Path:
    """Return where a link leads, and close it."""
    try:
        if status.st_uid != 0 or links > _LINKS:
            LOG.warning('What is behind the link %r is not kept: root has not made it', name)
            raise OSError(errno.ELOOP, 'a link on the way is not of root', name)
        return pathlib.Path(os.readlink('', dir_fd=link))
    finally:
        os.close(link)
