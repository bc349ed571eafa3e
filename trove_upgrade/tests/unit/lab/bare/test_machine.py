# SPDX-License-Identifier: Apache-2.0
import pathlib

import fixtures

from lab.bare import machine
from trove_upgrade.tests.unit import base


class EndingTest(base.TestCase):
    def test_a_target_is_told_with_its_own_last_line_and_time(self):
        ending = machine.Ending(
            target='test', exit_code=0, seconds=754, last_line='12 passed, 0 failed, 0 skipped'
        )
        self.assertEqual(
            'make test ended well in 12 min 34 s ("12 passed, 0 failed, 0 skipped")', str(ending)
        )

    def test_a_failure_and_a_target_that_never_ended_are_told_apart(self):
        self.assertIn(
            'FAILED with exit code 2',
            str(machine.Ending(target='demo', exit_code=2, seconds=5, last_line='why')),
        )
        self.assertEqual(
            'make test did not end',
            str(machine.Ending(target='test', exit_code=None, seconds=0, last_line='')),
        )

    def test_each_part_of_the_output_has_a_last_line(self):
        log = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'log'
        log.write_text('before\nmark demo\none\nAll of it holds.\n\nmark test\n3 passed\n')
        self.assertEqual(['All of it holds.', '3 passed'], machine.lines_before(log, 'mark '))

    def test_a_red_part_ends_with_its_count_and_not_with_the_line_of_make(self):
        log = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'log'
        log.write_text(
            'mark test\n12 passed, 1 failed, 0 skipped\nmake: *** [Makefile:33: test] Error 1\n'
        )
        self.assertEqual(['12 passed, 1 failed, 0 skipped'], machine.lines_before(log, 'mark '))

    def test_a_variable_of_several_lines_is_left_out(self):
        self.assertEqual('A=1\nC=x y\n', machine.environ_lines({'C': 'x y', 'B': '1\n2', 'A': '1'}))
