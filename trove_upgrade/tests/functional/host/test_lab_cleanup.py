# SPDX-License-Identifier: Apache-2.0
"""Loop devices that the lab takes for its own, on the kernel's real list."""

import pathlib
import subprocess

import fixtures

from lab import cleanup
from trove_upgrade.tests.unit import base

#: Attaches a file as a machine does whose root directory is "$1".  Such a machine, and the kernel's
#: list, name it "$2".
ATTACH = 'mount --bind "$1" "$1" && losetup --find --show "$1/$2"'


class LoopDevicesTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.run_dir = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def attach(self, root):
        path = root / self.run_dir.relative_to('/') / 'volume'
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open('wb') as stream:
            stream.truncate(1 << 20)
        done = subprocess.run(
            [
                'unshare',
                '--mount',
                'sh',
                '-euc',
                ATTACH,
                'sh',
                str(root),
                str(self.run_dir / 'volume'),
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        device = done.stdout.strip()
        self.addCleanup(subprocess.run, ('losetup', '--detach', device), check=True)
        return device

    def test_a_device_whose_file_is_below_the_run_directory_is_ours(self):
        device = self.attach(pathlib.Path('/'))
        self.assertEqual([device], cleanup.loop_devices(self.run_dir))

    def test_a_file_of_the_same_path_on_another_machines_root_is_not_ours(self):
        other = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (self.run_dir / 'volume').touch()
        device = self.attach(other)
        listed = subprocess.run(
            ['losetup', '--list', '--noheadings', '--output', 'BACK-FILE', device],
            check=True,
            capture_output=True,
            text=True,
        )
        self.assertEqual(str(self.run_dir / 'volume'), listed.stdout.strip())
        self.assertEqual([], cleanup.loop_devices(self.run_dir))
        self.assertEqual([device], cleanup.loop_devices(other, other))
