# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import subprocess
import sys
import tempfile

import psutil

from lab.hypervisor import errors, processes
from lab.hypervisor.commands import HostCommands
from trove_upgrade.tests.unit import base


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


class ProcessTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.record = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / 'pid'

    def _start_time(self, pid):
        return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]

    def test_a_recorded_process_is_found_while_it_runs(self):
        child = subprocess.Popen(['sleep', '60'])
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.record.write_text(f'{child.pid} {self._start_time(child.pid)}\n')

        self.assertEqual(child.pid, processes.read_process(self.record).pid)
        self.assertEqual('sleep', processes.read_process(self.record).name())

    def test_an_ended_process_is_not_found_even_before_it_is_reaped(self):
        child = subprocess.Popen([sys.executable, '-c', ''], stdin=subprocess.DEVNULL)
        self.record.write_text(f'{child.pid} {self._start_time(child.pid)}\n')
        process = psutil.Process(child.pid)
        processes.wait_gone(process, 30)

        self.assertIsNone(processes.read_process(self.record))
        child.wait()
        self.assertEqual('', processes.name_of(process))

    def test_one_that_does_not_end_is_named_with_where_to_look(self):
        own = psutil.Process()

        error = self.assertRaises(errors.TimedOut, processes.wait_gone, own, 0.01)

        self.assertIn(f'process {os.getpid()} to end: not seen within 0.01 seconds', str(error))
        self.assertIn('Look at what it waits for', str(error))

    def test_another_process_of_the_same_number_is_not_taken_for_it(self):
        self.record.write_text(f'{os.getpid()} 1\n')

        self.assertIsNone(processes.read_process(self.record))

    def test_no_record_is_no_process(self):
        self.assertIsNone(processes.read_process(self.record))
