# SPDX-License-Identifier: Apache-2.0
import io

import fixtures

from trove_upgrade.db.migrations.data import progress
from trove_upgrade.db.migrations.data.runs import Progress
from trove_upgrade.tests.unit import base


class Terminal(io.StringIO):
    def isatty(self):
        return True


def at(done, left, *, rate=50.0, finished=False, name='tango_numbers'):
    return Progress(
        name=name,
        found=done,
        done=done,
        cursor='c',
        rows_left=left,
        rate=rate,
        eta_seconds=left / rate if rate else None,
        finished=finished,
        found_now=done,
        done_now=done,
    )


class TestProgress(base.TestCase):
    def setUp(self):
        super().setUp()
        self.terminal('xterm')

    def terminal(self, kind):
        for name, value in (
            ('TERM', kind),
            ('COLUMNS', '100'),
            ('NO_COLOR', '1'),
            ('FORCE_COLOR', None),
            ('TTY_COMPATIBLE', None),
        ):
            self.useFixture(fixtures.EnvironmentVariable(name, value))

    def shown(self, stream, *seen):
        with progress.reporter(stream) as reporter:
            for one in seen:
                reporter.progress(one)
            reporter.waiting('A batch waits [for locks].')
        return stream.getvalue()

    def test_a_log_gets_one_line_per_batch(self):
        self.assertEqual(
            'tango_numbers: 1000 found, 1000 done, 9000 left, 50 rows/s, 3 min 0 s to go\n'
            'tango_numbers: 10000 found, 10000 done, no row is left, 50 rows/s\n'
            'A batch waits [for locks].\n',
            self.shown(io.StringIO(), at(1000, 9000), at(10000, 0, finished=True)),
        )

    def test_what_is_not_known_is_left_out(self):
        self.assertIn('0 done, 9 left\n', self.shown(io.StringIO(), at(0, 9, rate=None)))

    def test_slow_ones_show_fractions(self):
        self.assertIn('0.25 rows/s', self.shown(io.StringIO(), at(1, 9, rate=0.25)))

    def test_a_terminal_gets_a_bar(self):
        said = self.shown(Terminal(), at(2500, 7500), at(5000, 5000))
        self.assertIn('━', said)
        self.assertIn('50%', said)
        self.assertIn('5000 left, 50 rows/s, 1 min 40 s to go', said)
        self.assertIn('A batch waits [for locks].', said)

    def test_where_nothing_was_to_be_done_the_bar_is_full(self):
        self.assertIn('100%', self.shown(Terminal(), at(0, 0, rate=None, finished=True)))

    def test_a_terminal_that_cannot_draw_gets_lines(self):
        self.terminal('dumb')
        self.assertNotIn('━', self.shown(Terminal(), at(1, 1)))

    def test_durations_are_as_long_as_an_estimate_is_good_for(self):
        self.assertEqual(
            ['0 s', '59 s', '2 min 1 s', '2 h 5 min'],
            [progress.duration(seconds) for seconds in (0.2, 59.4, 121, 7501)],
        )
