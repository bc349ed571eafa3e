# SPDX-License-Identifier: Apache-2.0
"""A guest's data volume: a sparse file behind a loop device, with ext4 and a known UUID, or raw as
Cinder delivers one.

For callers::

    store = VolumeStore(layout.volumes_dir, HostCommands())
    volume = store.ensure('server id',
                          size_bytes=2 * GIB)  # second call: the same volume, nothing is formatted
    device = store.attach(volume)  # '/dev/loop3'
    store.wait_free(volume)  # after the guest is gone: the kernel unmounts later
    store.detach(volume)
    store.destroy('server id')

The volume outlives rebuilds of its guest, and so does its loop device, as a Cinder volume and its
attachment do.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import struct
import uuid
from pathlib import Path

from lab import errors
from lab.commands import Commands
from trove_upgrade.waiting import wait_until

GIB = 1024**3
_FREE_SECONDS = 20
_EXT4_IOC_SHUTDOWN = 0x8004587D
#: EXT4_GOING_FLAGS_NOLOGFLUSH: what was not synced is lost, as when the power fails
_NO_LOG_FLUSH = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Volume:
    """A volume as it is on disk.

    `filesystem_uuid` is what each program finds it by: never a device name.  Empty where the volume
    was made raw: its user formats it, and `VolumeStore.probe_uuid` tells what is on it now.
    """

    volume_id: str
    filesystem_uuid: str
    path: Path
    size_bytes: int


class VolumeStore:
    """Makes, attaches and removes volumes; their state is in files, so any process of the lab may
    ask.
    """

    def __init__(self, volumes_dir: Path, commands: Commands) -> None:
        self._dir = volumes_dir
        self._commands = commands

    def find(self, volume_id: str) -> Volume | None:
        """The volume as recorded, or None where there is none of that id."""
        record = self._dir / f'{volume_id}.json'
        if not record.exists():
            return None
        data = json.loads(record.read_text('utf-8'))
        return Volume(
            volume_id=volume_id,
            filesystem_uuid=data['filesystem_uuid'],
            path=self._dir / f'{volume_id}.img',
            size_bytes=data['size_bytes'],
        )

    def all(self) -> list[Volume]:
        """Every volume of this lab."""
        found = (self.find(record.stem) for record in sorted(self._dir.glob('*.json')))
        return [volume for volume in found if volume is not None]

    def ensure(
        self,
        volume_id: str,
        size_bytes: int,
        filesystem_uuid: str | None = None,
        *,
        raw: bool = False,
    ) -> Volume:
        """The volume of that id; made, and unless `raw` formatted, only where there is none yet.

        The record is written last, by a rename: a volume without its record was never in use, and
        is made anew.
        """
        existing = self.find(volume_id)
        if existing is not None:
            return existing
        self._dir.mkdir(parents=True, exist_ok=True)
        volume = Volume(
            volume_id=volume_id,
            filesystem_uuid='' if raw else filesystem_uuid or str(uuid.uuid4()),
            path=self._dir / f'{volume_id}.img',
            size_bytes=size_bytes,
        )
        make_sparse(volume.path, size_bytes)
        if not raw:
            make_file_system(volume.path, self._commands, '-U', volume.filesystem_uuid)
        record = self._dir / f'{volume_id}.json'
        fresh = record.with_suffix('.new')
        fresh.write_text(
            json.dumps({'filesystem_uuid': volume.filesystem_uuid, 'size_bytes': size_bytes}),
            'utf-8',
        )
        fresh.rename(record)
        return volume

    def device(self, volume: Volume) -> str | None:
        """The loop device that has the volume now ('/dev/loop3'), or None."""
        listing = self._commands.run(
            ['losetup', '--noheadings', '--output', 'NAME', '--associated', str(volume.path)]
        )
        names = listing.output.split()
        return names[0] if names else None

    def probe_uuid(self, volume: Volume) -> str:
        """The UUID of the file system that is on the volume now; empty where there is none."""
        return self._commands.run(
            ['blkid', '-p', '-o', 'value', '-s', 'UUID', str(volume.path)], check=False
        ).output.strip()

    def attach(self, volume: Volume) -> str:
        """Give the volume a loop device and return its name; a second call returns the same."""
        return (
            self.device(volume)
            or self._commands.run(['losetup', '--find', '--show', str(volume.path)]).output.strip()
        )

    def wait_free(self, volume: Volume) -> None:
        """Return when no mount namespace has the volume mounted any more.

        The kernel unmounts 0.1 to 0.2 s after the guest's last process has gone, and the host's
        mount table never shows it; /sys/fs/ext4 does.

        :raises errors.TimedOut: something still holds the file system.
        """
        device = self.device(volume)
        if device is None:
            return
        in_use = Path('/sys/fs/ext4') / Path(device).name
        if not wait_until(lambda: not in_use.exists(), _FREE_SECONDS, interval_seconds=0.02):
            raise errors.TimedOut(
                f'volume {volume.volume_id} on {device} to be free',
                _FREE_SECONDS,
                'A process still holds the file system: look with `grep <device> '
                '/proc/*/mountinfo`.',
            )

    def detach(self, volume: Volume) -> None:
        """Take the loop device away, once nothing has the volume mounted.  A detached volume stays
        detached.
        """
        self.wait_free(volume)
        device = self.device(volume)
        if device is not None:
            self._commands.run(['losetup', '--detach', device])

    def destroy(self, volume_id: str) -> None:
        """Detach the volume and remove its data.  An unknown volume is no error."""
        volume = self.find(volume_id)
        if volume is None:
            return
        self.detach(volume)
        volume.path.unlink(missing_ok=True)
        (self._dir / f'{volume_id}.json').unlink(missing_ok=True)


def make_sparse(file: Path, size_bytes: int) -> None:
    """Make a file that takes no space until something is written to it."""
    with file.open('wb') as disk:
        disk.truncate(size_bytes)


def make_file_system(file: Path, commands: Commands, *options: str) -> None:
    """Make ext4 in the file; what can be made later is made when the file system is used."""
    later = ('-m', '0', '-E', 'lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0')
    commands.run(['mkfs.ext4', '-q', '-F', *options, *later, str(file)])


def power_cut(mounted_at: Path) -> None:
    """End all writing to the ext4 file system mounted at this path, as if the power had failed.

    Killing a guest is no power cut, as the page cache survives it.  After this call every access
    fails with EIO until the file system is mounted anew; kill the guest at once.  A path inside a
    guest is `/proc/<pid>/root/var/lib/mysql`.
    """
    descriptor = os.open(mounted_at, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(descriptor, _EXT4_IOC_SHUTDOWN, struct.pack('i', _NO_LOG_FLUSH))
    finally:
        os.close(descriptor)
