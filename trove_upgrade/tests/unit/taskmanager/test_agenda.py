# SPDX-License-Identifier: Apache-2.0
"""What a taskmanager has before it, when time passes as the test says."""

from trove_upgrade.domain.turn import Turn
from trove_upgrade.taskmanager.agenda import Again, Agenda
from trove_upgrade.taskmanager.fair_queue import Job, Shares
from trove_upgrade.tests.fakes import FakeClock
from trove_upgrade.tests.unit import base

JOB = Job('upgrade', Turn('u', 'p'))


class TestAgenda(base.TestCase):
    def setUp(self):
        super().setUp()
        self.clock = FakeClock()
        self.agenda = Agenda(Shares.of_percent(8, slow=50, project=75), self.clock)

    def run_once(self, again, *, nudged=False):
        self.agenda.wake()
        job = self.agenda.take()
        if nudged:
            self.agenda.put(JOB)
        self.agenda.ran(job, again)
        return job

    def test_what_waits_runs_at_its_time_and_not_before(self):
        self.agenda.put(JOB)
        self.assertEqual(JOB, self.run_once(Again(10)))
        self.assertEqual(self.clock.monotonic() + 10, self.agenda.wake())
        self.assertIsNone(self.agenda.take())
        self.clock.pass_time(10)
        self.assertIsNone(self.agenda.wake())
        self.assertEqual(JOB, self.agenda.take())

    def test_a_nudge_while_it_runs_makes_it_run_at_once_afterwards(self):
        self.agenda.put(JOB)
        self.run_once(Again(10), nudged=True)
        self.assertEqual(JOB, self.agenda.take())

    def test_one_that_was_nudged_and_has_gone_to_another_taskmanager_is_looked_at_once_more(self):
        self.agenda.put(JOB)
        self.run_once(None, nudged=True)
        self.assertEqual(JOB, self.agenda.take())

    def test_one_that_rests_does_so_whatever_nudges_came_while_its_guest_was_waited_for(self):
        self.agenda.put(JOB)
        self.run_once(Again(10, is_slow=True, rests=True), nudged=True)
        self.assertIsNone(self.agenda.take())
        self.clock.pass_time(10)
        self.agenda.wake()
        self.assertTrue(self.agenda.take().turn.is_slow)

    def test_what_has_ended_is_forgotten(self):
        self.agenda.put(JOB)
        self.run_once(None)
        self.clock.pass_time(1000)
        self.assertIsNone(self.agenda.wake())
        self.assertIsNone(self.agenda.take())

    def test_a_run_on_a_nudge_sets_the_time_of_the_next_one_alone(self):
        self.agenda.put(JOB)
        self.run_once(Again(5))
        self.agenda.put(JOB)
        self.run_once(Again(1))
        self.assertEqual(self.clock.monotonic() + 1, self.agenda.wake())
        for _ in range(10):
            self.clock.pass_time(1)
            self.run_once(Again(1))
            self.assertIsNone(self.agenda.take())
