# SPDX-License-Identifier: Apache-2.0
"""A crew keeps to its run's pace, and outages of services end neither it nor a member."""

import dataclasses
import signal
import threading

import fixtures
from oslo_db import exception as db_exc

from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.steps.way_in import Reach
from trove_upgrade.domain import network
from trove_upgrade.domain.bridge_runs import (
    MemberState,
    MemberStep,
    RunPlan,
    RunScope,
    RunState,
)
from trove_upgrade.domain.pace import Hosts, Limits, Pace, StopRule, Wait
from trove_upgrade.tests.unit.bridge.test_runner import PATIENCE, RunnerTestCase, Stepped
from trove_upgrade.tests.unit.db.test_bridge_pace import ids
from trove_upgrade.tests.unit.db.test_bridge_runs import listed

S, T = MemberState, MemberStep
THERE = Hosts(node='node-1')


class Runs:
    """Tables that are away at times."""

    def __init__(self, real, is_away):
        self._real, self._is_away = real, is_away

    def __getattr__(self, name):
        if self._is_away():
            raise db_exc.DBConnectionError
        return getattr(self._real, name)


class Ending:
    """Tables whose ends are written otherwise."""

    def __init__(self, real, end):
        self._real, self.end = real, end

    def __getattr__(self, name):
        return getattr(self._real, name)


class CrewTestCase(RunnerTestCase):
    def setUp(self):
        super().setUp()
        self.pace = Pace(canary=0, stop=StopRule(count=10))

    def begun(self, count, **hosts):
        members = ids(count)
        plan = RunPlan(pace=self.pace, loaded=dict.fromkeys(members, Hosts(**hosts)))
        return self.runs.begin([listed(one) for one in members], RunScope.REACH, plan).id

    def with_reach(self, run, **changes):
        steps = {**self.steps, T.REACH: Stepped(run)}
        return lambda number, is_stopping: dataclasses.replace(
            self.a_runner(f'h{number}'), steps=steps, **changes
        )

    def reach(self, member, visit, save):
        return Reach(door=self.door).run(member, visit, save)

    def states(self, run_id):
        return [one.state for one in self.runs.members(run_id)]


class TestOutage(CrewTestCase):
    def test_a_service_that_is_away_for_a_while_costs_no_member(self):
        def run(member, visit, save):
            if self.time < PATIENCE / 2:
                raise network.NetworkUnavailable(what='x', found='away')
            return self.reach(member, visit, save)

        run_id = self.begun(3)
        self.a_crew(self.with_reach(run)).work(run_id)
        self.assertEqual([S.COMPLETED] * 3, self.states(run_id))
        self.assertEqual(RunState.ENDED, self.runs.get(run_id).state)
        [told] = self.waited_for
        self.assertIsInstance(told, network.NetworkUnavailable)
        self.is_left()

    def test_tables_that_are_away_between_two_members_are_waited_for(self):
        run_id = self.begun(1)
        self.a_crew(self.with_tables_away(self.reach, lambda: self.time < 30)).work(run_id)
        self.assertEqual([S.COMPLETED], self.states(run_id))

    def test_tables_that_are_away_while_a_member_is_under_way_do_not_hold_it_for_its_lease(self):
        away_from = []

        def run(member, visit, save):
            if not away_from:
                away_from.append(self.time)
                raise db_exc.DBConnectionError
            return self.reach(member, visit, save)

        def is_away():
            return bool(away_from) and self.time < away_from[0] + 30

        run_id = self.begun(2)
        self.a_crew(self.with_tables_away(run, is_away)).work(run_id)
        self.assertEqual([S.COMPLETED] * 2, self.states(run_id))
        self.assertLess(self.time, PATIENCE)
        self.is_left()

    def with_tables_away(self, run, is_away):
        return self.with_reach(
            run,
            runs=Runs(self.runs, is_away),
            is_outage=lambda error: isinstance(error, db_exc.DBError),
        )

    def test_one_member_that_a_service_never_answers_for_fails_alone_when_others_have_ended(self):
        def run(member, visit, save):
            if member.instance_id == ids(1)[0]:
                raise network.NetworkUnavailable(what='its port', found='500')
            return self.reach(member, visit, save)

        run_id = self.begun(3)
        self.a_crew(self.with_reach(run)).work(run_id)
        first, *rest = self.runs.members(run_id)
        self.assertEqual((S.FAILED, 'NETWORK_UNAVAILABLE'), (first.state, first.error_code))
        self.assertEqual([S.COMPLETED] * 2, [one.state for one in rest])
        self.is_left()

    def test_two_short_ones_far_apart_are_not_one_that_lasts(self):
        blips = [20.0, 45.0, 210.0, 900.0]

        def run(member, visit, save):
            self.time += 30.0
            if blips and self.time >= blips[0]:
                blips.pop(0)
                raise network.NetworkUnavailable(what='x', found='away')
            return self.reach(member, visit, save)

        run_id = self.begun(12)
        self.a_crew(self.with_reach(run)).work(run_id)
        self.assertEqual([S.COMPLETED] * 12, self.states(run_id))
        self.assertLess(len(blips), 2)

    def test_tables_that_are_away_at_two_moments_of_a_long_wait_end_nothing(self):
        self.pace = dataclasses.replace(self.pace, limits=Limits(at_once=1))
        run_id = self.begun(2)
        held = self.runs.claim(run_id, 'another', 60).member
        moments = [(10, 11), (200, 201), (400, 401)]

        def on_pause():
            if self.time > 500 and self.runs.member(run_id, held.instance_id).state is S.RUNNING:
                self.runs.end(held, S.COMPLETED)

        self.on_pause = on_pause
        make = self.with_tables_away(
            self.reach, lambda: any(first <= self.time <= last for first, last in moments)
        )
        self.a_crew(make).work(run_id)
        self.assertEqual([S.COMPLETED] * 2, self.states(run_id))

    def test_a_lease_that_was_over_before_the_tables_came_back_fails_no_member(self):
        lost = []

        def run(member, visit, save):
            if not lost:
                lost.append(member)
                visit.is_lost = True
                raise errors.ConnectionLost(address='a', port=22, route='r', found='closed')
            return self.reach(member, visit, save)

        run_id = self.begun(1)
        self.a_crew(self.with_reach(run)).work(run_id)
        self.assertEqual([S.COMPLETED], self.states(run_id))
        self.is_left()

    def test_a_port_that_is_closed_under_each_visit_fails_its_member_in_the_end(self):
        tried = []

        def run(member, visit, save):
            tried.append(member.generation)
            visit.is_lapsed = True
            raise errors.ConnectionLost(address='a', port=22, route='r', found='closed')

        run_id = self.begun(1)
        self.a_crew(self.with_reach(run)).work(run_id)
        [member] = self.runs.members(run_id)
        self.assertEqual((S.FAILED, [1, 2, 3, 4]), (member.state, tried))

    def test_what_ends_one_thread_is_logged_at_once_and_keeps_the_others_from_its_member(self):
        log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))
        members = ids(4)

        class Broken(Exception):
            """A fault of the program."""

        def end(member, state):
            if member.instance_id == members[0]:
                raise Broken
            return self.runs.end(member, state)

        run_id = self.begun(4)
        runs = Ending(self.runs, end)
        make = self.with_reach(self.reach, runs=runs)
        self.assertRaises(Broken, self.a_crew(make).work, run_id)
        self.a_crew(make).work(run_id)  # as another thread of the same process does
        self.assertEqual([S.COMPLETED] * 3, self.states(run_id)[1:])
        self.assertIn(members[0], log.output)

    def test_one_that_lasts_ends_the_work_and_another_run_of_it_goes_on(self):
        def run(member, visit, save):
            raise network.NetworkUnavailable(what='x', found='away')

        run_id = self.begun(2)
        crew = self.a_crew(self.with_reach(run))
        self.assertRaises(network.NetworkUnavailable, crew.work, run_id)
        self.assertNotIn(S.FAILED, self.states(run_id))
        self.assertLess(self.time, PATIENCE * 3)
        self.a_crew().work(run_id)
        self.assertEqual([S.COMPLETED] * 2, self.states(run_id))
        self.is_left()


