# SPDX-License-Identifier: Apache-2.0
"""Pace of the bridge's runs in the tables: every host that claims keeps to it."""

import dataclasses
import json

import sqlalchemy as sa

from trove_upgrade.db import bridge_pace, columns, models
from trove_upgrade.domain.bridge_ends import RunAborted
from trove_upgrade.domain.bridge_runs import (
    MemberLost,
    MemberState,
    NoRoom,
    RunPlan,
    RunScope,
    RunState,
)
from trove_upgrade.domain.inventory import Obstacle
from trove_upgrade.domain.pace import (
    CANARY,
    DEFAULT_PACE,
    Hosts,
    LimitChanges,
    Limits,
    Pace,
    Stop,
    StopRule,
    Wait,
)
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.db.test_bridge_runs import listed

S = MemberState
LEASE = 60.0
HOSTS = Hosts(node='node-1', hypervisor='h-1')
OTHERS = Hosts(node='node-2', hypervisor='h-2')


def ids(count):
    return [f'00000000-0000-4000-8000-0000000000{number:02}' for number in range(count)]


class BridgePaceTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.runs = self.db.repositories.bridge_runs

    def begun(self, count, hosts=(), **pace):
        members = ids(count)
        plan = RunPlan(
            pace=Pace(**{'canary': 0, **pace}), loaded=dict(zip(members, hosts, strict=False))
        )
        self.run_id = self.runs.begin([listed(one) for one in members], RunScope.REACH, plan).id
        return members

    def claim(self, owner='host-1'):
        return self.runs.claim(self.run_id, owner, LEASE)

    def fail(self, error_code='CODE'):
        held = self.claim().member
        return self.runs.end(held.evolve(is_undoing=True, error_code=error_code), S.FAILED)

    def state(self):
        return self.runs.get(self.run_id).state


class TestBegin(BridgePaceTestCase):
    def test_a_run_keeps_its_pace_and_each_member_its_wave_and_hosts(self):
        pace = Pace(
            limits=Limits(at_once=3, per_node=2, per_hypervisor=1),
            canary=1,
            wave_size=1,
            stop=StopRule(count=1, percent=9),
        )
        first, second, third = ids(3)
        run = self.runs.begin(
            [listed(first), listed(second, Obstacle.BUSY), listed(third)],
            RunScope.REACH,
            RunPlan(pace=pace, loaded={first: HOSTS}),
        )
        self.assertEqual((pace, 0), (run.pace, run.accepted_failures))
        self.assertEqual(
            [(CANARY, HOSTS), (None, Hosts()), (CANARY + 1, Hosts())],
            [(one.wave, one.hosts) for one in self.runs.members(run.id)],
        )

    def test_a_run_of_before_there_were_paces_is_one_wave_without_a_canary(self):
        self.begun(3, canary=1, wave_size=1)
        with self.db.database.write() as connection:
            connection.execute(sa.update(models.upgrade_bridge_runs).values(pace=None))
            connection.execute(sa.update(models.upgrade_bridge_members).values(wave=None))
        pace = self.runs.get(self.run_id).pace
        self.assertEqual((DEFAULT_PACE.limits, 0, 0), (pace.limits, pace.canary, pace.wave_size))
        self.assertTrue(all(self.claim().member for _ in range(3)))

    def test_a_pace_with_words_of_another_release_is_read(self):
        entry = json.loads(json.dumps(bridge_pace.pace_to(DEFAULT_PACE)))
        entry['later'] = entry['limits']['later'] = 1
        del entry['canary'], entry['stop']['count']
        self.assertEqual(DEFAULT_PACE, bridge_pace.pace_from(entry))


class TestClaim(BridgePaceTestCase):
    def test_limits_hold_for_all_hosts_together(self):
        members = self.begun(3, [HOSTS, HOSTS, OTHERS], limits=Limits(at_once=9, per_node=1))
        self.assertEqual(members[0], self.claim().member.instance_id)
        self.assertEqual(members[2], self.claim('host-2').member.instance_id)
        claim = self.claim('host-3')
        self.assertEqual((None, {members[1]: Wait.NODE}), (claim.member, dict(claim.waits)))
        self.assertTrue(claim.is_to_ask_again)

    def test_a_lease_that_is_over_makes_room(self):
        self.begun(2, limits=Limits(at_once=1))
        self.claim()
        self.assertIsNone(self.claim('host-2').member)
        with self.db.database.write() as connection:
            connection.execute(
                sa.update(models.upgrade_bridge_members).values(lease_until=columns.ahead(-1))
            )
        self.assertIsNotNone(self.claim('host-2').member)

    def test_limits_may_be_changed_while_it_goes_on(self):
        self.begun(2, limits=Limits(at_once=1))
        self.claim()
        self.runs.change_limits(self.run_id, LimitChanges(per_node=7))
        run = self.runs.change_limits(self.run_id, LimitChanges(at_once=2))
        self.assertEqual(Limits(at_once=2, per_node=7), run.pace.limits)
        self.assertIsNotNone(self.claim().member)

    def test_with_nothing_left_no_host_asks_again(self):
        self.begun(1)
        held = self.claim().member
        self.assertFalse(self.claim('host-2').is_to_ask_again)
        self.runs.end(held, S.COMPLETED)
        self.assertFalse(self.claim().is_to_ask_again)


