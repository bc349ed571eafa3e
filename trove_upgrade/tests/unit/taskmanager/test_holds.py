# SPDX-License-Identifier: Apache-2.0
"""Upgrades that are held, proceed and are aborted, on a real repository with one clock."""

import dataclasses
import datetime

from trove_upgrade.db import models
from trove_upgrade.domain import (
    compute,
    exceptions,
    guests,
    holds,
    instances,
    logs,
    metrics,
    refusals,
    states,
)
from trove_upgrade.domain.actions import Action
from trove_upgrade.taskmanager import recovery
from trove_upgrade.taskmanager.hold_watch import HoldWatch
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.taskmanager import fakes

S, Step, Task = states.UpgradeState, states.Step, instances.Task
HOLD = holds.Choices(hold=True)
HOUR = 3600
#: Glance's image of the target version after a repair.
_NEWER = '00000000-0000-4000-8000-00000000118f'


class Counted(metrics.NoMetrics):
    """Implements metrics.Metrics: the ends, as they come."""

    def __init__(self, ended):
        self._ended = ended

    def attempt_ended(self, ended):
        self._ended.append((ended.id, ended.state))


class AbortedAtASave:
    """The repository, for one that is aborted just before a save."""

    def __init__(self, upgrades, is_the_save, abort):
        self._upgrades, self._is_the_save, self._abort = upgrades, is_the_save, abort

    def __getattr__(self, name):
        return getattr(self._upgrades, name)

    def save(self, held, **options):
        if self._is_the_save(held):
            self._abort()
        return self._upgrades.save(held, **options)


class HoldCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.stage = self.useFixture(fakes.Stage())
        self.repos, self.clock = self.stage.repos, self.stage.clock
        self.stage.db.follow_clock(self.clock.now)
        self.nudged, self.ended, self.requests = [], [], []

    def watch(self):
        return HoldWatch(
            upgrades=self.repos.upgrades,
            actions=self.repos.actions,
            held=self.repos.holds,
            clock=self.clock,
            put_upgrade=self.nudge,
            on_event=lambda: self.requests.append(logs.request_id()),
            metrics=Counted(self.ended),
        )

    def nudge(self, turn):
        self.nudged.append(turn.id)
        self.requests.append(logs.request_id())

    def look(self):
        """Look at the holds, as a taskmanager does every few seconds."""
        recovery.Recovery(
            upgrades=self.repos.upgrades,
            checks=self.repos.checks,
            put_upgrade=lambda turn: None,
            put_check=lambda turn: None,
            holds=recovery.Holds(self.repos.holds, lambda turn: self.watch().run(turn.id)),
        ).run_once()

    def begin(self, choices=HOLD):
        return self.stage.db.begin(choices=choices)

    def held(self, choices=HOLD):
        """An upgrade that waits."""
        row = self.stage.run_on(self.begin(choices).id)
        self.assertIs(S.HELD, row.state, row)
        return row

    def take(self, action, row):
        return self.repos.actions.take(action, row.id).upgrade

    def task(self):
        return self.repos.instances.get(database.INSTANCE).task

    def events(self):
        rows = self.stage.db.rows(models.upgrade_outbox)
        return [event.kind for event in sorted(rows, key=lambda event: event.position)]

    def asked(self, method):
        return self.stage.guest.asked(method)


