# SPDX-License-Identifier: Apache-2.0
"""The wait for the end, in a process of its own: handlers are the whole process' own."""

import subprocess
import sys

from trove_upgrade.tests.unit import base

#: The kernel hands the signal to the other thread: a lock that the main one waits for stays locked.
_TO_ANOTHER_THREAD = """
import os, signal, threading
from trove_upgrade import signals

def send():
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    threading.Event().wait()

told = signals.told()
threading.Timer(0.2, send).start()
told.wait()
os._exit(told.interrupted.code)
"""


class ToldTest(base.TestCase):
    def test_a_signal_that_does_not_interrupt_the_wait_ends_it_all_the_same(self):
        done = subprocess.run([sys.executable, '-c', _TO_ANOTHER_THREAD], timeout=60, check=False)
        self.assertEqual(143, done.returncode)

    def test_one_that_is_told_stays_told(self):
        code = (
            'from trove_upgrade import signals as s; t = s.told(); print(t.wait(0)); t.end(); '
            't.end(); print(t.wait(), t.wait(0))'
        )
        done = subprocess.run(
            [sys.executable, '-c', code], capture_output=True, text=True, timeout=60, check=False
        )
        self.assertEqual('False\nTrue True\n', done.stdout, done.stderr)
