# SPDX-License-Identifier: Apache-2.0
import datetime

import hypothesis
from hypothesis import strategies

from trove_upgrade.domain import actions, explanation, states
from trove_upgrade.domain.events import EventKind
from trove_upgrade.domain.explanation import EntryKind, HolderState
from trove_upgrade.domain.holds import Choices, Hold
from trove_upgrade.domain.states import Step, UpgradeState
from trove_upgrade.domain.upgrades import StepRun, Upgrade
from trove_upgrade.tests.unit import base

NOW = datetime.datetime(2026, 12, 1, 2, 0, tzinfo=datetime.UTC)
ID = '00000000-0000-4000-8000-00000000ccc1'


def ago(seconds):
    return NOW - datetime.timedelta(seconds=seconds)


def upgrade(**changes):
    facts = {
        'id': ID,
        'instance_id': 'instance-1',
        'project_id': 'project-1',
        'instance_name': 'db1',
        'server_id': 'server-1',
        'state': UpgradeState.RUNNING,
        'step': Step.BOOT,
        'attempt': 1,
        'rebuild_attempt': 1,
        'former_version_id': 'former',
        'target_version_id': 'target',
        'former_image_id': 'image-1',
        'target_image_id': 'image-2',
        'datastore_manager': 'mariadb',
        'target_number': '11.8.6',
        'generation': 3,
        'created_at': ago(300),
        'updated_at': ago(10),
        'request_id': 'req-1',
        'user_id': 'user-1',
    }
    return Upgrade(**{**facts, **changes})


def waiting_for_a_heartbeat(**changes):
    run = StepRun(
        step=Step.BOOT, attempt=1, started_at=ago(40), runs=9, message='no heartbeat came yet'
    )
    return upgrade(steps=(run,), **changes)


def explain(found, *, holder=None, notices=()):
    verdicts = [actions.verdict(each, found) for each in actions.Action]
    return explanation.explain(found, notices, holder, verdicts, NOW)


def notice(kind=EventKind.FINISH, sent_at=None):
    return explanation.Notice(kind=kind, attempt=1, created_at=ago(20), sent_at=sent_at, tries=4)


