# SPDX-License-Identifier: Apache-2.0
"""One process at a time makes what is kept in a directory of the cache."""

import fcntl
import pathlib
import tempfile

from lab.cache_lock import locked
from trove_upgrade.tests.unit import base


def is_held(path):
    with path.open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class TestCacheLock(base.TestCase):
    def setUp(self):
        super().setUp()
        self.told = []
        self.cache = (
            pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / 'new' / 'cache'
        )

    def test_no_other_gets_it_before_it_is_let_go(self):
        with locked(self.cache, self.told.append):
            self.assertTrue(is_held(self.cache / 'lock'))
        self.assertFalse(is_held(self.cache / 'lock'))

    def test_a_wait_is_told_and_ends_when_the_other_lets_go(self):
        self.cache.mkdir(parents=True)
        held = (self.cache / 'lock').open('w')
        fcntl.flock(held, fcntl.LOCK_EX)

        def let_go(message):
            self.told.append(message)
            held.close()

        with locked(self.cache, let_go):
            self.assertTrue(is_held(self.cache / 'lock'))
        [message] = self.told
        self.assertIn(str(self.cache), message)

    def test_what_fails_lets_go_of_it(self):
        with self.assertRaisesRegex(OSError, 'full'), locked(self.cache, self.told.append):
            raise OSError('full')
        self.assertFalse(is_held(self.cache / 'lock'))

    def test_locks_of_other_names_do_not_wait_for_each_other(self):
        with locked(self.cache, print, 'one'), locked(self.cache, print, 'two'):
            self.assertFalse(is_held(self.cache / 'lock'))
