# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import tempfile

from lab import commands, errors
from trove_upgrade.tests.unit import base


class CommandsTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.log = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / 'log'

    def run_shell(self, script, timeout_seconds=20.0, **options):
        commands.run(
            ('/bin/sh', '-c', script),
            log=self.log,
            env={'PATH': os.environ['PATH']},
            timeout_seconds=timeout_seconds,
            **options,
        )

    def test_output_goes_to_the_log(self):
        self.run_shell('echo one')
        self.run_shell('echo two >&2')
        self.assertEqual('one\ntwo\n', self.log.read_text())

    def test_a_failure_shows_the_end_of_the_log(self):
        failure = self.assertRaises(errors.CommandFailed, self.run_shell, 'echo why; exit 4')
        self.assertIn('4', str(failure))
        self.assertIn('why', str(failure))

    def test_who_does_not_end_is_stopped(self):
        failure = self.assertRaises(
            errors.CommandFailed, self.run_shell, 'sleep 60', timeout_seconds=0.0
        )
        self.assertIn('did not end', str(failure))

    def test_a_check_that_raises_ends_the_program(self):
        def check():
            raise KeyboardInterrupt

        self.assertRaises(KeyboardInterrupt, self.run_shell, 'sleep 60', check=check)

    def test_the_tail_of_a_log_that_is_not_there_is_empty(self):
        self.assertEqual('', commands.tail(self.log))