class TestExplanation(base.TestCase):
    def test_a_step_that_waits_tells_for_what_and_how_long_it_still_may(self):
        found = waiting_for_a_heartbeat(next_run_at=ago(-5), step_deadline=ago(-600))
        explained = explain(found)
        self.assertIn('Step boot: no heartbeat came yet', explained.waits_for)
        self.assertIn('rests for 5 s more', explained.waits_for)
        self.assertIn('over in 600 s', explained.waits_for)
        self.assertEqual('restore, verify, COMPLETED.', explained.following)

    def test_a_step_past_its_time_tells_since_when(self):
        self.assertIn('over 30 s ago', explain(upgrade(step_deadline=ago(30))).waits_for)

    def test_the_lease_tells_its_owner_and_what_is_known_of_its_process(self):
        held = waiting_for_a_heartbeat(owner='h/1.2-3', lease_until=ago(-8))
        texts = {holder: explain(held, holder=holder).lease for holder in HolderState}
        self.assertEqual(len(HolderState), len({lease.text for lease in texts.values()}))
        for lease in texts.values():
            self.assertIn('h/1.2-3 for 8.0 s more', lease.text)
            self.assertEqual(8.0, lease.seconds_left)
        self.assertIn('has ended', texts[HolderState.ENDED].text)

    def test_a_lease_that_has_run_out_and_none_at_all_are_free(self):
        over = explain(upgrade(owner='me', lease_until=ago(1)), holder=HolderState.SILENT).lease
        self.assertEqual('Free: that of me has run out.', over.text)
        self.assertEqual(0.0, over.seconds_left)
        self.assertIn('Free', explain(upgrade()).lease.text)

    def test_one_that_no_taskmanager_takes_says_since_when(self):
        self.assertIn('due for 90 s', explain(upgrade(next_run_at=ago(90))).waits_for)
        self.assertNotIn('due', explain(upgrade(next_run_at=ago(3))).waits_for)

    def test_one_that_has_not_begun_has_all_steps_before_it(self):
        pending = upgrade(state=UpgradeState.PENDING, step=Step.PRECHECK)
        explained = explain(pending)
        self.assertEqual(
            'precheck, quiesce, rebuild, boot, restore, verify, COMPLETED.', explained.following
        )
        self.assertIn('taskmanager', explained.waits_for)

    def test_one_that_is_held_tells_what_lets_it_go_on_and_when_it_ends_by_itself(self):
        found = upgrade(state=UpgradeState.HELD, step=Step.PRECHECK)
        hold = Hold(since=ago(60), until=ago(-90))
        held = found.evolve(progress=found.progress.evolve(hold=hold))
        explained = explain(held)
        self.assertEqual('For "proceed". It ends ABORTED by itself in 90 s.', explained.waits_for)
        self.assertIn('no taskmanager works on it', explained.lease.text)
        self.assertEqual(
            'precheck, quiesce, rebuild, boot, restore, verify, COMPLETED.', explained.following
        )
        choices = Choices(not_before=ago(-30))
        timed = found.evolve(progress=found.progress.evolve(choices=choices))
        self.assertEqual(
            'For "proceed", or for 2026-12-01T02:00:30+00:00.', explain(timed).waits_for
        )

    def due(self, next_run_at, hold):
        """The words about an upgrade whose time to begin has come."""
        found = upgrade(state=UpgradeState.HELD, step=Step.PRECHECK, next_run_at=next_run_at)
        choices = Choices(not_before=ago(40))
        return explain(
            found.evolve(progress=found.progress.evolve(choices=choices, hold=hold))
        ).waits_for

    def test_one_whose_time_has_come_tells_what_has_kept_it(self):
        begins = 'To begin: its time has come at 2026-12-01T01:59:20+00:00. It is tried every 15 s.'
        self.assertEqual(begins, self.due(ago(5), Hold()))
        self.assertEqual(
            f'{begins} When it was last tried: A backup runs.',
            self.due(ago(-9), Hold(kept_by='A backup runs.')),
        )

    def test_one_whose_time_has_come_and_that_no_taskmanager_looks_at_tells_so(self):
        self.assertIn('due for 90 s, and no taskmanager', self.due(ago(90), Hold()))

    def test_one_that_is_to_be_held_has_its_hold_before_it_and_the_checks_once_more(self):
        rest = 'precheck, quiesce, rebuild, boot, restore, verify, COMPLETED.'
        over = Hold(since=ago(60), over_at=ago(1))
        for state, choices, hold, following in (
            (UpgradeState.PENDING, Choices(hold=True), Hold(), f'precheck, HELD, {rest}'),
            (UpgradeState.RUNNING, Choices(hold=True), Hold(), f'HELD, {rest}'),
            (UpgradeState.RUNNING, Choices(not_before=ago(-9)), Hold(), f'HELD, {rest}'),
            (UpgradeState.RUNNING, Choices(not_before=ago(9)), Hold(), rest.partition(', ')[2]),
            (UpgradeState.RUNNING, Choices(hold=True), over, rest.partition(', ')[2]),
        ):
            found = upgrade(state=state, step=Step.PRECHECK)
            progress = found.progress.evolve(choices=choices, hold=hold)
            self.assertEqual(following, explain(found.evolve(progress=progress)).following)

    def test_one_that_is_undone_or_led_back_ends_there(self):
        found = upgrade(step=Step.QUIESCE)
        given_up = found.evolve(progress=found.progress.given_up(1, 'no space', 'NO_SPACE'))
        self.assertIn('ABORTED', explain(given_up).following)
        back = upgrade().turned_back('no heartbeat', 'BOOT_TIMEOUT')
        self.assertIn('ROLLED_BACK', explain(back).following)
        self.assertTrue(explain(back).following.startswith('boot, restore, verify'))

    def test_one_that_is_retried_after_it_could_not_be_undone_goes_on_from_the_stop(self):
        for step in (Step.QUIESCE, Step.REBUILD):
            found = upgrade(step=step)
            given_up = found.evolve(progress=found.progress.given_up(1, 'no space', 'NO_SPACE'))
            explained = explain(given_up.evolve(attempt=2))
            self.assertEqual('rebuild, boot, restore, verify, COMPLETED.', explained.following)
            self.assertIn('Step quiesce', explained.waits_for)

    def test_a_failed_one_names_its_cause_and_the_command_that_goes_on(self):
        failed = upgrade(
            state=UpgradeState.FAILED,
            cause='No heartbeat.',
            error_code='BOOT_TIMEOUT',
            ended_at=ago(5),
        )
        explained = explain(failed)
        self.assertIn('BOOT_TIMEOUT: No heartbeat.', explained.waits_for)
        allowed = {verdict.action: verdict.allowed for verdict in explained.verdicts}
        self.assertEqual(
            {'abort': False, 'proceed': False, 'retry': True, 'rollback': False}, allowed
        )
        rollback = explained.verdicts[-1]
        self.assertEqual('ROLLBACK_REFUSED', rollback.code)
        self.assertEqual(EntryKind.ENDED, explained.timeline[-1].kind)

    def test_one_that_has_ended_waits_only_for_what_is_not_sent(self):
        done = upgrade(state=UpgradeState.COMPLETED, step=Step.VERIFY, ended_at=ago(21))
        self.assertEqual('For nothing.', explain(done).waits_for)
        unsent = explain(done, notices=[notice()])
        self.assertIn('finish', unsent.waits_for)
        self.assertIn('tried 4 times', unsent.timeline[-1].text)
        sent = explain(done, notices=[notice(sent_at=ago(17))])
        self.assertEqual('For nothing.', sent.waits_for)
        self.assertIn('sent after 3.0 s', sent.timeline[-1].text)

    def test_a_state_of_a_later_release_is_left_to_its_tools(self):
        explained = explain(upgrade(state=UpgradeState('RESTING')))
        self.assertIn('later release', explained.waits_for)
        self.assertIn('later release', explained.following)
        self.assertEqual([False] * 4, [verdict.allowed for verdict in explained.verdicts])

    @hypothesis.given(
        state=strategies.sampled_from([*UpgradeState, UpgradeState('RESTING')]),
        step=strategies.sampled_from([*Step, Step('warm_up')]),
        rests=strategies.none() | strategies.floats(-1e6, 1e6),
        lease=strategies.none() | strategies.floats(-1e6, 1e6),
        holder=strategies.none() | strategies.sampled_from(HolderState),
    )
    def test_every_row_can_be_explained_in_order_of_time(self, state, step, rests, lease, holder):
        found = upgrade(
            state=state,
            step=step,
            owner=None if holder is None else 'me',
            next_run_at=rests if rests is None else ago(rests),
            lease_until=lease if lease is None else ago(lease),
            steps=tuple(
                StepRun(step=each, attempt=1, started_at=ago(200 - place))
                for place, each in enumerate(states.STEPS)
            ),
        )
        explained = explain(found, holder=holder, notices=[notice()])
        times = [entry.at for entry in explained.timeline]
        self.assertEqual(sorted(times), times)
        self.assertEqual(len(states.STEPS) + 2, len(times))
        for text in (explained.waits_for, explained.lease.text, explained.following):
            self.assertTrue(text.endswith(('.', 'cause', 'yet')), text)
