# SPDX-License-Identifier: Apache-2.0
"""Threads of the scheduler: when they begin, wait and end.  What they run is tried in
test_parts.
"""

import threading
import time

from trove_upgrade.clock import SystemClock
from trove_upgrade.domain.turn import Turn
from trove_upgrade.taskmanager.agenda import Again
from trove_upgrade.taskmanager.fair_queue import Shares
from trove_upgrade.taskmanager.scheduler import Scheduler
from trove_upgrade.tests.fakes import FakeClock
from trove_upgrade.tests.unit import base

_LONG = 10


class CountingClock(SystemClock):
    """Tells when it has been looked at more often than by threads that wait."""

    def __init__(self):
        self.looks, self.too_often = 0, threading.Event()

    def monotonic(self):
        self.looks += 1
        if self.looks > 50:
            self.too_often.set()
        return super().monotonic()


class Gate:
    """A run that stays until it is let go."""

    def __init__(self, answer=None):
        self.answer = answer
        self.begun, self.let_go, self.runs = threading.Event(), threading.Event(), []
        self.ran_twice = threading.Event()

    def __call__(self, what):
        self.begun.set()
        self.let_go.wait(_LONG)
        self.runs.append(what)
        if len(self.runs) > 1:
            self.ran_twice.set()
            return None
        return self.answer


class TestThreads(base.TestCase):
    def scheduler(self, gate, look=lambda: None, clock=None):
        made = Scheduler(
            {'upgrade': gate},
            look,
            clock or SystemClock(),
            shares=Shares(workers=2, slow=2, project=2, kinds={}),
            poll_seconds=60,
        )
        self.addCleanup(made.stop, _LONG)
        self.addCleanup(gate.let_go.set)
        made.start()
        return made

    def test_it_looks_at_once_and_not_again_before_its_time(self):
        looked = threading.Semaphore(0)
        made = self.scheduler(Gate(), looked.release, FakeClock())
        self.assertTrue(looked.acquire(timeout=_LONG))
        made.nudge('upgrade', Turn('u1', 'p'))
        self.assertFalse(looked.acquire(timeout=0.1))

    def test_its_threads_wait_while_there_is_nothing_to_do(self):
        clock, looked = CountingClock(), threading.Event()
        self.scheduler(Gate(), looked.set, clock)
        self.assertTrue(looked.wait(_LONG))
        self.assertFalse(clock.too_often.wait(0.2))

    def test_a_stop_waits_for_what_runs(self):
        gate = Gate()
        made = self.scheduler(gate)
        made.nudge('upgrade', Turn('u1', 'p'))
        gate.begun.wait(_LONG)
        stopping = threading.Thread(target=made.stop, args=(_LONG,))
        stopping.start()
        stopping.join(0.1)
        self.assertTrue(stopping.is_alive())
        gate.let_go.set()
        stopping.join(_LONG)
        self.assertEqual(['u1'], gate.runs)

    def test_a_stop_waits_no_longer_than_asked_altogether(self):
        gate = Gate()
        made = self.scheduler(gate)
        for name in ('u1', 'u2'):
            made.nudge('upgrade', Turn(name, 'p'))
        gate.begun.wait(_LONG)
        began = time.monotonic()
        made.stop(0.3)
        self.assertLess(time.monotonic() - began, _LONG / 2)
        self.assertEqual([], gate.runs)

    def test_nothing_is_begun_after_a_stop(self):
        gate = Gate()
        made = self.scheduler(gate)
        made.stop(_LONG)
        made.nudge('upgrade', Turn('u1', 'p'))
        self.assertFalse(gate.begun.wait(0.1))

    def test_the_end_of_a_run_wakes_the_thread_that_minds_the_clock(self):
        gate = Gate(Again(0.01))
        made = self.scheduler(gate)
        made.nudge('upgrade', Turn('u1', 'p'))
        gate.begun.wait(_LONG)
        self.assertFalse(gate.ran_twice.wait(0.1))  # that thread has gone to rest by then
        gate.let_go.set()
        self.assertTrue(gate.ran_twice.wait(_LONG))
