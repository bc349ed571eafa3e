# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import subprocess
import sys
import tempfile

import psutil

from lab import errors
from lab.hypervisor import processes
from trove_upgrade.tests.unit import base


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
