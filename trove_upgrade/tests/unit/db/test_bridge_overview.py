# SPDX-License-Identifier: Apache-2.0
"""The overview of a run: the counts of all its members, and more of those alone that are held."""

import datetime

import sqlalchemy as sa

from trove_upgrade.db import models
from trove_upgrade.domain.bridge_runs import (
    MemberState,
    MemberStep,
    MemberStepRun,
    RunNotFound,
    RunPlan,
    RunScope,
    RunState,
)
from trove_upgrade.domain.inventory import Obstacle
from trove_upgrade.domain.pace import Limits, Pace, StopRule, Wait
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.db.test_bridge_runs import NOW, listed

LEASE = 60.0
S = MemberState


def instance_id(number):
    return f'00000000-0000-4000-8000-{number:012d}'


class TestOverview(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.runs = self.db.repositories.bridge_runs
        self.source = self.db.repositories.bridge_overview
        pace = Pace(canary=1, wave_size=2, stop=StopRule(count=3), limits=Limits(at_once=2))
        members = [*map(listed, map(instance_id, range(6))), listed(instance_id(6), Obstacle.BUSY)]
        self.run_id = self.runs.begin(members, RunScope.REACH, RunPlan(pace=pace)).id

    def claimed(self):
        return self.runs.claim(self.run_id, 'host-1', LEASE).member

    def look(self, since=None):
        return self.source.look(self.run_id, since)

    def test_a_run_that_begins_has_everything_before_it(self):
        seen = self.look()
        self.assertEqual({S.PENDING: 6, S.LEFT_OUT: 1}, dict(seen.states))
        self.assertEqual((6, 0, 6), (seen.tried, seen.finished, seen.left))
        self.assertEqual((0, 3), (seen.wave, seen.last_wave))
        self.assertEqual(
            (RunState.RUNNING, (), (), {}), (seen.state, seen.held, seen.ended, seen.failures)
        )

    def test_one_that_is_held_has_its_step_and_its_beginning(self):
        member = self.claimed()
        step = MemberStepRun(step=MemberStep.REACH, started_at=NOW)
        self.runs.save(member.evolve(step=MemberStep.REACH, steps=(step,)))
        [found] = self.look().held
        self.assertEqual(
            (member.instance_id, 'db', MemberStep.REACH, NOW, False),
            (found.instance_id, found.name, found.step, found.since, found.is_undoing),
        )

    def test_one_that_was_just_claimed_has_no_beginning_and_one_that_was_left_is_not_held(self):
        member = self.claimed()
        self.assertIsNone(self.look().held[0].since)
        self.runs.release(member)
        self.assertEqual((), self.look().held)

    def test_ends_since_a_moment_are_told_with_code_and_cause_and_waves_go_on(self):
        before = self.look().now
        self.runs.end(self.claimed(), S.COMPLETED)
        failed = self.claimed().evolve(is_undoing=True, error_code='REACH_REFUSED', cause='no SSH')
        self.assertEqual(0, self.look().turned_back)
        self.runs.save(failed)
        self.assertEqual((1, {'REACH_REFUSED': 1}), (self.look().turned_back, self.look().failures))
        self.runs.end(failed, S.FAILED)
        seen = self.look(before)
        self.assertEqual(
            [(S.COMPLETED, None, None), (S.FAILED, 'REACH_REFUSED', 'no SSH')],
            [(one.state, one.error_code, one.cause) for one in seen.ended],
        )
        self.assertEqual((2, 4, 1, 0), (seen.finished, seen.left, seen.wave, seen.turned_back))
        self.assertEqual({'REACH_REFUSED': 1}, seen.failures)
        self.assertEqual((), self.look().ended)
        self.assertEqual((), self.look(seen.now + datetime.timedelta(seconds=1)).ended)

    def test_a_failed_one_that_cannot_be_turned_back_holds_its_wave_while_it_is_worked_on(self):
        failed = self.claimed().evolve(is_undoing=True, error_code='REACH_REFUSED', cause='no SSH')
        saved = self.runs.save(failed)
        self.assertEqual((0, 1), (self.look().wave, self.look().turned_back))
        self.runs.release(saved)
        self.assertEqual((1, 1), (self.look().wave, self.look().turned_back))

    def test_all_ends_since_a_moment_are_told_however_many_they_are(self):
        before = self.look().now
        members = [listed(instance_id(number)) for number in range(10, 1510)]
        run_id = self.runs.begin(members, RunScope.REACH).id
        self.runs.abort(run_id)
        ended = self.source.look(run_id, before).ended
        self.assertEqual([one.instance_id for one in members], [one.instance_id for one in ended])

    def test_reasons_to_wait_are_counted(self):
        self.claimed()
        self.assertEqual({Wait.WAVE: 5}, dict(self.source.waits(self.run_id)))

    def test_a_run_of_nothing_has_no_wave(self):
        run_id = self.runs.begin([listed(instance_id(7), Obstacle.BUSY)], RunScope.REACH).id
        seen = self.source.look(run_id, None)
        self.assertEqual((None, None, RunState.ENDED), (seen.wave, seen.last_wave, seen.state))

    def test_a_run_that_is_not_there_is_named(self):
        self.assertRaises(RunNotFound, self.source.look, 'gone', None)

    def test_journals_of_members_that_no_host_has_are_not_read(self):
        held = self.claimed()
        members = models.upgrade_bridge_members
        others = sa.text(
            'UPDATE upgrade_bridge_members SET facts = :junk, steps = :junk '
            'WHERE instance_id <> :held'
        )
        with self.db.database.write() as connection:
            connection.execute(others, {'junk': 'no JSON', 'held': held.instance_id})
            count = connection.execute(sa.select(sa.func.count()).select_from(members)).scalar()
        self.assertEqual(7, count)
        self.assertEqual([held.instance_id], [one.instance_id for one in self.look(NOW).held])
        self.assertEqual({Wait.WAVE: 5}, dict(self.source.waits(self.run_id)))
