# SPDX-License-Identifier: Apache-2.0
import pathlib
import tempfile

from lab import cleanup, layout
from trove_upgrade.tests.unit import base


class CleanupTest(base.TestCase):
    def setUp(self):
        super().setUp()
        root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.layout = layout.Layout(root / 'cache', root / 'run')

    def test_only_the_logs_stay(self):
        self.layout.prepare()
        (self.layout.logs_dir / 'one.log').write_text('why')
        (self.layout.run_dir / 'a-file').write_text('x')
        cleanup.files(self.layout)
        self.assertEqual([self.layout.logs_dir], list(self.layout.run_dir.iterdir()))
        self.assertTrue((self.layout.logs_dir / 'one.log').exists())

    def test_nothing_to_clean_is_no_error(self):
        cleanup.files(self.layout)
        cleanup.devices(self.layout.run_dir)

    def test_a_mount_elsewhere_is_not_ours(self):
        self.assertEqual([], cleanup.mounts(self.layout.run_dir))
        self.assertIn('/proc', cleanup.mounts(pathlib.Path('/')))
        self.assertEqual([], cleanup.loop_devices(self.layout.run_dir))
