# SPDX-License-Identifier: Apache-2.0
import io

from lab import progress
from trove_upgrade.tests.unit import base
from trove_upgrade.waiting import wait_until

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
        self.now, self.looks = 0.0, 0

    def clock(self):
        self.looks += 1
        return self.now

    def wait_for_looks(self, number):
        """The painter has looked at the clock that often since now."""
        wanted = self.looks + number
        self.assertTrue(
            wait_until(lambda: self.looks >= wanted, DEADLINE_SECONDS, interval_seconds=0.02)
        )

    def progress(self, *, terminal=False):
        self.stream = _Stream(terminal)
        return progress.Progress(self.stream, clock=self.clock)

    def wait_for(self, text):
        wait_until(lambda: text in self.stream.getvalue(), DEADLINE_SECONDS, interval_seconds=0.02)
        self.assertIn(text, self.stream.getvalue())

    def test_a_short_phase_is_one_line_in_a_log(self):
        with self.progress().phase('Making tea'):
            self.now = 1.0
        self.assertEqual('Making tea: done (1.0 s)\n', self.stream.getvalue())

    def test_a_long_phase_says_how_far_it_is(self):
        with self.progress().phase('Making tea') as tell:
            self.now = 3.0
            tell('2 of 5')
            self.wait_for('Making tea: 2 of 5 (3 s)\n')

    def test_a_log_is_not_flooded_by_changes(self):
        with self.progress().phase('Making tea') as tell:
            self.now = 3.0
            tell('1 of 5')
            self.wait_for('1 of 5 (3 s)\n')
            for number in (2, 3, 4):
                self.now += 2.0
                tell(f'{number} of 5')
                self.wait_for_looks(2)  # no line may come of it
            self.now = 13.0
            tell('5 of 5')
            self.wait_for('5 of 5 (13 s)\n')
        self.assertEqual(3, self.stream.getvalue().count('\n'), self.stream.getvalue())

    def test_a_log_has_a_sign_of_life_where_nothing_changes(self):
        with self.progress().phase('Making tea') as tell:
            tell('waiting for water')
            self.now = 3.0
            self.wait_for('waiting for water (3 s)\n')
            self.now = 64.0
            self.wait_for('waiting for water (64 s)\n')

    def test_a_terminal_keeps_one_line(self):
        with self.progress(terminal=True).phase('Making tea') as tell:
            tell('half')
            self.wait_for('Making tea: half')
        self.assertEqual(1, self.stream.getvalue().count('\n'))

    def end_with(self, kind):
        with self.progress().phase('Making tea'):
            raise kind

    def test_an_interrupted_phase_has_not_failed(self):
        self.assertRaises(KeyboardInterrupt, self.end_with, KeyboardInterrupt)
        self.assertIn('Making tea: interrupted', self.stream.getvalue())

    def test_a_failed_phase_says_so(self):
        self.assertRaises(ValueError, self.end_with, ValueError)
        self.assertIn('Making tea: failed', self.stream.getvalue())
