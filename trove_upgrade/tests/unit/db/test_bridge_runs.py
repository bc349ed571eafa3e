# SPDX-License-Identifier: Apache-2.0
"""Runs of the bridge: a frozen membership, one host for each member, and an end."""

import datetime

import sqlalchemy as sa

from trove_upgrade.db import columns, errors, models
from trove_upgrade.domain.bridge_runs import (
    InstanceInOtherRun,
    MemberFacts,
    MemberLost,
    MemberState,
    MemberStep,
    MemberStepRun,
    RunNotFound,
    RunPlan,
    RunScope,
    RunState,
    StepEnd,
)
from trove_upgrade.domain.inventory import Listed, Obstacle
from trove_upgrade.domain.pace import Pace, StopRule
from trove_upgrade.tests.unit import base, database

FIRST, SECOND, THIRD = database.INSTANCE, database.OTHER_INSTANCE, database.DELETED_INSTANCE
S = MemberState
LEASE = 60.0
#: Nothing waits for a canary, and failures stop nothing.
ONE_WAVE = Pace(canary=0, stop=StopRule(count=10))
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def listed(instance_id, obstacle=None):
    return Listed(
        instance_id=instance_id,
        name='db',
        project_id='p',
        server_id='s',
        server_status='ACTIVE',
        datastore='mariadb',
        version='10.5',
        agent_version=None,
        ports=(),
        obstacle=obstacle,
    )


class BridgeRunsTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.runs = self.db.repositories.bridge_runs
        self.run_id = self.runs.begin(
            [listed(FIRST), listed(SECOND)], RunScope.REACH, RunPlan(pace=ONE_WAVE)
        ).id

    def claimed(self, owner='host-1', passed_over=()):
        return self.runs.claim(self.run_id, owner, LEASE, passed_over).member

    def let_leases_end(self):
        with self.db.database.write() as connection:
            connection.execute(
                sa.update(models.upgrade_bridge_members)
                .where(models.upgrade_bridge_members.c.lease_until.is_not(None))
                .values(lease_until=columns.ahead(-1))
            )

    def states(self):
        return [member.state for member in self.runs.members(self.run_id)]


class TestBegin(BridgeRunsTestCase):
    def test_what_cannot_be_tried_is_left_out_with_its_reason_and_the_rest_waits(self):
        run = self.runs.begin([listed(THIRD, Obstacle.NO_PORT)], RunScope.REACH)
        [member] = self.runs.members(run.id)
        self.assertEqual((S.LEFT_OUT, 'NO_PORT'), (member.state, member.error_code))
        self.assertEqual([S.PENDING, S.PENDING], self.states())

    def test_a_run_of_nothing_has_ended(self):
        for members in ([], [listed(THIRD, Obstacle.BUSY)]):
            run = self.runs.begin(members, RunScope.REACH)
            self.assertEqual(RunState.ENDED, run.state)
            self.assertIsNotNone(run.ended_at)

    def test_an_instance_is_in_one_run_and_a_refusal_leaves_nothing(self):
        error = self.assertRaises(
            InstanceInOtherRun, self.runs.begin, [listed(THIRD), listed(SECOND)], RunScope.REACH
        )
        self.assertEqual(self.run_id, error.facts['run_id'])
        self.assertEqual([self.run_id], [run.id for run in self.runs.all()])
        self.runs.abort(self.run_id)
        self.runs.begin([listed(THIRD), listed(SECOND)], RunScope.REACH)

    def test_without_the_tables_nothing_begins_and_nothing_is_listed(self):
        with self.db.database.write() as connection:
            for table in ('upgrade_bridge_members', 'upgrade_bridge_runs'):
                connection.execute(sa.text(f'DROP TABLE {table}'))
        self.db.database.forget_columns()
        self.assertRaises(errors.SchemaMissing, self.runs.begin, [], RunScope.REACH)
        self.assertEqual([], self.runs.all())

    def test_a_run_that_is_not_there_is_named(self):
        for run_id in ('gone', '', 'x' * 99):
            self.assertRaises(RunNotFound, self.runs.get, run_id)
            self.assertRaises(RunNotFound, self.runs.abort, run_id)