class TestHold(HoldCase):
    def test_it_is_checked_and_prepared_and_its_database_is_left_alone(self):
        row = self.held()
        self.assertEqual(['check_upgrade'], [name for name, _ in self.stage.guest.calls])
        [call] = self.asked('check_upgrade')
        self.assertTrue(call.options.bring_image)
        self.assertEqual((Step.PRECHECK, None, None), (row.step, row.owner, row.lease_until))
        self.assertEqual(
            (self.clock.now(), self.clock.now() + datetime.timedelta(days=7), None),
            (row.progress.hold.since, row.progress.hold.until, row.progress.hold.over_at),
        )
        self.assertEqual(['start', 'held'], self.events())

    def test_its_instance_is_free_for_other_actions_than_upgrades(self):
        row = self.held()
        self.assertIs(Task.NONE, self.task())
        error = self.assertRaises(refusals.InstanceHeld, self.stage.db.begin)
        self.assertIn(row.id, error.message)
        self.assertIs(Task.NONE, self.task())

    def test_no_taskmanager_works_on_it(self):
        row = self.held()
        self.assertEqual([], list(self.repos.upgrades.due(10)))
        self.assertIsNone(self.repos.upgrades.turn(row.id))
        self.assertRaises(exceptions.LeaseLost, self.repos.upgrades.claim, row.id, 'tm-2', 15)

    def test_one_that_proceeds_is_checked_anew_and_then_upgraded(self):
        row = self.take(Action.PROCEED, self.held())
        self.assertEqual((S.RUNNING, Task.UPGRADING), (row.state, self.task()))
        row = self.stage.run_on(row.id)
        first, second = self.asked('check_upgrade')
        self.assertEqual((0, 1), (first.attempt, second.attempt))
        self.assertFalse(second.options.bring_image)
        self.assertEqual(
            [Step.PRECHECK, Step.PRECHECK, Step.QUIESCE, Step.REBUILD],
            [run.step for run in row.steps],
        )
        self.stage.run_on(row.id)
        self.stage.heartbeat(self.repos.upgrades.get(row.id))
        self.clock.pass_time(5)
        self.assertIs(S.COMPLETED, self.stage.run_on(row.id).state)
        self.assertEqual(['start', 'held', 'open', 'end', 'finish'], self.events())

    def test_after_the_hold_the_server_gets_the_image_that_the_version_has_by_then(self):
        row = self.held()
        self.assertEqual(database.IMAGE_11_8, row.target_image_id)
        self.stage.images.known[_NEWER] = dataclasses.replace(
            self.stage.images.known.pop(database.IMAGE_11_8), id=_NEWER
        )
        self.stage.db.update_version(database.MARIADB_11_8, image_id=_NEWER)
        row = self.stage.run_on(self.take(Action.PROCEED, row).id)
        self.assertEqual((Step.REBUILD, _NEWER), (row.step, row.target_image_id))
        self.assertEqual([_NEWER], [image for _, image, *_ in self.stage.nova.rebuilds])
        self.assertEqual(_NEWER, self.asked('check_upgrade')[-1].target.image_id)

    def test_one_that_was_not_held_keeps_the_image_that_it_began_with(self):
        row = self.begin(holds.NO_CHOICES)
        self.stage.db.update_version(database.MARIADB_11_8, image_id=_NEWER)
        self.assertEqual(database.IMAGE_11_8, self.stage.run_on(row.id).target_image_id)

    def test_one_whose_checks_say_no_by_then_ends_with_nothing_touched(self):
        row = self.take(Action.PROCEED, self.held())
        self.stage.nova.change(locked=True)
        row = self.stage.run_on(row.id)
        self.assertEqual((S.ABORTED, 'SERVER_LOCKED'), (row.state, row.error_code))
        self.assertEqual([], self.asked('pre_upgrade'))
        self.assertIs(Task.NONE, self.task())

    def test_one_whose_server_passes_through_a_state_by_then_waits_for_it(self):
        row = self.take(Action.PROCEED, self.held())
        for passing in ({'status': 'REBOOT'}, {'status': 'ACTIVE', 'task_state': 'rebooting'}):
            self.stage.nova.change(**passing)
            row = self.stage.run_on(row.id)
            self.assertEqual((S.RUNNING, Step.PRECHECK), (row.state, row.step))
            self.assertEqual(1, len(self.asked('check_upgrade')))
            self.clock.pass_time(10)
        self.stage.nova.change(task_state=None)
        self.assertIs(Step.REBUILD, self.stage.run_on(row.id).step)

    def test_one_whose_server_stays_in_such_a_state_ends_with_nothing_touched(self):
        row = self.take(Action.PROCEED, self.held())
        self.stage.nova.change(status='REBOOT')
        self.stage.run_on(row.id)
        self.clock.pass_time(HOUR)
        row = self.stage.run_on(row.id)
        self.assertEqual((S.ABORTED, 'PRECHECK_TIMEOUT'), (row.state, row.error_code))
        self.assertIn('its status is REBOOT', row.cause)
        self.assertEqual([], self.asked('pre_upgrade'))

    def test_bringing_the_container_image_may_take_longer_than_the_checks_do(self):
        self.stage.precheck = dataclasses.replace(self.stage.precheck, bring_seconds=1000)
        self.stage.guest.says('check_upgrade', fakes.answer(guests.JobState.RUNNING))
        row = self.stage.run_on(self.begin().id)
        for seconds, state in ((1000, S.RUNNING), (101, S.ABORTED)):
            self.clock.pass_time(seconds)
            row = self.stage.run_on(row.id)
            self.assertIs(state, row.state)
        self.assertEqual('PRECHECK_TIMEOUT', row.error_code)
        self.assertIn('after 1100 s', row.cause)

    def test_an_image_that_cannot_be_had_ends_it_before_it_waits(self):
        check = {
            'name': 'guest_target',
            'outcome': 'refused',
            'message': 'There is no such image.',
            'code': 'CONTAINER_IMAGE_NOT_FOUND',
        }
        answer = fakes.answer(result={'checks': [check]})
        self.stage.guest.says('check_upgrade', answer)
        row = self.stage.run_on(self.begin().id)
        self.assertEqual((S.ABORTED, 'CONTAINER_IMAGE_NOT_FOUND'), (row.state, row.error_code))
        self.assertIs(Task.NONE, self.task())

    def test_one_whose_instance_another_action_has_taken_is_not_held(self):
        def taken():
            self.stage.db.update_instance(task_id=int(Task.DELETING))

        self.stage.guest.before('check_upgrade', taken)
        row = self.stage.run_on(self.begin().id)
        self.assertEqual((S.FAILED, 'INSTANCE_CHANGED'), (row.state, row.error_code))
        self.assertIs(Task.DELETING, self.task())

    def test_a_retry_is_not_held_again(self):
        row = self.take(Action.PROCEED, self.held())
        self.stage.run_on(row.id)
        held = self.repos.upgrades.claim(row.id, 'tm', 60)
        self.repos.upgrades.end(held, S.FAILED, cause='c', error_code='E')
        self.assertFalse(self.take(Action.RETRY, row).is_to_be_held)


