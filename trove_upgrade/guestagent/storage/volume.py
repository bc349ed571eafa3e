# SPDX-License-Identifier: Apache-2.0
"""The volume: found by UUID and never by device name, mounted, unmounted, and never formatted.

/dev/disk/by-uuid needs udev, which not every guest runs: the devices themselves are asked.
"""

import dataclasses
import os
import pathlib
import stat
from typing import NoReturn, Protocol

from trove_upgrade import clock as clock_module
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.codes import Code
from trove_upgrade.guestagent.machine import commands as commands_module
from trove_upgrade.guestagent.machine import durable, listing
from trove_upgrade.guestagent.storage import mounts
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.waiting import wait_until


@dataclasses.dataclass(frozen=True)
class Mounted:
    """The file system that is mounted at the volume's mount point now."""

    uuid: str
    filesystem: str
    options: str  #: per mount, good for mounting it again as it was


class VolumePort(Protocol):
    """The agent's operations on the volume."""

    def mounted(self) -> Mounted | None:
        """Return what is mounted at the mount point; None if nothing is.

        :raises StepFailed: VOLUME_UNKNOWN; something is, and it cannot be said what.
        """

    def mount(self, uuid: str, options: str | None = None, wait_seconds: float = 0) -> None:
        """Mount the file system with this UUID at the mount point.  Safe to repeat.

        A volume that is not attached yet is waited for.

        :raises StepFailed: VOLUME_NOT_FOUND, VOLUME_AMBIGUOUS, VOLUME_OTHER_MOUNTED,
            VOLUME_NOT_MOUNTED.
        """

    def unmount(self) -> None:
        """Unmount, and prove that nothing holds the volume any more, in whichever mount namespace.
        Safe to repeat.

        :raises StepFailed: VOLUME_BUSY; the message names the holders.
        """

    def free_bytes(self) -> int:
        """Return what root may still write on the mounted volume."""

    def size_bytes(self) -> int:
        """Return the size of the mounted volume's file system."""

    def holders(self) -> list[str]:
        """Processes that have something on the mounted volume open, as '1234 (name)'."""

    def write_fstab(self, uuid: str, filesystem: str) -> None:
        """Let the volume be mounted at boot, by UUID; durable.  Safe to repeat."""

    def in_fstab(self, uuid: str) -> bool:
        """Return whether fstab mounts exactly this volume at the mount point."""


