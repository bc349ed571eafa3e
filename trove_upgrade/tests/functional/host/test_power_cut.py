# SPDX-License-Identifier: Apache-2.0
"""A stash and its restore on a real ext4 that loses power: the kernel lets go of the file system
with all that is not on the disk yet.
"""

import fcntl
import os
import pathlib
import struct
import subprocess

import fixtures

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.machine import durable
from trove_upgrade.guestagent.storage.stash import publish
from trove_upgrade.guestagent.storage.stash.accounts import SystemAccounts
from trove_upgrade.guestagent.storage.stash.restore import Stash
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import seam

#: Source: the kernel's fs/ext4/ext4.h: EXT4_IOC_SHUTDOWN, and "do not flush the log".
_SHUTDOWN, _WITHOUT_THE_LOG = 0x8004587D, struct.pack('=I', 2)
_FILES = 12
_OLD, _NEW = b'of the image\n' * 300, b'as the old disk had it\n' * 500
#: Every third of a stash's and a restore's steps: 12 files have some 40 of a kind.
_MOMENTS = range(1, 60, 3)


class Disk:
    """An ext4 on a loop device, mounted.

    It keeps its device: one that `mount` makes is still going when the next one is wanted, and what
    is read through another one meanwhile can be an error.
    """

    def __init__(self, directory, name):
        self.image, self.place = directory / f'{name}.image', directory / name
        self.place.mkdir()
        with self.image.open('xb') as stream:
            stream.truncate(16 << 20)
        subprocess.run(('mkfs.ext4', '-q', self.image), check=True, timeout=60)
        self.device = subprocess.run(
            ('losetup', '--find', '--show', self.image),
            check=True,
            timeout=60,
            capture_output=True,
            text=True,
        ).stdout.strip()
        self.mount()

    def mount(self):
        subprocess.run(('mount', self.device, self.place), check=True, timeout=60)

    def unmount(self):
        subprocess.run(('umount', self.place), check=True, timeout=60)

    def end(self):
        self.unmount()
        subprocess.run(('losetup', '--detach', self.device), check=True, timeout=60)

    def other_program_syncs(self):
        """A program syncs a file of its own: the log is on the disk with all names of this moment,
        and not with their contents.
        """
        with (self.place / 'of-another-program').open('wb') as stream:
            os.fsync(stream.fileno())

    def cut(self):
        """No write reaches the disk from now on, and none that was not synced has."""
        descriptor = os.open(self.place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, _WITHOUT_THE_LOG)
        finally:
            os.close(descriptor)

    def power_on(self):
        self.unmount()
        self.mount()


class PowerCutTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.top = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.source = self.top / 'etc'
        for number in range(_FILES):
            path = self.source / f'{number % 3}' / f'{number}.cnf'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_NEW)
            path.chmod(0o640)
        (self.source / 'link.cnf').symlink_to('0/0.cnf')

    def disk(self, name):
        disk = Disk(self.top, name)
        self.addCleanup(disk.end)
        return disk

    def publish(self, volume, attempt=1):
        return publish.publish([self.source], volume, 'u', attempt, {}, SystemAccounts())

    def cut_at(self, moment, disk):
        """At the `moment`-th step towards a file system."""
        seen = []

        def act(_event, _what):
            seen.append(1)
            if len(seen) == moment:
                disk.other_program_syncs()
                disk.cut()

        return seam.before(act)

    def restored(self, root):
        return {
            str(path): path.read_bytes()
            for path in pathlib.Path(f'{root}{self.source}').rglob('*.cnf')
        }

    def test_without_a_sync_the_power_cut_loses_what_was_written(self):
        disk = self.disk('volume')
        (disk.place / 'file').write_bytes(_NEW)
        disk.cut()
        disk.power_on()
        self.assertFalse((disk.place / 'file').exists())

    def test_a_stash_that_is_published_is_whole_after_a_power_cut(self):
        disk = self.disk('volume')
        published = self.publish(disk.place / 'kept')
        disk.cut()
        disk.power_on()
        with Stash.open(disk.place / 'kept', published.name, published.digest) as stash:
            stash.restore(stash.paths(), SystemAccounts(), self.top / 'there')
        self.assertEqual({_NEW}, set(self.restored(self.top / 'there').values()))

    def test_a_power_cut_while_a_stash_is_written_leaves_none_under_its_name(self):
        disk = self.disk('volume')
        failed = 0
        for moment in _MOMENTS:
            with self.cut_at(moment, disk):
                try:
                    name = self.publish(disk.place / 'kept', moment).name
                except OSError:
                    name = None
                    failed += 1
            disk.power_on()
            self.assertEqual(
                name is not None, (disk.place / 'kept' / f'stash-u-{moment}').exists(), moment
            )
        self.assertGreater(failed, 3)

    def test_what_is_restored_is_whole_after_a_power_cut(self):
        volume, root = self.top / 'volume', self.disk('root')
        published = self.publish(volume)
        with Stash.open(volume, published.name, published.digest) as stash:
            stash.restore(stash.paths(), SystemAccounts(), root.place)
        root.cut()
        root.power_on()
        found = self.restored(root.place)
        self.assertEqual(_FILES + 1, len(found))
        self.assertEqual({_NEW}, set(found.values()))
        self.assertEqual(
            {0o640},
            {os.stat(path).st_mode & 0o7777 for path in found},  # noqa: PTH116 - by name
        )

    def test_a_power_cut_at_any_step_of_a_restore_leaves_each_file_old_or_new_and_whole(self):
        volume, root = self.top / 'volume', self.disk('root')
        published = self.publish(volume)
        kinds = set()
        with Stash.open(volume, published.name, published.digest) as stash:
            for moment in _MOMENTS:
                self.image_of_its_own(root.place)
                with self.cut_at(moment, root):
                    try:
                        stash.restore(stash.paths(), SystemAccounts(), root.place)
                    except exceptions.StepFailed as error:
                        self.assertEqual('STASH_NOT_RESTORED', error.code)
                root.power_on()
                found = set(self.restored(root.place).values())
                kinds.add(frozenset(found))
                self.assertLessEqual(found, {_OLD, _NEW}, moment)
                stash.restore(stash.paths(), SystemAccounts(), root.place)
                self.assertEqual({_NEW}, set(self.restored(root.place).values()), moment)
        self.assertIn(frozenset({_OLD}), kinds, 'no cut was before the first rename')

    def image_of_its_own(self, root):
        """The new image has other files in half of the places, and they are on the disk."""
        for number in range(_FILES):
            path = pathlib.Path(f'{root}{self.source}') / f'{number % 3}' / f'{number}.cnf'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if number % 2:
                path.write_bytes(_OLD)
        (pathlib.Path(f'{root}{self.source}') / 'link.cnf').unlink(missing_ok=True)
        durable.sync_file_system(str(root))
