# SPDX-License-Identifier: Apache-2.0
"""The guest's volume on a real ext4 file system on a loop device."""

import contextlib
import os
import pathlib
import subprocess
import time
import uuid

import fixtures

from trove_upgrade import clock as clock_module
from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.machine import commands as commands_module
from trove_upgrade.guestagent.storage import mounts
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.storage.volume import Volume
from trove_upgrade.tests.unit import base


def _succeeds(*argv):
    return subprocess.run(
        argv, check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()


class VolumeTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.layout = Layout(self.directory / 'root')
        self.layout.etc.mkdir(parents=True)
        self.layout.volume.mkdir(parents=True)
        self.volume = Volume(
            self.layout,
            commands_module.SystemCommands(),
            clock_module.SystemClock(),
            'noatime,nodev,nosuid',
            busy_seconds=0.5,
        )
        self.addCleanup(self._unmount_all)
        self.uuid, self.device = self._file_system('first')

    def _unmount_all(self):
        for _ in [mount for mount in mounts.read() if mount.mount_point == str(self.layout.volume)]:
            subprocess.run(['umount', '--lazy', str(self.layout.volume)], check=False)

    def _file_system(self, name, file_system_uuid=None):
        path, file_system_uuid = self.directory / name, file_system_uuid or str(uuid.uuid4())
        with path.open('wb') as stream:
            stream.truncate(16 << 20)
        _succeeds('mkfs.ext4', '-q', '-U', file_system_uuid, str(path))
        device = _succeeds('losetup', '--find', '--show', str(path))
        self.addCleanup(_succeeds, 'losetup', '--detach', device)
        return file_system_uuid, device

    def _code(self, function, *args):
        return self.assertRaises(exceptions.StepFailed, function, *args).code

    def test_a_volume_is_mounted_by_uuid_and_unmounted(self):
        self.assertIsNone(self.volume.mounted())
        self.volume.mount(self.uuid)
        self.volume.mount(self.uuid)
        mounted = self.volume.mounted()
        self.assertEqual((self.uuid, 'ext4'), (mounted.uuid, mounted.filesystem))
        self.assertIn('noatime', mounted.options)
        self.assertIn('nosuid', mounted.options)
        self.assertGreater(self.volume.free_bytes(), 1 << 20)
        self.assertGreater(self.volume.size_bytes(), self.volume.free_bytes())
        self.volume.unmount()
        self.volume.unmount()
        self.assertIsNone(self.volume.mounted())
        self.assertTrue(mounts.is_free(self.device))

    def test_the_options_that_a_mount_had_can_mount_it_again(self):
        self.volume.mount(self.uuid, 'sync,noexec')
        options = self.volume.mounted().options
        self.volume.unmount()
        self.volume.mount(self.uuid, options)
        self.assertEqual(options, self.volume.mounted().options)

    def test_another_volume_at_the_mount_point_is_refused(self):
        other, _ = self._file_system('second')
        self.volume.mount(other)
        self.assertEqual('VOLUME_OTHER_MOUNTED', self._code(self.volume.mount, self.uuid))
        self.assertEqual(other, self.volume.mounted().uuid)

    def test_a_volume_and_its_copy_are_not_guessed_between(self):
        self._file_system('copy', self.uuid)
        self.assertEqual('VOLUME_AMBIGUOUS', self._code(self.volume.mount, self.uuid))

    def test_a_volume_that_is_not_there_is_waited_for_and_then_refused(self):
        before = time.monotonic()
        self.assertEqual(
            'VOLUME_NOT_FOUND', self._code(self.volume.mount, str(uuid.uuid4()), None, 0.6)
        )
        self.assertGreaterEqual(time.monotonic() - before, 0.6)

    def test_a_directory_that_is_no_mount_point_counts_as_nothing(self):
        (self.layout.volume / 'data').mkdir()
        self.assertIsNone(self.volume.mounted())
        self.assertEqual([], self.volume.holders())

    def test_a_volume_that_a_process_holds_is_busy_and_the_process_is_named(self):
        self.volume.mount(self.uuid)
        with (self.layout.volume / 'file').open('w'):
            error = self.assertRaises(exceptions.StepFailed, self.volume.unmount)
            self.assertEqual('VOLUME_BUSY', error.code)
            self.assertIn(f'{os.getpid()} (', error.message)
        self.assertEqual(self.uuid, self.volume.mounted().uuid)
        self.volume.unmount()

    def test_a_volume_that_another_mount_namespace_holds_is_busy(self):
        self.volume.mount(self.uuid)
        # A copy of all mounts that hears of no unmount here.
        holder = subprocess.Popen(
            [
                'unshare',
                '--mount',
                '--propagation',
                'private',
                'sh',
                '-c',
                'echo ready; exec sleep 60',
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        with contextlib.closing(holder.stdout):
            self.assertEqual('ready\n', holder.stdout.readline())
            self.assertEqual('VOLUME_BUSY', self._code(self.volume.unmount))
            holder.kill()
            holder.wait(timeout=10)
        self.volume.mount(self.uuid)
        self.volume.unmount()

    def test_fstab_names_the_volume_by_uuid_alone_and_keeps_its_other_lines(self):
        self.layout.fstab.write_text(
            f'# a comment\n/dev/sda1 / ext4 defaults 0 1\n/dev/vdb {self.layout.volume} ext3 '
            'defaults 0 0\n'
        )
        self.assertFalse(self.volume.in_fstab(self.uuid))
        for _ in range(2):
            self.volume.write_fstab(self.uuid, 'ext4')
            self.assertEqual(
                f'# a comment\n/dev/sda1 / ext4 defaults 0 1\nUUID={self.uuid} '
                f'{self.layout.volume} ext4 noatime,nodev,nosuid,nofail 0 2\n',
                self.layout.fstab.read_text(),
            )
        self.assertTrue(self.volume.in_fstab(self.uuid))
        self.assertFalse(self.volume.in_fstab('another'))
        told = _succeeds(
            'findmnt',
            '--tab-file',
            str(self.layout.fstab),
            '--noheadings',
            '--output',
            'SOURCE',
            str(self.layout.volume),
        )
        self.assertEqual(f'UUID={self.uuid}', told)

    def test_a_guest_without_fstab_gets_one(self):
        self.volume.write_fstab(self.uuid, 'ext4')
        self.assertTrue(self.volume.in_fstab(self.uuid))

    def test_the_last_of_two_mounts_is_the_one_that_counts(self):
        other, device = self._file_system('second')
        self.volume.mount(self.uuid)
        _succeeds('mount', device, str(self.layout.volume))
        self.assertEqual(other, self.volume.mounted().uuid)

    def test_what_has_no_block_device_cannot_be_named(self):
        _succeeds('mount', '-t', 'tmpfs', 'tmpfs', str(self.layout.volume))
        self.assertEqual('VOLUME_UNKNOWN', self._code(self.volume.mounted))
