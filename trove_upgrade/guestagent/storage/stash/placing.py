# SPDX-License-Identifier: Apache-2.0
"""Putting entries of a stash in their places on a root disk."""

import collections
import contextlib
import dataclasses
import os
import pathlib
import stat
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NoReturn, Protocol

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.machine import durable
from trove_upgrade.guestagent.storage.stash import attributes, beside
from trove_upgrade.guestagent.storage.stash.manifest import Entry, EntryKind
from trove_upgrade.guestagent.storage.stash.owners import Owners

_MODE_ON_THE_WAY = 0o755


class Source(Protocol):
    """A stash that has been verified."""

    name: str

    def copy(self, entry: Entry, descriptor: int) -> None:
        """Write a stashed file's content to a descriptor."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """Where an entry goes, and the name beside it under which it is written first."""

    entry: Entry
    target: str
    beside: str


class Placing:
    """One restore: everything is written beside its place and synced, then all of it is renamed,
    then synced again.

    Two syncs of each file system are enough, however many files there are.  The first makes every
    content durable before any name leads to it: after a power cut a name leads to the former file
    or to the whole new one.  The second makes names, owners, modes and times durable before the
    caller notes that the restore is done.  A power cut between the two leaves some names new and
    some old: the restore is not noted, and runs again from its beginning.  A kernel whose sync of a
    file system tells of no write that has failed syncs each content besides.
    """

    def __init__(
        self,
        stash: Source,
        entries: Sequence[tuple[int, Entry]],
        owners: Owners,
        destination: pathlib.Path,
        sync: Callable[[str], None] = durable.sync_file_system,
        sync_content: Callable[[int], None] = durable.sync_content,
    ) -> None:
        self._stash = stash
        self._owners = owners
        # looked up before anything is written
        self._numbers = {entry.path: owners.of(entry) for _, entry in entries}
        self._sync_one = sync
        self._sync_content = sync_content
        root = str(destination).rstrip('/')
        self._prefix = beside.prefix()
        places = [
            _place(root + entry.path, f'{self._prefix}{index}', entry) for index, entry in entries
        ]
        self._directories = [it for it in places if it.entry.kind is EntryKind.DIRECTORY]
        self._others = [it for it in places if it.entry.kind is not EntryKind.DIRECTORY]
        self._linked = _of_several(self._others)
        self._links: dict[Hashable, str] = {}
        self._ready: set[str] = set()
        self._devices: dict[int, str] = {}

    def run(self) -> list[str]:
        """Put all of them there; returns remarks.

        :raises OSError: a file cannot be written, or another process removes it.
        :raises StepFailed: STASH_IN_THE_WAY; errors of the source.
        """
        for place in self._directories:
            self._directory(place)
        try:
            for place in self._others:
                self._beside(place)
            self._sync()
            for place in self._others:
                os.rename(place.beside, place.target)  # noqa: PTH104 - odd bytes stay as they are
        except BaseException:
            for place in self._others:
                with contextlib.suppress(OSError):
                    os.unlink(place.beside)  # noqa: PTH108 - odd bytes stay as they are
            raise
        for place in self._directories:
            self._attributes(place.target, place.entry)
        self._sync()
        return self._owners.remarks + [
            f'{place.entry.path!r} has no access list any more: its numbers mean other users here'
            for place in (*self._directories, *self._others)
            if attributes.ACCESS_LIST in place.entry.xattrs
        ]

    def _in_the_way(self, place: _Place) -> NoReturn:
        raise exceptions.StepFailed(
            f'The stash {self._stash.name} cannot be restored: at {place.target!r} there is '
            f'no {place.entry.kind}. Build an image without that.',
            'STASH_IN_THE_WAY',
        )

    def _directory(self, place: _Place) -> None:
        """Make a directory, closed to others; it gets its own mode once it is full."""
        self._parent(place)
        try:
            status = os.lstat(place.target)
        except FileNotFoundError:
            os.mkdir(place.target, 0o700)  # noqa: PTH102 - odd bytes stay as they are
            status = os.lstat(place.target)
        if not stat.S_ISDIR(status.st_mode):
            self._in_the_way(place)
        self._devices[status.st_dev] = place.target

    def _parent(self, place: _Place) -> None:
        """Make the directory that `place` is in, once for all that is in it; one that is there is
        rid of what an earlier run has left.
        """
        parent = os.path.dirname(place.target)  # noqa: PTH120 - odd bytes stay as they are
        if parent in self._ready:
            return
        self._ready.add(parent)
        missing = []
        while not os.path.isdir(parent):  # noqa: PTH112 - odd bytes stay as they are
            missing.append(parent)
            parent = os.path.dirname(parent)  # noqa: PTH120 - odd bytes stay as they are
        if not missing:
            beside.remove_left(parent, self._prefix)
        for parent in reversed(missing):
            os.mkdir(parent, _MODE_ON_THE_WAY)  # noqa: PTH102 - odd bytes stay as they are
            os.chmod(parent, _MODE_ON_THE_WAY)  # noqa: PTH101 - whatever the umask of the agent is
        self._devices[os.stat(parent).st_dev] = parent  # noqa: PTH116 - odd bytes stay as they are

    def _beside(self, place: _Place) -> None:
        self._parent(place)
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISDIR(os.lstat(place.target).st_mode):
                self._in_the_way(place)
        if place.entry.kind is EntryKind.SYMLINK:
            os.symlink(place.entry.target or '', place.beside)  # noqa: PTH211 - odd bytes stay as they are
            self._attributes(place.beside, place.entry)
        elif place.entry.link not in self._linked:
            self._file(place)
        else:
            self._one_of_several(place)

    def _one_of_several(self, place: _Place) -> None:
        same = _all_but_its_name(place.entry)
        if same in self._links:
            with contextlib.suppress(OSError):  # another file system: it becomes a file of its own
                os.link(self._links[same], place.beside)
                return
        self._file(place)
        self._links[same] = place.beside

    def _file(self, place: _Place) -> None:
        descriptor = os.open(
            place.beside,
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
            0o600,
        )
        try:
            self._stash.copy(place.entry, descriptor)
            try:
                self._attributes(descriptor, place.entry)
            except OSError as error:
                error.filename = place.target  # it is the descriptor's number
                raise
            self._sync_content(descriptor)
        finally:
            os.close(descriptor)

    def _attributes(self, place: str | int, entry: Entry) -> None:
        """Owner before mode: a new owner clears it.  Time last.

        The former root disk may have been taken over: a file that comes from it can be read, never
        run, and has no rights of its own.  A file has its descriptor for `place`, as it has no name
        yet that could lead elsewhere.
        """
        follow = isinstance(place, int)
        os.chown(place, *self._numbers[entry.path], follow_symlinks=follow)
        if entry.kind is not EntryKind.SYMLINK:
            attributes.set_extended(place, entry)
            os.chmod(place, attributes.mode(entry))  # noqa: PTH101 - odd bytes stay as they are
        os.utime(place, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=follow)

    def _sync(self) -> None:
        """Sync each file system that was written to."""
        for directory in self._devices.values():
            self._sync_one(directory)


def _place(target: str, name: str, entry: Entry) -> _Place:
    return _Place(entry, target, f'{os.path.dirname(target)}/{name}')  # noqa: PTH120 - odd bytes stay as they are


def _of_several(places: Iterable[_Place]) -> frozenset[int]:
    """Return the numbers of links that more than one file has."""
    counted = collections.Counter(
        place.entry.link for place in places if place.entry.link is not None
    )
    return frozenset(link for link, files in counted.items() if files > 1)


def _all_but_its_name(entry: Entry) -> Hashable:
    """Return what two names of one file have in common: what differs in any of it is no hard link,
    whatever the manifest has.
    """
    return repr(dataclasses.replace(entry, path='/'))