class TestPace(CrewTestCase):
    def test_a_member_waits_for_the_one_before_and_that_is_told(self):
        self.pace = dataclasses.replace(self.pace, limits=Limits(at_once=1))
        run_id = self.begun(2)
        held = self.runs.claim(run_id, 'another', 60).member
        self.on_pause = lambda: self.runs.end(held, S.COMPLETED)
        self.a_crew().work(run_id)
        self.assertEqual([S.COMPLETED] * 2, self.states(run_id))
        [claim] = self.waited_for
        self.assertEqual({ids(2)[1]: Wait.AT_ONCE}, dict(claim.waits))

    def test_one_whose_network_has_moved_to_a_full_node_waits_with_its_port_closed(self):
        self.pace = dataclasses.replace(self.pace, limits=Limits(per_node=1))
        members = ids(2)
        plan = RunPlan(pace=self.pace, loaded={members[0]: THERE})
        run_id = self.runs.begin([listed(one) for one in members], RunScope.REACH, plan).id
        held = self.runs.claim(run_id, 'another', 60).member
        self.on_pause = lambda: (self.is_left(), self.runs.end(held, S.COMPLETED))
        self.a_crew().work(run_id)
        second = self.runs.member(run_id, members[1])
        self.assertEqual((S.COMPLETED, 'node-1'), (second.state, second.hosts.node))
        self.assertEqual([Wait.NODE], [one.waits[members[1]] for one in self.waited_for])

    def test_a_run_with_too_many_failures_begins_no_other_and_resumes_when_they_are_accepted(self):
        self.pace = Pace(canary=1)
        self.guests.refusals = [errors.HostKeyChanged(server_id='s', pinned='a', found='b')]
        run_id = self.begun(4)
        self.a_crew().work(run_id)
        self.assertEqual([S.FAILED, *[S.PENDING] * 3], self.states(run_id))
        self.assertEqual(RunState.STOPPED, self.runs.get(run_id).state)
        self.a_crew().work(run_id)
        self.assertEqual([S.FAILED, *[S.PENDING] * 3], self.states(run_id))
        self.runs.accept_failures(run_id)
        self.a_crew().work(run_id)
        self.assertEqual([S.FAILED, *[S.COMPLETED] * 3], self.states(run_id))
        self.is_left()


class TestEnd(CrewTestCase):
    def test_an_interruption_is_told_at_once_and_the_guests_under_way_end_their_step(self):
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        is_told = threading.Event()

        def ending(run_id, held):
            self.waited_for.append((run_id, held))
            is_told.set()

        def run(member, visit, save):
            done = self.reach(member, visit, save)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            self.assertTrue(is_told.wait(60), 'nothing was told before the end of the step')
            return done

        def make(number, is_stopping):
            runner = self.with_reach(run)(number, is_stopping)
            return dataclasses.replace(runner, is_stopping=is_stopping)

        self.ending = ending
        run_id = self.begun(2)
        self.assertRaises(KeyboardInterrupt, self.a_crew(make).work, run_id)
        self.assertEqual([(run_id, 1)], self.waited_for)
        first, second = self.runs.members(run_id)
        self.assertEqual(
            [(S.RUNNING, T.REACH), (S.PENDING, T.OPEN)],
            [(one.state, one.step) for one in (first, second)],
        )
        self.is_left()