class TestSettle(BridgePaceTestCase):
    def test_one_that_turns_out_to_load_full_hosts_waits_for_them(self):
        members = self.begun(2, [HOSTS], limits=Limits(per_node=1))
        first, second = self.claim().member, self.claim().member
        error = self.assertRaises(NoRoom, self.runs.settle, second, HOSTS)
        self.assertIn('through the same network node', error.message)
        self.runs.release(second)
        self.assertEqual({members[1]: Wait.NODE}, dict(self.claim().waits))
        self.runs.end(first, S.COMPLETED)
        again = self.claim().member
        self.assertEqual((members[1], HOSTS), (again.instance_id, again.hosts))
        self.assertEqual(again, self.runs.settle(again, HOSTS))

    def test_its_own_place_is_not_in_its_way(self):
        self.begun(1, [HOSTS], limits=Limits(per_node=1, per_hypervisor=1, at_once=1))
        held = self.claim().member
        moved = dataclasses.replace(HOSTS, hypervisor='h-9')
        self.assertEqual(moved, self.runs.settle(held, moved).hosts)

    def test_a_host_that_lost_it_settles_nothing(self):
        self.begun(1)
        held = self.claim().member
        self.runs.end(held, S.COMPLETED)
        self.assertRaises(MemberLost, self.runs.settle, held, HOSTS)


class TestStop(BridgePaceTestCase):
    def test_too_many_failures_stop_it_and_an_operator_lets_it_go_on(self):
        self.begun(5, stop=StopRule(count=1, percent=0))
        self.fail()
        begun = self.runs.save(self.claim().member.learned(port_id='port-1'))
        untouched = self.claim().member
        self.fail()
        self.runs.release(untouched)
        claim = self.claim()
        self.assertEqual(
            (None, Stop.TOO_MANY_FAILED, False), (claim.member, claim.stop, claim.is_to_ask_again)
        )
        self.assertEqual(RunState.STOPPED, self.state())
        self.runs.release(begun)
        again = self.claim().member
        self.assertEqual(begun.instance_id, again.instance_id, 'what was begun comes to its end')
        self.runs.end(again, S.COMPLETED)
        self.assertEqual({Wait.STOPPED}, set(self.runs.turn(self.run_id).waits.values()))

        self.assertEqual(0, self.runs.get(self.run_id).accepted_failures)
        run = self.runs.accept_failures(self.run_id)
        self.assertEqual((RunState.RUNNING, 2), (run.state, run.accepted_failures))
        self.assertIsNotNone(self.claim().member)

    def test_failures_of_a_run_that_has_not_stopped_are_not_accepted(self):
        self.begun(2, stop=StopRule(count=5))
        self.fail()
        self.assertEqual(0, self.runs.accept_failures(self.run_id).accepted_failures)
        self.runs.end(self.claim().member, S.COMPLETED)
        ended = self.runs.accept_failures(self.run_id)
        self.assertEqual((RunState.ENDED, 0), (ended.state, ended.accepted_failures))

    def test_an_upgrade_that_no_host_looks_at_any_more_takes_its_room(self):
        self.begun(3, [HOSTS] * 3, limits=Limits(per_hypervisor=1))
        held = self.claim().member
        for _ in range(3):
            self.runs.release(self.runs.save(held.learned(asked_after='')))
            held = self.claim().member
            self.assertEqual(ids(1)[0], held.instance_id)
        self.assertIsNone(self.claim().member)

    def test_one_that_an_operator_turned_back_has_not_failed(self):
        self.begun(3)
        held = self.claim().member
        self.runs.abort(self.run_id)
        self.runs.save(held.evolve(is_undoing=True, error_code=RunAborted.code))
        self.assertEqual(0, self.runs.turn(self.run_id).failed)

    def test_a_canary_stops_it_alone(self):
        self.begun(5, canary=1, stop=StopRule(count=3))
        self.fail()
        self.assertEqual(Stop.CANARY_FAILED, self.claim().stop)

    def test_one_that_is_being_turned_back_counts_at_once(self):
        self.begun(3, stop=StopRule(count=0, percent=0))
        held = self.claim().member
        self.runs.save(held.evolve(is_undoing=True, error_code='CODE'))
        self.assertEqual(Stop.TOO_MANY_FAILED, self.claim().stop)

    def test_an_operators_end_is_no_stop_and_comes_after_one(self):
        self.begun(4, stop=StopRule(count=0, percent=0))
        held = self.claim().member
        self.fail()
        self.claim()
        self.assertEqual(RunState.STOPPED, self.state())
        self.assertEqual(RunState.ABORTED, self.runs.abort(self.run_id).state)
        self.assertIsNone(self.claim().member)
        self.assertEqual(RunState.ABORTED, self.state())
        held = held.evolve(is_undoing=True, error_code=RunAborted.code)
        self.runs.end(held, S.ABORTED)
        self.assertEqual(RunState.ABORTED, self.state())
        self.assertIsNotNone(self.runs.get(self.run_id).ended_at)

    def test_a_stopped_run_whose_last_member_ends_has_ended(self):
        self.begun(2, stop=StopRule(count=0, percent=0))
        held = self.claim().member
        self.fail()
        self.claim()
        self.assertEqual(RunState.STOPPED, self.state())
        self.runs.end(held, S.COMPLETED)
        self.assertEqual(RunState.ENDED, self.state())