class TestClaim(BridgeRunsTestCase):
    def test_each_member_is_one_hosts(self):
        first, second = self.claimed(), self.claimed('host-2')
        self.assertEqual([FIRST, SECOND], [first.instance_id, second.instance_id])
        self.assertIsNone(self.claimed('host-3'))
        self.assertEqual((S.RUNNING, 'host-2', 1), (second.state, second.owner, second.generation))

    def test_one_that_was_left_comes_first_once_and_one_that_is_passed_over_not_at_all(self):
        self.runs.release(self.claimed())
        again = self.claimed()
        self.assertEqual(FIRST, again.instance_id)
        self.runs.release(again)
        self.assertEqual(SECOND, self.claimed('host-2').instance_id)
        self.assertIsNone(self.claimed('host-3', [FIRST]))
        self.assertEqual(FIRST, self.claimed('host-3').instance_id)

    def test_a_host_that_was_overtaken_writes_nothing(self):
        held = self.claimed()
        self.let_leases_end()
        taken = self.claimed('host-2', [SECOND])
        self.assertEqual((FIRST, 2), (taken.instance_id, taken.generation))
        for write in (
            lambda: self.runs.save(held),
            lambda: self.runs.keep(held, LEASE),
            lambda: self.runs.release(held),
            lambda: self.runs.end(held, S.COMPLETED),
        ):
            self.assertRaises(MemberLost, write)
        self.assertEqual(taken, self.runs.members(self.run_id)[0])

    def test_a_lease_that_is_kept_holds_and_one_that_is_released_does_not(self):
        held = self.claimed()
        self.runs.keep(held, LEASE)
        self.assertEqual(SECOND, self.claimed('host-2').instance_id)
        self.runs.release(held)
        self.assertEqual(FIRST, self.claimed('host-3').instance_id)

    def test_a_lease_that_is_over_is_not_kept_as_another_may_have_its_place(self):
        held = self.claimed()
        self.let_leases_end()
        self.assertRaises(MemberLost, self.runs.keep, held, LEASE)

    def test_what_its_holder_found_is_there_for_the_next_host(self):
        run = MemberStepRun(
            step=MemberStep.PUSH, started_at=NOW, ended_at=NOW, end=StepEnd.DONE, message='pushed'
        )
        going = MemberStepRun(step=MemberStep.PROVE, started_at=NOW)
        facts = MemberFacts(port_id='port', bundle='sha', key_id='k')
        held = self.claimed().evolve(step=MemberStep.PROVE, facts=facts, steps=(run, going))
        self.runs.save(held)
        self.let_leases_end()
        taken = self.claimed('host-2', [SECOND])
        self.assertEqual(
            (MemberStep.PROVE, facts, (run, going)), (taken.step, taken.facts, taken.steps)
        )


class TestEnd(BridgeRunsTestCase):
    def test_a_run_ends_with_its_last_member(self):
        self.runs.end(self.claimed(), S.COMPLETED)
        self.assertEqual(RunState.RUNNING, self.runs.get(self.run_id).state)
        self.runs.end(self.claimed().evolve(cause='why', error_code='CODE'), S.FAILED)
        run = self.runs.get(self.run_id)
        self.assertEqual(RunState.ENDED, run.state)
        self.assertEqual({S.COMPLETED: 1, S.FAILED: 1}, run.members)
        self.assertIsNone(self.claimed())

    def test_a_member_that_has_ended_is_written_no_more(self):
        held = self.claimed()
        self.runs.end(held, S.FAILED)
        self.assertRaises(MemberLost, self.runs.end, held, S.COMPLETED)
        self.assertEqual([S.FAILED, S.PENDING], self.states())

    def test_an_operators_end_turns_what_runs_and_ends_what_waits(self):
        held = self.claimed()
        run = self.runs.abort(self.run_id)
        self.assertEqual((RunState.ABORTED, None), (run.state, run.ended_at))
        self.assertEqual([S.RUNNING, S.ABORTED], self.states())
        found = self.runs.save(held.evolve(step=MemberStep.PUSH))
        self.assertTrue(found.is_undoing)
        self.runs.end(found, S.ABORTED)
        run = self.runs.get(self.run_id)
        self.assertEqual(RunState.ABORTED, run.state)
        self.assertIsNotNone(run.ended_at)

    def test_an_operators_end_ends_what_no_host_holds_any_more(self):
        released, killed = self.claimed(), self.claimed('host-2')
        self.runs.release(released)
        self.let_leases_end()
        run = self.runs.abort(self.run_id)
        self.assertEqual([S.ABORTED] * 2, self.states())
        self.assertIsNotNone(run.ended_at)
        self.assertRaises(MemberLost, self.runs.save, killed)
        self.runs.begin([listed(FIRST)], RunScope.REACH)

    def test_a_member_with_something_in_its_guest_is_not_ended_without_a_host(self):
        held = self.claimed()
        self.runs.save(held.evolve(facts=MemberFacts(bundle='sha')))
        self.let_leases_end()
        self.runs.abort(self.run_id)
        self.assertEqual([S.RUNNING, S.ABORTED], self.states())
        self.assertTrue(self.claimed('host-2').is_undoing)

    def test_a_run_that_has_ended_stays_as_it_ended(self):
        for _ in range(2):
            self.runs.end(self.claimed(), S.COMPLETED)
        self.runs.abort(self.run_id)
        self.assertEqual(RunState.ENDED, self.runs.get(self.run_id).state)
        self.assertEqual([S.COMPLETED] * 2, self.states())
