# SPDX-License-Identifier: Apache-2.0
"""Loop devices that the lab takes for its own, on the kernel's real list."""
import pathlib
import subprocess

import fixtures

from trove_upgrade.lab import cleanup
from trove_upgrade.tests.unit import base

#: Attaches a file of the same path in a mount namespace in which that path is another directory.
ELSEWHERE = 'mount --bind "$1" "$2" && losetup --find --show "$2/volume"'


class LoopDevicesTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.run_dir = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def attach(self, directory, *argv):
        with (directory / 'volume').open('wb') as stream:
            stream.truncate(1 << 20)
        device = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout.strip()
        self.addCleanup(subprocess.run, ('losetup', '--detach', device), check=True)
        return device

    def test_a_device_whose_file_is_below_the_run_directory_is_ours(self):
        device = self.attach(self.run_dir, 'losetup', '--find', '--show', str(self.run_dir / 'volume'))
        self.assertEqual([device], cleanup.loop_devices(self.run_dir))

    def test_a_file_of_the_same_path_on_another_machines_root_is_not_ours(self):
        other = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (self.run_dir / 'volume').touch()
        self.attach(other, 'unshare', '--mount', 'sh', '-euc', ELSEWHERE, 'sh', str(other), str(self.run_dir))
        self.assertEqual([], cleanup.loop_devices(self.run_dir))
