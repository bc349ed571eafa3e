# SPDX-License-Identifier: Apache-2.0
"""The report of a run has each instance once, with its outcome and what is left of it."""

import datetime
import itertools

from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.bridge.report.durations import in_words
from trove_upgrade.bridge.report.lines import lines
from trove_upgrade.bridge.report.model import Outcome
from trove_upgrade.bridge.report.remedies import Remedy
from trove_upgrade.domain.bridge_runs import (
    MemberFacts,
    MemberState,
    MemberStep,
    MemberStepRun,
    RunScope,
    RunState,
    StepEnd,
)
from trove_upgrade.domain.inventory import Obstacle
from trove_upgrade.domain.pace import WAITS, Pace, Stop, Turn, Wait
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.bridge.report import samples

REFUSED = samples.errors_of_guests()[0]


class TestInstances(base.TestCase):
    def of(self, member, **changes):
        [found] = samples.report_of([member], **changes).instances
        return found

    def test_every_member_is_there_once_and_those_to_be_looked_at_come_first(self):
        members = samples.members_of_every_kind()
        report = samples.report_of(members)
        self.assertEqual(
            sorted(one.instance_id for one in members),
            sorted(one.member.instance_id for one in report.instances),
        )
        places = [list(Outcome).index(one.outcome) for one in report.instances]
        self.assertEqual(sorted(places), places)
        self.assertEqual(set(Outcome), {one.outcome for one in report.instances})

    def test_none_is_without_a_word_of_what_is_left(self):
        for one in samples.report_of_every_kind().instances:
            self.assertTrue(one.left.text, one)
            is_well = one.outcome is Outcome.COMPLETED
            self.assertEqual(is_well, one.left.remedy is Remedy.NOTHING, one)

    def test_each_that_waits_has_the_reason_and_one_that_is_held_has_none(self):
        for wait in Wait:
            member = samples.waiting(1)
            turn = Turn(takeable=(), waits={member.instance_id: wait}, stop=None)
            found = self.of(member, turn=turn)
            self.assertEqual((Outcome.WAITING, wait), (found.outcome, found.wait))
        found = self.of(samples.running(1))
        self.assertEqual((Outcome.RUNNING, None), (found.outcome, found.wait))

    def test_one_that_a_killed_host_has_left_waits(self):
        found = self.of(samples.running(1, owner=None))
        self.assertEqual(Outcome.WAITING, found.outcome)
        self.assertEqual(Remedy.RESUME, found.left.remedy)

    def test_who_goes_on_with_what_waits_depends_on_whether_a_host_works_on_the_run(self):
        waiting, running = samples.waiting(1), samples.running(2)
        alone = samples.report_of([waiting]).instances[0]
        self.assertEqual(Remedy.RESUME, alone.left.remedy)
        [beside] = [
            one
            for one in samples.report_of([waiting, running]).instances
            if one.outcome is Outcome.WAITING
        ]
        self.assertEqual(Remedy.WAIT, beside.left.remedy)

    def test_something_that_is_still_in_a_guest_is_told_with_the_two_ways_on(self):
        facts = MemberFacts(bundle='sha', not_removed='no answer.')
        member = samples.running(1, is_undoing=True, owner=None, facts=facts)
        found = self.of(member)
        self.assertEqual(Outcome.TURNING_BACK, found.outcome)
        self.assertIn('What was pushed is still in the guest: no answer.', found.cause)
        self.assertIn('resume', found.left.text)
        self.assertIn('--leave-agents', found.left.text)
        self.assertEqual(
            Remedy.WAIT, self.of(samples.running(1, is_undoing=True, facts=facts)).left.remedy
        )

    def test_what_follows_a_completed_one_depends_on_how_far_the_run_leads(self):
        for scope, remedy in (
            (RunScope.REACH, Remedy.NOTHING),
            (RunScope.AGENT, Remedy.UPGRADE),
            (RunScope.UPGRADE, Remedy.NOTHING),
        ):
            member = samples.completed(1)
            run = samples.a_run([member], scope=scope)
            self.assertEqual(remedy, self.of(member, run=run).left.remedy, scope)

    def test_an_aborted_one_whose_upgrade_goes_on_is_looked_at(self):
        facts = MemberFacts(upgrade_id='u-1')
        code = 'BRIDGE_RUN_ABORTED'
        member = samples.a_member(1, MemberState.ABORTED, facts=facts, error_code=code)
        self.assertIn('u-1', self.of(member).left.text)
        for known in (code, None):
            member = samples.a_member(1, MemberState.ABORTED, error_code=known)
            self.assertEqual(Remedy.RUN_AGAIN, self.of(member).left.remedy)

    def test_one_that_a_client_has_ended_has_the_advice_of_its_code(self):
        facts = MemberFacts(upgrade_id='u-1')
        for code, remedy in (
            ('BRIDGE_UPGRADE_ABORTED', Remedy.RUN_AGAIN),
            ('BRIDGE_UPGRADE_HELD', Remedy.WAIT),
            ('BRIDGE_OTHER_UPGRADE', Remedy.WAIT),
        ):
            member = samples.a_member(1, MemberState.ABORTED, facts=facts, error_code=code)
            self.assertEqual(remedy, self.of(member).left.remedy)

    def test_time_is_counted_per_step_also_where_one_ran_twice_and_in_all(self):
        member = samples.failed(1, REFUSED)
        twice = member.evolve(
            steps=(*member.steps, *member.steps),
            ended_at=samples.BEGUN + datetime.timedelta(seconds=90),
        )
        found = self.of(twice)
        self.assertEqual({'open': 35.0, 'reach': 35.0}, dict(found.steps_seconds))
        self.assertEqual(90.0, found.seconds)

    def test_a_step_that_goes_on_has_no_time_and_one_that_was_never_begun_none_in_all(self):
        found = self.of(samples.running(1, MemberStep.OPEN))
        self.assertEqual({}, dict(found.steps_seconds))
        self.assertEqual(120.0, found.seconds)
        self.assertIsNone(self.of(samples.waiting(1)).seconds)

    def test_a_clock_that_was_set_back_makes_no_negative_time(self):
        later = samples.NOW + datetime.timedelta(hours=1)
        step = MemberStepRun(
            step=MemberStep.OPEN, started_at=later, ended_at=samples.NOW, end=StepEnd.DONE
        )
        found = self.of(samples.completed(1, steps=(step,)))
        self.assertEqual(({'open': 0.0}, 0.0), (dict(found.steps_seconds), found.seconds))


