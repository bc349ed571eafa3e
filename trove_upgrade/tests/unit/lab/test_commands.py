# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import sys
import tempfile

from lab import commands, errors
from lab.commands import HostCommands
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


class HostCommandsTest(base.TestCase):
    def test_output_and_exit_code_come_back(self):
        outcome = HostCommands().run(
            ['sh', '-c', 'cat; echo oops >&2; exit 3'], check=False, input_text='hello'
        )

        self.assertEqual(
            (3, 'hello', 'oops\n'), (outcome.returncode, outcome.output, outcome.errors)
        )

    def test_a_failure_says_what_failed_and_what_it_printed(self):
        error = self.assertRaises(
            errors.CommandFailed, HostCommands().run, ['sh', '-c', 'echo no such thing >&2; exit 3']
        )

        self.assertIn('exit code 3', str(error))
        self.assertIn('no such thing', str(error))

    def test_a_missing_program_is_a_failure_that_says_so(self):
        error = self.assertRaises(
            errors.CommandFailed, HostCommands().run, ['no-such-program-here']
        )

        self.assertEqual(127, error.returncode)

    def test_a_program_that_does_not_end_is_stopped(self):
        error = self.assertRaises(
            errors.CommandFailed, HostCommands().run, ['sleep', '30'], timeout_seconds=0.1
        )

        self.assertIn('still running', str(error))

    def test_a_program_does_not_hear_what_the_terminal_sends_to_ours(self):
        session = int(
            HostCommands().run([sys.executable, '-c', 'import os; print(os.getsid(0))']).output
        )
        self.assertNotEqual(os.getsid(0), session)

    def test_a_program_without_input_sees_its_end_at_once(self):
        self.assertEqual('', HostCommands().run(['cat'], timeout_seconds=5).output)

    def test_a_long_program_is_followed_line_by_line(self):
        lines = []
        HostCommands().follow(['sh', '-c', 'echo one; echo two >&2'], lines.append)

        self.assertEqual(['one', 'two'], sorted(lines))
        error = self.assertRaises(
            errors.CommandFailed,
            HostCommands().follow,
            ['sh', '-c', 'echo the cause; exit 4'],
            lines.append,
        )
        self.assertIn('the cause', str(error))