class TestTime(HoldCase):
    def at(self, seconds):
        moment = self.clock.now() + datetime.timedelta(seconds=seconds)
        return holds.Choices(not_before=moment)

    def test_one_proceeds_by_itself_when_its_time_comes(self):
        row = self.held(self.at(2 * HOUR))
        self.clock.pass_time(HOUR)
        self.look()
        self.assertIs(S.HELD, self.repos.upgrades.get(row.id).state)
        self.clock.pass_time(HOUR)
        self.look()
        self.assertIs(S.RUNNING, self.repos.upgrades.get(row.id).state)
        self.assertEqual([row.id], self.nudged)

    def test_one_whose_time_has_come_before_its_checks_are_done_does_not_wait(self):
        row = self.stage.run_on(self.begin(self.at(-1)).id)
        self.assertEqual((S.RUNNING, Step.REBUILD), (row.state, row.step))

    def test_one_can_proceed_before_its_time(self):
        row = self.take(Action.PROCEED, self.held(self.at(2 * HOUR)))
        self.assertIs(Step.REBUILD, self.stage.run_on(row.id).step)

    def test_one_whose_instance_is_busy_then_waits_for_it(self):
        row = self.held(self.at(HOUR))
        self.stage.db.update_instance(task_id=int(Task.RESIZING))
        self.clock.pass_time(HOUR)
        self.look()
        self.assertIs(S.HELD, self.repos.upgrades.get(row.id).state)
        self.stage.db.update_instance(task_id=int(Task.NONE))
        self.clock.pass_time(15)
        self.look()
        self.assertIs(S.RUNNING, self.repos.upgrades.get(row.id).state)

    def test_one_that_never_proceeds_as_its_instance_is_busy_ends_with_that_cause(self):
        row = self.held(self.at(HOUR))
        self.stage.db.update_instance(task_id=int(Task.RESIZING))
        self.clock.pass_time(HOUR)
        self.look()
        kept_by = self.repos.upgrades.get(row.id).progress.hold.kept_by
        self.assertIn('RESIZE', kept_by)
        self.clock.pass_time(7 * 24 * HOUR)
        self.look()
        row = self.repos.upgrades.get(row.id)
        self.assertEqual((S.ABORTED, 'HOLD_EXPIRED'), (row.state, row.error_code))
        self.assertIn(kept_by, row.cause)

    def test_one_that_proceeds_after_all_forgets_what_kept_it(self):
        row = self.held(self.at(HOUR))
        self.repos.holds.stay(row, 15, 'Its instance is busy.')
        row = self.take(Action.PROCEED, self.repos.upgrades.get(row.id))
        self.assertIsNone(row.progress.hold.kept_by)
        self.repos.holds.stay(self.held_as_read(row), 15, 'Its instance is busy.')
        again = self.repos.upgrades.get(row.id)
        self.assertEqual((row.progress, row.next_run_at), (again.progress, again.next_run_at))

    def held_as_read(self, row):
        """As a taskmanager has read it before it proceeded."""
        return row.evolve(state=S.HELD)

    def test_one_that_no_taskmanager_looks_at_when_its_time_comes_is_overdue(self):
        row = self.held(self.at(HOUR))
        self.assertEqual(0, row.overdue_seconds(self.clock.now()))
        self.clock.pass_time(HOUR + 100)
        self.assertEqual(100, row.overdue_seconds(self.clock.now()))
        [listed] = self.repos.upgrades.list(limit=1).items
        self.assertEqual(100, listed.overdue_seconds(self.clock.now()))

    def test_one_that_is_held_for_too_long_ends_with_nothing_touched(self):
        row = self.held()
        for _ in range(7 * 24 - 1):
            self.clock.pass_time(HOUR)
            self.look()
        self.assertIs(S.HELD, self.repos.upgrades.get(row.id).state)
        self.clock.pass_time(HOUR)
        self.look()
        row = self.repos.upgrades.get(row.id)
        self.assertEqual((S.ABORTED, 'HOLD_EXPIRED'), (row.state, row.error_code))
        self.assertEqual([(row.id, S.ABORTED)], self.ended)
        self.assertEqual(['start', 'held', 'error'], self.events())
        self.assertIs(S.PENDING, self.stage.db.begin().state)

    def test_the_lines_of_its_end_and_of_its_proceeding_carry_the_users_request(self):
        row = self.held()
        self.clock.pass_time(8 * 24 * HOUR)
        self.look()
        self.held(self.at(HOUR))
        self.clock.pass_time(HOUR)
        self.look()
        self.assertEqual([row.request_id] * 2, self.requests)
        self.assertIsNone(logs.request_id())

    def test_one_whose_instance_is_deleted_ends_within_the_hour(self):
        row = self.held()
        self.stage.db.update_instance(deleted=True)
        self.clock.pass_time(HOUR)
        self.look()
        row = self.repos.upgrades.get(row.id)
        self.assertEqual((S.ABORTED, 'INSTANCE_DELETED'), (row.state, row.error_code))

    def test_one_whose_instance_is_another_by_now_ends_within_the_hour_and_blocks_none(self):
        for changes in (
            {'datastore_version_id': database.MARIADB_11_8},
            {'compute_instance_id': '00000000-0000-4000-8000-00000000fff1'},
        ):
            former = self.repos.instances.get(database.INSTANCE)
            row = self.held()
            self.stage.db.update_instance(**changes)
            self.clock.pass_time(HOUR)
            self.look()
            row = self.repos.upgrades.get(row.id)
            self.assertEqual((S.ABORTED, 'INSTANCE_CHANGED'), (row.state, row.error_code))
            self.assertIn('Begin a new one.', row.cause)
            self.assertNotIn('Abort', row.cause)
            self.stage.db.update_instance(
                datastore_version_id=former.version.id, compute_instance_id=former.server_id
            )
        self.assertIs(S.PENDING, self.begin(holds.NO_CHOICES).state)

    def test_one_whose_instance_is_busy_stays_held_until_its_user_decides(self):
        row = self.held()
        self.stage.db.update_instance(task_id=int(Task.RESIZING))
        self.clock.pass_time(HOUR)
        self.look()
        self.assertIs(S.HELD, self.repos.upgrades.get(row.id).state)


