# SPDX-License-Identifier: Apache-2.0
import io
import threading
import time

from trove_upgrade.lab import progress
from trove_upgrade.tests.unit import base

DEADLINE_SECONDS = 20.0


class _Stream(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self._terminal = terminal

    def isatty(self):
        return self._terminal


class ProgressTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.now = 0.0

    def progress(self, *, terminal=False):
        self.stream = _Stream(terminal)
        return progress.Progress(self.stream, clock=lambda: self.now)

    def wait_for(self, text):
        deadline = time.monotonic() + DEADLINE_SECONDS
        while text not in self.stream.getvalue():
            self.assertLess(time.monotonic(), deadline, self.stream.getvalue())
            threading.Event().wait(0.02)

    def test_a_short_phase_is_one_line_in_a_log(self):
        with self.progress().phase('Making tea'):
            self.now = 1.0
        self.assertEqual('Making tea: done (1.0 s)\n', self.stream.getvalue())

    def test_a_long_phase_says_how_far_it_is(self):
        with self.progress().phase('Making tea') as tell:
            self.now = 3.0
            tell('2 of 5')
            self.wait_for('Making tea: 2 of 5 (3 s)\n')

    def test_a_terminal_keeps_one_line(self):
        with self.progress(terminal=True).phase('Making tea') as tell:
            tell('half')
            self.wait_for('Making tea: half')
        self.assertEqual(1, self.stream.getvalue().count('\n'))

    def test_a_failed_phase_says_so(self):
        def fail():
            with self.progress().phase('Making tea'):
                raise ValueError
        self.assertRaises(ValueError, fail)
        self.assertIn('Making tea: failed', self.stream.getvalue())
