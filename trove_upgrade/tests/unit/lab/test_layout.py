# SPDX-License-Identifier: Apache-2.0
import pathlib

from lab import layout
from trove_upgrade.tests.unit import base


class LayoutTest(base.TestCase):
    def test_the_environment_names_both_roots(self):
        found = layout.Layout.from_environ(
            {layout.CACHE_VARIABLE: '/a', layout.RUN_VARIABLE: '/b', 'HOME': '/home/x'}
        )
        self.assertEqual((pathlib.Path('/a'), pathlib.Path('/b')), (found.cache_dir, found.run_dir))

    def test_without_them_the_cache_is_the_users(self):
        found = layout.Layout.from_environ({'HOME': '/home/x'})
        self.assertEqual(pathlib.Path('/home/x/.cache/trove-upgrade'), found.cache_dir)
        self.assertEqual(layout.DEFAULT_RUN_DIR, found.run_dir)

    def test_xdg_moves_the_cache(self):
        found = layout.Layout.from_environ({'HOME': '/home/x', 'XDG_CACHE_HOME': '/big'})
        self.assertEqual(pathlib.Path('/big/trove-upgrade'), found.cache_dir)

    def test_a_relative_directory_becomes_absolute(self):
        found = layout.Layout.from_environ({layout.RUN_VARIABLE: 'here', 'HOME': '/home/x'})
        self.assertTrue(found.run_dir.is_absolute())

    def test_the_lock_is_not_in_what_down_removes(self):
        found = layout.Layout.from_environ({'HOME': '/home/x'})
        self.assertFalse(found.lock_file.is_relative_to(found.run_dir))
