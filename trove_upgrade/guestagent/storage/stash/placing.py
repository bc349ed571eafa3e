# SPDX-License-Identifier: Apache-2.0
"""Putting entries of a stash in their places on a root disk."""

import contextlib
import ctypes
import dataclasses
import os
import pathlib
import secrets
import stat
from collections.abc import Sequence
from typing import NoReturn, Protocol

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.storage.stash import attributes
from trove_upgrade.guestagent.storage.stash.manifest import Entry, EntryKind
from trove_upgrade.guestagent.storage.stash.owners import Owners

_BESIDE = '.trove-upgrade-'
_MODE_ON_THE_WAY = 0o755


class Source(Protocol):
    """A stash that has been verified."""

    name: str

    def copy(self, entry: Entry, descriptor: int) -> None:
        """Write a stashed file's content to a descriptor."""


class Placing:
    """One restore: everything is written beside its place and synced, then all of it is renamed,
    then synced again.
    """

    def __init__(
        self,
        stash: Source,
        entries: Sequence[tuple[int, Entry]],
        owners: Owners,
        destination: pathlib.Path,
    ) -> None:
        self._stash = stash
        self._entries = entries
        self._owners = owners
        # looked up before anything is written
        self._numbers = {entry.path: owners.of(entry) for _, entry in entries}
        self._root = str(destination).rstrip('/')
        self._links: dict[str, str] = {}
        self._devices: dict[int, str] = {}
        # an intruder who has written the manifest cannot know it
        self._prefix = f'{_BESIDE}{secrets.token_hex(8)}-'

    def run(self) -> list[str]:
        """Put all of them there; returns remarks.

        :raises OSError: a file cannot be written, or another process removes it.
        :raises StepFailed: STASH_IN_THE_WAY; errors of the source.
        """
        for _, entry in self._entries:
            if entry.kind is EntryKind.DIRECTORY:
                self._directory(entry)
        others = [
            (index, entry)
            for index, entry in self._entries
            if entry.kind is not EntryKind.DIRECTORY
        ]
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
            if entry.kind is EntryKind.DIRECTORY:
                self._attributes(self._target(entry), entry)
        self._sync()
        return self._owners.remarks + [
            f'{entry.path!r} has no access list any more: its numbers mean other users here'
            for _, entry in self._entries
            if attributes.ACCESS_LIST in entry.xattrs
        ]

    def _target(self, entry: Entry) -> str:
        return self._root + entry.path

    def _temporary(self, index: int, entry: Entry) -> str:
        return f'{os.path.dirname(self._target(entry))}/{self._prefix}{index}'  # noqa: PTH120 - odd bytes stay as they are

    def _in_the_way(self, entry: Entry) -> NoReturn:
        raise exceptions.StepFailed(
            f'The stash {self._stash.name} cannot be restored: at {self._target(entry)!r} there is '
            f'no {entry.kind}. Build an image without that.',
            'STASH_IN_THE_WAY',
        )

    def _directory(self, entry: Entry) -> None:
        """Make a directory, closed to others; it gets its own mode once it is full."""
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
        missing = []
        while not os.path.isdir(parent):  # noqa: PTH112 - odd bytes stay as they are
            missing.append(parent)
            parent = os.path.dirname(parent)  # noqa: PTH120 - odd bytes stay as they are
        for parent in reversed(missing):
            os.mkdir(parent, _MODE_ON_THE_WAY)  # noqa: PTH102 - odd bytes stay as they are
            os.chmod(parent, _MODE_ON_THE_WAY)  # noqa: PTH101 - whatever the umask of the agent is
        self._devices[os.stat(parent).st_dev] = parent  # noqa: PTH116 - odd bytes stay as they are

    def _beside(self, index: int, entry: Entry) -> None:
        target, temporary = self._target(entry), self._temporary(index, entry)
        self._parents(target)
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISDIR(os.lstat(target).st_mode):
                self._in_the_way(entry)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108 - odd bytes stay as they are
        if entry.kind is EntryKind.SYMLINK:
            os.symlink(entry.target or '', temporary)  # noqa: PTH211 - odd bytes stay as they are
        elif (inode := _inode(entry)) in self._links:
            with contextlib.suppress(OSError):  # another file system: it becomes a file of its own
                os.link(self._links[inode], temporary)
                return
        if entry.kind is EntryKind.FILE:
            self._file(entry, temporary)
        self._attributes(temporary, entry)

    def _file(self, entry: Entry, temporary: str) -> None:
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            self._stash.copy(entry, descriptor)
        finally:
            os.close(descriptor)
        if entry.link is not None:
            self._links[_inode(entry)] = temporary

    def _attributes(self, path: str, entry: Entry) -> None:
        """Owner before mode: a new owner clears it.  Time last.

        The former root disk may have been taken over: a file that comes from it can be read, never
        run, and has no rights of its own.
        """
        os.chown(path, *self._numbers[entry.path], follow_symlinks=False)
        if entry.kind is not EntryKind.SYMLINK:
            attributes.set_extended(path, entry)
            os.chmod(path, attributes.mode(entry))  # noqa: PTH101 - odd bytes stay as they are
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)

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


def _inode(entry: Entry) -> str:
    """All but the name: what differs in any of it is no hard link, whatever the manifest has."""
    return repr(dataclasses.replace(entry, path='/'))