class TestTotals(base.TestCase):
    def test_each_count_is_of_all_instances(self):
        members = samples.members_of_every_kind()
        totals = samples.report_of(members).totals
        self.assertEqual(len(members), totals.instances)
        for counts in (totals.outcomes, totals.states):
            self.assertEqual(len(members), sum(counts.values()))
        begun = [one for one in members if one.wave is not None]
        self.assertEqual(
            len(begun), sum(count for wave in totals.waves for count in wave.counts.values())
        )
        coded = [one for one in members if one.error_code is not None]
        self.assertEqual(len(coded), sum(one.count for one in totals.codes))

    def test_codes_of_failures_come_before_those_of_the_inventory_the_frequent_first(self):
        codes = [one.code for one in samples.report_of_every_kind().totals.codes]
        self.assertEqual('REACH_REFUSED', codes[0])
        of_inventory = [code in set(Obstacle) for code in codes]
        self.assertEqual(sorted(of_inventory), of_inventory)

    def test_a_run_of_nothing_has_a_report(self):
        report = samples.report_of([], samples.a_run([], RunState.ENDED, ended_at=samples.NOW))
        self.assertTrue(report.is_well)
        self.assertEqual(0, report.totals.instances)


class TestStop(base.TestCase):
    def setUp(self):
        super().setUp()
        self.members = [samples.failed(0, REFUSED), samples.waiting(1)]
        self.turn = samples.a_turn(self.members, Stop.CANARY_FAILED, Wait.STOPPED)

    def stopped(self, state):
        run = samples.a_run(self.members, state)
        return samples.report_of(self.members, run, self.turn).stopped

    def test_a_run_that_has_stopped_tells_why_and_what_to_do(self):
        told = self.stopped(RunState.STOPPED)
        self.assertIn('one of its canary has failed.', told)
        self.assertIn('--accept-failures', told)

    def test_one_that_is_about_to_stop_tells_it_and_one_that_is_over_does_not(self):
        self.assertIsNotNone(self.stopped(RunState.RUNNING))
        for state in (RunState.ENDED, RunState.ABORTED):
            self.assertIsNone(self.stopped(state))

    def test_what_waits_for_the_operator_is_resumed_by_a_word_of_the_operator(self):
        run = samples.a_run(self.members, RunState.STOPPED)
        [_, waiting] = samples.report_of(self.members, run, self.turn).instances
        self.assertEqual(Remedy.RESUME, waiting.left.remedy)
        self.assertIn('--accept-failures', waiting.left.text)

    def test_failures_are_counted_as_the_stop_rule_counts_them(self):
        members = [
            samples.failed(0, REFUSED),
            samples.running(1, is_undoing=True),
            samples.left_out(2, Obstacle.BUSY),
            *map(samples.completed, range(3, 40)),
        ]
        report = samples.report_of(members)
        self.assertEqual((2, 5), (report.failed, report.allowed_failures))


class TestLines(base.TestCase):
    def setUp(self):
        super().setUp()
        self.lines = list(lines(samples.report_of_every_kind()))

    def test_rules_the_stop_and_the_reasons_to_wait_come_first(self):
        head = list(itertools.takewhile(bool, self.lines))
        told = '\n'.join(head)
        self.assertIn('4 at once, 4 per network node, 2 per hypervisor', told)
        self.assertIn('begins no other instance: 9 of 41 have failed, and it goes on with 5.', told)
        self.assertIn(f'Waiting: 5 as {WAITS[Wait.STOPPED]}.', told)
        self.assertIn('1 NO_DRIVER: backup and re-creation.', told)

    def test_each_instance_has_its_hosts_steps_code_and_what_is_left(self):
        start = next(
            number
            for number, line in enumerate(self.lines)
            if line.startswith(samples.instance_id(12))
        )
        shown = list(itertools.takewhile(bool, self.lines[start:]))
        self.assertIn('FAILED (wave 2, node network-0, hypervisor compute-5, 9 min)', shown[0])
        self.assertEqual('  reach      17.5 s  failed', shown[2])
        self.assertTrue(shown[3].startswith('  BRIDGE_GUEST_FULL: Our agent cannot'), shown)
        self.assertTrue(shown[4].startswith('  left: a manual step. Make room'), shown)

    def test_a_run_without_a_canary_and_waves_is_told_so(self):
        run = samples.a_run([], pace=Pace(canary=0, wave_size=0))
        told = '\n'.join(lines(samples.report_of([], run)))
        self.assertIn('no canary, one wave', told)


class TestDurations(base.TestCase):
    def test_the_two_greatest_units_are_told(self):
        for seconds, words in (
            (0, '0 s'),
            (59.4, '59 s'),
            (60, '1 min'),
            (3599.7, '1 h'),
            (7384, '2 h 3 min'),
            (90000, '1 d 1 h'),
        ):
            self.assertEqual(words, in_words(seconds))

    @given(st.floats(-1e9, 1e9))
    def test_no_duration_is_negative(self, seconds):
        self.assertNotIn('-', in_words(seconds))