class TestAbort(HoldCase):
    def test_one_that_no_taskmanager_has_taken_ends_at_once(self):
        row = self.take(Action.ABORT, self.begin(holds.NO_CHOICES))
        self.assertEqual((S.ABORTED, 'ABORTED_ON_REQUEST'), (row.state, row.error_code))
        self.assertIs(Task.NONE, self.task())
        self.assertEqual(['start', 'error'], self.events())

    def test_one_that_is_held_ends_at_once_whatever_its_instance_does(self):
        row = self.held()
        self.stage.db.update_instance(task_id=int(Task.RESIZING))
        row = self.take(Action.ABORT, row)
        self.assertEqual((S.ABORTED, 'ABORTED_ON_REQUEST'), (row.state, row.error_code))
        self.assertIs(Task.RESIZING, self.task())

    def test_one_whose_guest_was_told_nothing_ends_at_once_though_the_guest_is_silent(self):
        row = self.begin(holds.NO_CHOICES)
        self.stage.guest.says('check_upgrade', fakes.silent('check_upgrade'))
        self.stage.run_on(row.id)
        row = self.take(Action.ABORT, row)
        self.assertIs(S.ABORTED, row.state)
        self.assertEqual(['refused'], [run.outcome for run in row.steps])
        self.assertEqual([], self.asked('abort_upgrade'))
        self.assertIs(Task.NONE, self.task())

    def test_one_that_is_aborted_as_its_guest_is_about_to_be_told_shows_the_status_of_before(self):
        """That it is told is written with the status that Trove shows, or neither is."""
        self.repos.instances.set_service_status(database.INSTANCE, 'healthy')
        row, runner = self.begin(holds.NO_CHOICES), self.stage.runner()
        aborting = AbortedAtASave(
            runner.upgrades,
            lambda held: held.guest_told_in_attempt is not None,
            lambda: self.take(Action.ABORT, row),
        )
        row = self.stage.run_on(row.id, dataclasses.replace(runner, upgrades=aborting))
        self.assertEqual((S.ABORTED, 'ABORTED_ON_REQUEST'), (row.state, row.error_code))
        self.assertEqual([], self.asked('pre_upgrade'))
        found = self.repos.instances.get(database.INSTANCE)
        self.assertEqual('healthy', found.service_status)

    def test_one_whose_guest_works_is_undone_by_it(self):
        row = self.begin(holds.NO_CHOICES)
        self.stage.guest.says('pre_upgrade', fakes.answer(guests.JobState.RUNNING))
        row = self.stage.run_on(row.id)
        self.assertIs(Step.QUIESCE, row.step)
        row = self.take(Action.ABORT, row)
        self.assertTrue(row.is_undoing)
        self.assertEqual(row, self.take(Action.ABORT, row))
        row = self.stage.run_on(row.id)
        self.assertEqual((S.ABORTED, 'ABORTED_ON_REQUEST'), (row.state, row.error_code))
        self.assertEqual(1, len(self.asked('abort_upgrade')))
        self.assertIs(Task.NONE, self.task())

    def test_a_guest_that_does_not_undo_it_in_time_ends_the_wait(self):
        row = self.begin(holds.NO_CHOICES)
        self.stage.guest.says('pre_upgrade', fakes.answer(guests.JobState.RUNNING))
        self.stage.guest.says('abort_upgrade', fakes.answer(guests.JobState.RUNNING))
        row = self.take(Action.ABORT, self.stage.run_on(row.id))
        self.stage.run_on(row.id)
        self.clock.pass_time(3601)
        row = self.stage.run_on(row.id)
        self.assertEqual((S.FAILED, 'UNDO_TIMEOUT'), (row.state, row.error_code))

    def stopped_before_the_call_to_nova(self):
        """An upgrade whose database is stopped, while its server has another task."""
        nova, guest = self.stage.nova, self.stage.guest
        guest.before('pre_upgrade', lambda: nova.change(task_state='migrating'))
        row = self.stage.run_on(self.begin(holds.NO_CHOICES).id)
        self.assertEqual((Step.REBUILD, 1), (row.step, row.rebuild_attempt))
        return row

    def assert_undone(self, row):
        row = self.stage.run_on(self.take(Action.ABORT, row).id)
        self.assertEqual((S.ABORTED, 'ABORTED_ON_REQUEST'), (row.state, row.error_code))
        self.assertEqual(1, len(self.asked('abort_upgrade')))
        self.assertEqual([], self.stage.nova.rebuilds)

    def test_one_whose_server_has_another_task_is_undone_though_its_marker_is_made(self):
        self.assert_undone(self.stopped_before_the_call_to_nova())

    def test_one_for_which_nova_does_not_answer_is_undone(self):
        row = self.stopped_before_the_call_to_nova()
        self.stage.nova.unavailable = 'no connection'
        for _ in range(3):
            row = self.stage.run_on(row.id)
        self.assert_undone(row)

    def test_one_that_nova_cannot_rebuild_now_is_undone(self):
        row = self.stopped_before_the_call_to_nova()
        self.stage.nova.change(task_state=None)
        conflict = exceptions.RebuildConflict(server_id=row.server_id, found='409')
        self.stage.nova.answers = [conflict] * 2
        for _ in range(2):
            row = self.stage.run_on(row.id)
        self.assertEqual([], self.stage.nova.answers)
        self.assert_undone(row)

    def test_one_whose_call_to_nova_had_no_answer_goes_on(self):
        row = self.stopped_before_the_call_to_nova()
        self.stage.nova.change(task_state=None)
        conflict = exceptions.RebuildConflict(server_id=row.server_id, found='409')
        self.stage.nova.answers = [fakes.lost_answer(accepted=False), conflict]
        for _ in range(2):
            row = self.stage.run_on(row.id)
            self.assertRaises(refusals.AbortRefused, self.take, Action.ABORT, row)
        self.assertEqual([], self.stage.nova.answers)

    def test_one_whose_step_met_an_unexpected_error_goes_on(self):
        row = self.stopped_before_the_call_to_nova()
        self.stage.nova.change(task_state=None)
        self.stage.nova.answers = [RuntimeError('after the call')]
        row = self.stage.run_on(row.id)
        self.assertRaises(refusals.AbortRefused, self.take, Action.ABORT, row)

    def test_one_that_a_taskmanager_of_borealis_has_run_since_goes_on(self):
        """It may have asked Nova, and leaves the record as it is."""
        row = self.stopped_before_the_call_to_nova()
        held = self.repos.upgrades.claim(row.id, 'borealis', 60)
        last = held.steps[-1]
        ran = dataclasses.replace(last, runs=last.runs + 1)
        held = self.repos.upgrades.save(held.evolve(steps=(*held.steps[:-1], ran)))
        self.assertRaises(refusals.AbortRefused, self.take, Action.ABORT, held)

    def test_one_that_nova_fell_back_from_is_undone(self):
        row = self.stopped_before_the_call_to_nova()
        self.stage.nova.change(task_state=None)
        self.stage.nova.result = compute.RebuildResult.NOTHING_HAPPENED
        row = self.stage.run_on(row.id)
        self.assertIsNotNone(row.progress.rebuild.accepted_in_attempt)
        result = self.stage.nova.rebuild_result
        self.stage.nova.rebuild_result = lambda server: self.falls_back(result, server)
        row = self.stage.run_on(row.id)
        self.assertEqual(2, row.rebuild_attempt)
        row = self.stage.run_on(self.take(Action.ABORT, row).id)
        self.assertEqual((S.ABORTED, 'ABORTED_ON_REQUEST'), (row.state, row.error_code))
        self.assertEqual(1, len(self.stage.nova.rebuilds))

    def falls_back(self, result, server):
        """Nova tells that nothing happened, and the server gets another task then."""
        self.stage.nova.change(task_state='migrating')
        return result(server)

    def test_one_that_nova_was_asked_to_rebuild_goes_on(self):
        row = self.stage.run_on(self.begin(holds.NO_CHOICES).id)
        self.assertIs(Step.REBUILD, row.step)
        error = self.assertRaises(refusals.AbortRefused, self.take, Action.ABORT, row)
        self.assertIn('Nova was asked', error.message)
        again = self.repos.upgrades.get(row.id)
        self.assertEqual((row.generation, row.updated_at), (again.generation, again.updated_at))