class Volume:
    """Data volume of the guest, mounted and unmounted with the system's commands."""

    def __init__(
        self,
        layout: Layout,
        commands: commands_module.Commands,
        clock: clock_module.SystemClock,
        mount_options: str,
        busy_seconds: float = 10,
    ) -> None:
        self._layout = layout
        self._commands = commands
        self._clock = clock
        self._mount_options = mount_options
        self._busy_seconds = busy_seconds

    def _mount(self) -> mounts.Mount | None:
        """The last one at the mount point is the one that is seen."""
        at_point = [
            mount for mount in mounts.read() if mount.mount_point == str(self._layout.volume)
        ]
        return at_point[-1] if at_point else None

    def mounted(self) -> Mounted | None:
        mount = self._mount()
        if mount is None:
            return None
        return Mounted(self._uuid_of(_device(mount)), mount.filesystem, mount.options)

    def _uuid_of(self, device: str) -> str:
        """Read the file system's UUID from the device's own superblock: no cache, no udev."""
        done = self._commands.run(['blkid', '-p', '-o', 'value', '-s', 'UUID', device])
        uuid = done.stdout.strip()
        if done.returncode != 0 or not uuid:
            raise exceptions.StepFailed(
                f'It cannot be said which volume is mounted at {self._layout.volume}: blkid finds '
                f"no UUID on {device} ({done.said}). Mount the instance's volume there.",
                'VOLUME_UNKNOWN',
            )
        return uuid

    def _devices(self, uuid: str) -> list[str]:
        """Devices with a file system of this UUID; -c /dev/null: what a cache remembers is not
        asked.
        """
        done = self._commands.run(
            ['blkid', '-c', '/dev/null', '-t', f'UUID={uuid}', '-o', 'device']
        )
        return done.stdout.split()

    def mount(self, uuid: str, options: str | None = None, wait_seconds: float = 0) -> None:
        there = self.mounted()
        if there is not None:
            self._check_is(there.uuid, uuid)
            return
        device = self._wait_for_one(uuid, wait_seconds)
        durable.make_directory(self._layout.volume)
        done = self._commands.run(
            ['mount', '-o', options or self._mount_options, device, str(self._layout.volume)]
        )
        if done.returncode != 0:
            raise exceptions.StepFailed(
                f'The volume {uuid} cannot be mounted at {self._layout.volume}: {done.said}. '
                f'Look at its file system in the guest.',
                Code.VOLUME_NOT_MOUNTED,
            )
        now = self.mounted()
        self._check_is(now.uuid if now else 'nothing', uuid)

    def _check_is(self, found: str, expected: str) -> None:
        if found != expected:
            raise exceptions.StepFailed(
                f'The volume {expected} is not what is mounted at {self._layout.volume}: '
                f'{found} is. '
                f'Unmount that and try again.',
                'VOLUME_OTHER_MOUNTED',
            )

    def _wait_for_one(self, uuid: str, wait_seconds: float) -> str:
        """The device that has this UUID now: `mount UUID=` would ask a cache that can speak of an
        earlier device of that name.
        """
        found = wait_until(
            lambda: self._devices(uuid),
            wait_seconds,
            monotonic=self._clock.monotonic,
            sleep=self._clock.sleep,
            interval_seconds=0.5,
        )
        if not found:
            raise exceptions.StepFailed(
                f'The volume {uuid} cannot be found: no device of the guest has a file system '
                'with this UUID. Attach the volume to the server and try again.',
                Code.VOLUME_NOT_FOUND,
            )
        if len(found) > 1:
            raise exceptions.StepFailed(
                f'The volume {uuid} cannot be told from a copy of it: {", ".join(found)} have the '
                'same UUID. Detach the copy and try again.',
                'VOLUME_AMBIGUOUS',
            )
        return found[0]

    def unmount(self) -> None:
        """A server that has just gone may hold on for a moment: it is given that."""
        deadline = self._clock.monotonic() + self._busy_seconds
        while (mount := self._mount()) is not None:
            device = _device(mount)
            done = self._commands.run(['umount', str(self._layout.volume)])
            if done.returncode != 0 and self._clock.monotonic() >= deadline:
                self._busy(done.said)
            if done.returncode == 0 and self._mount() is None:
                self._wait_until_free(device, deadline)
                return
            if done.returncode != 0:
                self._clock.sleep(0.2)

    def _wait_until_free(self, device: str, deadline: float) -> None:
        """Another mount namespace can have it still, and umount has told nothing of that."""
        is_free = wait_until(
            lambda: mounts.is_free(device),
            deadline - self._clock.monotonic(),
            monotonic=self._clock.monotonic,
            sleep=self._clock.sleep,
            interval_seconds=0.1,
        )
        if not is_free:
            self._busy(f'{device} is still mounted elsewhere, in another mount namespace perhaps')

    def _busy(self, said: str) -> NoReturn:
        names = ', '.join(self.holders()) or 'no process that can be seen'
        raise exceptions.StepFailed(
            f'The volume cannot be unmounted from {self._layout.volume}: {said}; it is held by '
            f'{names}. End what holds it and try again.',
            'VOLUME_BUSY',
        )

    def free_bytes(self) -> int:
        numbers = os.statvfs(self._layout.volume)
        return numbers.f_bfree * numbers.f_frsize

    def size_bytes(self) -> int:
        numbers = os.statvfs(self._layout.volume)
        return numbers.f_blocks * numbers.f_frsize

    def holders(self) -> list[str]:
        if self._mount() is None:
            return []
        return mounts.holders(self._layout.volume.stat().st_dev)

    def write_fstab(self, uuid: str, filesystem: str) -> None:
        """Write the volume's line; other lines stay as they are, byte for byte; `nofail`: a guest
        without its volume must still boot.
        """
        lines = [
            line for line in self._fstab_lines() if _mount_point(line) != str(self._layout.volume)
        ]
        lines.append(
            f'UUID={uuid} {self._layout.volume} {filesystem} {self._mount_options},nofail 0 2'
        )
        durable.write(self._layout.fstab, os.fsencode('\n'.join(lines) + '\n'))

    def in_fstab(self, uuid: str) -> bool:
        here = [
            line.split()[0]
            for line in self._fstab_lines()
            if _mount_point(line) == str(self._layout.volume)
        ]
        return here == [f'UUID={uuid}']

    def _fstab_lines(self) -> list[str]:
        try:
            return os.fsdecode(self._layout.fstab.read_bytes()).splitlines()
        except FileNotFoundError:
            return []


def _mount_point(line: str) -> str | None:
    fields = line.split()
    return fields[1] if len(fields) > 1 and not fields[0].startswith('#') else None


def _device(mount: mounts.Mount) -> str:
    """The device node of a mount; the kernel's own name for it can be one that this /dev does not
    have.

    :raises StepFailed: VOLUME_UNKNOWN.
    """
    for node in (pathlib.Path(mount.source), *listing.matching(pathlib.Path('/dev'))):
        try:
            status = node.stat()
        except OSError:
            continue
        if (
            stat.S_ISBLK(status.st_mode)
            and f'{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}' == mount.device
        ):
            return str(node)
    raise exceptions.StepFailed(
        f'It cannot be said which volume is mounted at {mount.mount_point}: no block device in '
        f"/dev is {mount.device} ({mount.source}). Mount the instance's volume there.",
        'VOLUME_UNKNOWN',
    )
