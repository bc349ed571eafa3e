# SPDX-License-Identifier: Apache-2.0
"""An upgrade from its claim to its end, on a real repository."""

import dataclasses
import logging
import re

import fixtures

from trove_upgrade.db import models
from trove_upgrade.domain import compute, exceptions, instances, states
from trove_upgrade.domain.guests import JobState, ServerState
from trove_upgrade.tests.unit import base, database, stored
from trove_upgrade.tests.unit.taskmanager import fakes

S, Step = states.UpgradeState, states.Step


class TestRunner(base.TestCase):
    def setUp(self):
        super().setUp()
        self.stage = self.useFixture(fakes.Stage())
        self.repos = self.stage.repos

    def status(self):
        return self.repos.instances.get(database.INSTANCE).service_status

    def outcomes(self, row):
        return [(run.step, run.outcome) for run in row.steps]

    def test_an_upgrade_goes_through_all_steps_and_ends_completed(self):
        row = self.stage.until_boot()
        self.assertEqual('upgrading', self.status())
        self.stage.heartbeat(row)

        row = self.stage.run_on(row.id)

        self.assertEqual(S.COMPLETED, row.state)
        self.assertEqual([(step, 'done') for step in states.STEPS], self.outcomes(row))
        self.assertEqual(7.5, stored.entries_of(row)['downtime_seconds'])
        self.assertEqual(database.IMAGE_10_11, row.former_image_id)
        self.assertEqual(
            [(database.SERVER, database.IMAGE_11_8, f'{row.id}:1')],
            [call[:3] for call in self.stage.nova.rebuilds],
        )
        self.assertEqual(instances.Task.NONE, self.repos.instances.task(database.INSTANCE))
        self.assertEqual(
            database.MARIADB_11_8, self.repos.instances.get(database.INSTANCE).version.id
        )
        self.assertEqual('healthy', self.status())

    def test_listeners_are_told_of_the_opening_before_it_is_verified(self):
        self.stage.guest.says('verify_upgrade', fakes.silent('verify_upgrade'))
        row = self.stage.until_boot()
        self.stage.heartbeat(row)
        self.stage.run_on(row.id)
        payloads = [
            event.payload
            for event in self.stage.db.rows(models.upgrade_outbox)
            if event.kind == 'open'
        ]
        self.assertEqual(
            [('RUNNING', 'verify', '2026-11-21T12:00:07.500000+00:00', 7.5)],
            [
                tuple(each[name] for name in ('state', 'step', 'opened_at', 'downtime_seconds'))
                for each in payloads
            ],
        )

    def test_beside_a_taskmanager_of_an_earlier_release_the_opening_is_told_by_the_end_alone(self):
        self.stage.older = 'a taskmanager of borealis'
        row = self.stage.until_boot()
        self.stage.heartbeat(row)
        row = self.stage.run_on(row.id)
        events = {event.kind: event for event in self.stage.db.rows(models.upgrade_outbox)}
        self.assertEqual({'start', 'end', 'finish'}, events.keys())
        self.assertEqual('2026-11-21T12:00:07.500000+00:00', events['end'].payload['opened_at'])

    def test_where_the_guest_tells_no_time_the_opening_has_the_taskmanagers(self):
        self.stage.guest.says('post_upgrade', fakes.answer(boot_id=fakes.NEW_BOOT))
        row = self.stage.until_boot()
        self.stage.heartbeat(row)
        row = self.stage.run_on(row.id)
        self.assertEqual(self.stage.clock.now(), row.progress.restore.opened_at)
        self.assertIsNone(row.progress.restore.open_seconds)

    def test_the_cloud_and_the_guest_are_asked_with_what_the_row_says(self):
        row = self.stage.until_boot()
        call = self.stage.guest.asked('pre_upgrade')[0]
        self.assertEqual(
            (row.id, 1, database.INSTANCE), (call.upgrade_id, call.attempt, call.instance_id)
        )
        self.assertEqual('11.8.6', call.target.server_version)
        self.assertIn(b'trove-upgrade-marker.conf', self.stage.nova.rebuilds[0][3])

    def test_a_refused_precheck_aborts_and_never_touches_the_guest(self):
        self.stage.nova.change(locked=True)
        row = self.stage.run_on(self.stage.db.begin().id)
        self.assertEqual((S.ABORTED, 'SERVER_LOCKED'), (row.state, row.error_code))
        self.assertEqual([], self.stage.guest.calls)
        self.assertEqual(instances.Task.NONE, self.repos.instances.task(database.INSTANCE))
        self.assertEqual('healthy', self.status())

    def test_a_database_that_was_down_before_is_not_called_healthy(self):
        down = {
            'name': 'guest_database',
            'outcome': 'refused',
            'message': 'down',
            'code': 'DATABASE_NOT_SERVING',
        }
        volume = {
            'name': 'guest_volume',
            'outcome': 'refused',
            'message': 'none',
            'code': 'VOLUME_NOT_MOUNTED',
        }
        for found, code in (
            ([down], 'DATABASE_NOT_SERVING'),
            ([volume, down], 'VOLUME_NOT_MOUNTED'),
        ):
            self.repos.instances.set_service_status(database.INSTANCE, 'healthy')
            self.stage.guest.says('check_upgrade', fakes.answer(result={'checks': found}))
            row = self.stage.run_on(self.stage.db.begin().id)
            self.assertEqual(
                (S.ABORTED, code, 'shutdown'), (row.state, row.error_code, self.status())
            )

    def test_an_end_before_the_guest_is_touched_leaves_the_status_that_stood_there(self):
        self.stage.nova.change(locked=True)
        for stood in ('crashed', 'restart required', 'healthy'):
            self.repos.instances.set_service_status(database.INSTANCE, stood)
            self.assertEqual(S.ABORTED, self.stage.run_on(self.stage.db.begin().id).state)
            self.assertEqual(stood, self.status())

    def test_the_status_says_upgrading_from_the_moment_the_guest_is_told_to_stop(self):
        said = []

        def stop(_call):
            said.append(self.status())
            return fakes.answer(JobState.REFUSED, message='no', code='NO')

        self.stage.guest.pre_upgrade = stop
        row = self.stage.run_on(self.stage.db.begin().id)
        self.assertEqual(
            (['upgrading'], S.ABORTED, 'healthy'),
            (said, row.state, self.status()),
            'the guest has said that it serves',
        )

    def test_a_failure_says_what_the_guest_said_of_its_database(self):
        self.stage.guest.says(
            'pre_upgrade', fakes.answer(JobState.FAILED, message='no space', code='SPACE')
        )
        self.stage.guest.says('abort_upgrade', fakes.answer(serving=False))
        row = self.stage.run_on(self.stage.db.begin().id)
        self.assertEqual(
            (S.FAILED, 'UNDO_NOT_SERVING', 'shutdown'), (row.state, row.error_code, self.status())
        )

    def test_a_failure_of_which_no_guest_has_said_anything_leaves_the_status_unknown_until_a_retry(
        self,
    ):
        row = self.stage.until_boot()
        self.stage.clock.pass_time(101)
        row = self.stage.run_on(row.id)
        self.assertEqual((S.FAILED, 'unknown'), (row.state, self.status()))
        self.repos.upgrades.retry(row.id)
        self.stage.run_on(row.id)
        self.assertEqual('upgrading', self.status())

    def test_a_guest_that_refuses_to_stop_is_told_to_undo(self):
        self.stage.guest.says(
            'pre_upgrade',
            fakes.answer(JobState.REFUSED, message='XA is prepared', code='XA_PREPARED'),
        )
        row = self.stage.run_on(self.stage.db.begin().id)
        self.assertEqual(
            (S.ABORTED, 'XA_PREPARED', 'XA is prepared'), (row.state, row.error_code, row.cause)
        )
        self.assertEqual(1, len(self.stage.guest.asked('abort_upgrade')))
        self.assertEqual([(Step.PRECHECK, 'done'), (Step.QUIESCE, 'refused')], self.outcomes(row))

    def test_an_undo_that_does_not_serve_ends_failed_and_keeps_both_causes(self):
        self.stage.guest.says(
            'pre_upgrade', fakes.answer(JobState.FAILED, message='no space', code='SPACE')
        )
        self.stage.guest.says(
            'abort_upgrade', fakes.answer(JobState.FAILED, message='will not start', code='START')
        )
        row = self.stage.run_on(self.stage.db.begin().id)
        self.assertEqual((S.FAILED, 'START'), (row.state, row.error_code))
        self.assertIn('will not start', row.cause)
        self.assertIn('no space', row.cause)
        self.assertEqual(
            instances.Task.UPGRADING_ERROR, self.repos.instances.task(database.INSTANCE)
        )

    def test_a_takeover_goes_on_undoing(self):
        self.stage.guest.says(
            'pre_upgrade', fakes.answer(JobState.REFUSED, message='no', code='NO')
        )
        self.stage.guest.says(
            'abort_upgrade', fakes.answer(JobState.RUNNING), fakes.answer(serving=True)
        )
        upgrade_id = self.stage.db.begin().id
        row = self.stage.run_on(upgrade_id)
        self.assertEqual(S.RUNNING, row.state)

        row = self.stage.run_on(upgrade_id, self.stage.runner('tm-2'))

        self.assertEqual((S.ABORTED, 'NO'), (row.state, row.error_code))
        self.assertEqual(1, len(self.stage.guest.asked('pre_upgrade')))

    def test_an_undo_that_lasts_too_long_ends_failed(self):
        self.stage.guest.says(
            'pre_upgrade', fakes.answer(JobState.REFUSED, message='no', code='NO')
        )
        self.stage.guest.says('abort_upgrade', fakes.silent('abort_upgrade'))
        upgrade_id = self.stage.db.begin().id
        self.stage.run_on(upgrade_id)
        self.stage.clock.pass_time(101)
        row = self.stage.run_on(upgrade_id)
        self.assertEqual((S.FAILED, 'UNDO_TIMEOUT'), (row.state, row.error_code))

    def test_nova_that_refuses_the_rebuild_leads_to_aborted_and_serving(self):
        self.stage.nova.answers = [
            exceptions.RebuildRefused(server_id=database.SERVER, found='quota')
        ]
        row = self.stage.run_on(self.stage.db.begin().id)
        self.assertEqual((S.ABORTED, 'REBUILD_REFUSED'), (row.state, row.error_code))
        self.assertEqual(1, len(self.stage.guest.asked('abort_upgrade')))

    def test_a_rebuild_that_fails_after_it_was_accepted_ends_failed_and_a_retry_completes(self):
        self.stage.nova.result = compute.RebuildResult.ERROR
        upgrade_id = self.stage.db.begin().id
        self.stage.run_on(upgrade_id)
        self.stage.nova.change(status='ERROR', fault='no space left')
        row = self.stage.run_on(upgrade_id)
        self.assertEqual((S.FAILED, 'REBUILD_FAILED'), (row.state, row.error_code))
        self.assertIn('no space left', row.cause)
        asked = len(self.stage.guest.asked('pre_upgrade'))

        self.repos.upgrades.retry(upgrade_id)
        self.stage.run_on(upgrade_id)
        self.assertEqual(
            asked,
            len(self.stage.guest.asked('pre_upgrade')),
            'the former guest is gone and is not asked',
        )
        self.stage.nova.change(status='ACTIVE')
        self.stage.nova.result = compute.RebuildResult.SUCCESS
        row = self.stage.run_on(upgrade_id)
        self.stage.heartbeat(row)
        row = self.stage.run_on(upgrade_id)

        self.assertEqual((S.COMPLETED, 2), (row.state, row.attempt))
        self.assertEqual(
            [f'{upgrade_id}:1', f'{upgrade_id}:2'], [call[2] for call in self.stage.nova.rebuilds]
        )

    def test_a_boot_that_never_comes_fails_and_a_retry_rebuilds_again(self):
        row = self.stage.until_boot()
        self.stage.clock.pass_time(101)
        row = self.stage.run_on(row.id)
        self.assertEqual((S.FAILED, 'BOOT_TIMEOUT'), (row.state, row.error_code))

        self.repos.upgrades.retry(row.id)
        self.stage.run_on(row.id)
        row = self.stage.run_on(row.id)
        self.assertEqual(2, len(self.stage.nova.rebuilds))
        self.stage.heartbeat(row)
        self.assertEqual(S.COMPLETED, self.stage.run_on(row.id).state)

    def test_a_retry_on_a_root_disk_that_somebody_else_has_rebuilt_rebuilds_again(self):
        row = self.stage.until_boot()
        self.stage.heartbeat(row)
        self.stage.guest.says(
            'post_upgrade',
            fakes.answer(JobState.FAILED, message='no port', code='DATABASE_NOT_REACHABLE'),
        )
        row = self.stage.run_on(row.id)
        self.assertEqual((S.FAILED, Step.RESTORE), (row.state, row.step))
        self.stage.heartbeat(row, marker='of another rebuild', boot_id='another')
        self.repos.upgrades.retry(row.id)
        self.stage.run_on(row.id)
        self.stage.run_on(row.id)
        self.assertEqual(2, len(self.stage.nova.rebuilds))

    def test_a_boot_that_came_late_needs_no_second_rebuild(self):
        row = self.stage.until_boot()
        self.stage.clock.pass_time(101)
        self.stage.run_on(row.id)
        self.stage.heartbeat(row)
        self.repos.upgrades.retry(row.id)
        self.assertEqual(S.COMPLETED, self.stage.run_on(row.id).state)
        self.assertEqual(1, len(self.stage.nova.rebuilds))

    def test_a_retry_after_a_failed_undo_stops_the_guest_again_before_it_rebuilds(self):
        self.stage.nova.answers = [
            exceptions.RebuildRefused(server_id=database.SERVER, found='quota')
        ]
        self.stage.guest.says('abort_upgrade', fakes.answer(JobState.FAILED, message='x', code='X'))
        row = self.stage.run_on(self.stage.db.begin().id)
        self.assertEqual(S.FAILED, row.state)
        self.repos.upgrades.retry(row.id)
        self.stage.run_on(row.id)
        attempts = [(run.step, run.attempt) for run in self.repos.upgrades.get(row.id).steps]
        self.assertIn((Step.QUIESCE, 2), attempts)
        self.assertEqual(1, len(self.stage.nova.rebuilds))

    def test_an_instance_that_somebody_else_has_taken_is_not_overwritten(self):
        row = self.stage.until_boot()
        self.stage.db.update_instance(task_id=int(instances.Task.RESIZING))
        self.stage.heartbeat(row)
        row = self.stage.run_on(row.id)
        self.assertEqual((S.FAILED, 'INSTANCE_CHANGED'), (row.state, row.error_code))
        self.assertEqual(instances.Task.RESIZING, self.repos.instances.task(database.INSTANCE))

    def test_an_instance_taken_before_quiesce_is_left_alone(self):
        self.stage.guest.says(
            'check_upgrade',
            fakes.answer(JobState.RUNNING),
            self.stage.guest.script['check_upgrade'][0],
        )
        row = self.stage.run_on(self.stage.db.begin().id)
        stage = self.stage
        precheck = stage.precheck
        self.assertEqual(Step.PRECHECK, row.step)
        stage.precheck = dataclasses.replace(
            precheck, preflight=_TakenDuring(precheck.preflight, stage.db)
        )
        row = stage.run_on(row.id)
        self.assertEqual((S.FAILED, 'INSTANCE_CHANGED'), (row.state, row.error_code))
        self.assertEqual([], stage.guest.asked('pre_upgrade'))

    def test_what_a_tenant_reads_names_no_address_of_novas(self):
        def away(*_arguments, **_words):
            raise exceptions.ComputeUnavailable(
                what='server s',
                found='Unable to establish connection to http://nova-int.example:8774/',
            )

        self.stage.nova.server = away
        row = self.stage.run_on(self.stage.db.begin().id)
        self.assertEqual(S.RUNNING, row.state)
        self.assertIn('Nova cannot be asked for server s', row.steps[-1].message)
        self.assertNotIn('nova-int', row.steps[-1].message)

    def test_a_guest_that_is_silent_is_told_from_one_that_never_spoke_and_one_that_was_restarted(
        self,
    ):
        self.stage.guest.says('check_upgrade', fakes.silent('check_upgrade'))
        row = self.stage.run_on(self.stage.db.begin().id)
        self.assertRegex(
            row.steps[-1].message, 'no upgrade agent was ever heard.* It is asked again[.]$'
        )
        self.stage.heartbeat(row, boot_id=fakes.FORMER_BOOT)
        row = self.stage.run_on(row.id)
        self.assertRegex(
            row.steps[-1].message, 'last heard at .* UTC: since then.* It is asked again[.]$'
        )
        self.stage.guest.says('check_upgrade', fakes.answer(result={'checks': []}))
        self.stage.guest.says('pre_upgrade', fakes.silent('pre_upgrade'))
        row = self.stage.run_on(row.id)
        self.assertEqual((states.Step.QUIESCE, fakes.FORMER_BOOT), (row.step, row.known_boot_id))
        self.assertIn('since then', row.steps[-1].message)
        self.stage.heartbeat(row, boot_id='boot-another')
        row = self.stage.run_on(row.id)
        self.assertIn('in another boot', row.steps[-1].message)
        self.stage.clock.pass_time(101)
        self.assertIn(
            'in another boot', stored.entries_of(self.stage.run_on(row.id))['undoing']['cause']
        )

    def test_a_step_is_late_from_the_instant_of_its_deadline_on(self):
        row = self.stage.until_boot()
        self.stage.clock.pass_time(99.5)
        self.assertEqual(S.RUNNING, self.stage.run_on(row.id).state)
        self.stage.clock.pass_time(0.5)
        self.assertEqual(row.step_deadline, self.stage.clock.now())
        self.assertEqual('BOOT_TIMEOUT', self.stage.run_on(row.id).error_code)

    def test_a_rebuild_that_is_accepted_at_the_end_of_its_time_is_not_undone(self):
        asks = self.stage.nova.rebuild

        def late(*arguments, **more):
            asks(*arguments, **more)
            self.stage.nova.result = compute.RebuildResult.RUNNING
            self.stage.clock.pass_time(101)

        self.stage.nova.rebuild = late
        row = self.stage.run_on(self.stage.db.begin().id)
        self.assertEqual((S.FAILED, 'REBUILD_TIMEOUT'), (row.state, row.error_code))
        self.assertEqual(1, row.progress.rebuild.accepted_in_attempt)
        self.assertEqual([], self.stage.guest.asked('abort_upgrade'))

    def test_a_step_that_does_not_hold_any_more_is_repeated_and_the_history_tells_it(self):
        row = self.stage.until_boot()
        self.stage.heartbeat(row)
        self.stage.guest.says('verify_upgrade', fakes.answer(JobState.RUNNING))
        row = self.stage.run_on(row.id)
        self.assertIs(Step.VERIFY, row.step)
        self.stage.heartbeat(row, boot_id='boot-again')
        row = self.stage.run_on(row.id)
        self.assertEqual(
            [(Step.VERIFY, 'repeated', 2), (Step.RESTORE, None, 0)],
            [(run.step, run.outcome, run.runs) for run in row.steps[-2:]],
        )

    def test_a_guest_that_gives_no_answer_stands_in_the_log_once_for_each_reason(self):
        logged = self.useFixture(fixtures.FakeLogger(level=logging.WARNING))
        self.stage.guest.says('check_upgrade', fakes.silent('check_upgrade'))
        row = self.stage.run_on(self.stage.db.begin().id)
        self.assertEqual(1, logged.output.count('It is asked again.'))
        self.stage.run_on(row.id)
        self.assertEqual(1, logged.output.count('It is asked again.'))
        self.stage.heartbeat(row, boot_id=fakes.FORMER_BOOT)
        self.stage.run_on(row.id)
        self.assertEqual(2, logged.output.count('It is asked again.'))

    def test_an_unexpected_error_waits_and_is_bounded_by_the_time_out(self):
        logged = self.useFixture(fixtures.FakeLogger())
        self.stage.guest.says('check_upgrade', RuntimeError('boom'))
        row = self.stage.run_on(self.stage.db.begin().id)
        self.assertEqual(S.RUNNING, row.state)
        self.assertNotIn('boom', row.steps[-1].message, 'tenants read it')
        self.assertRegex(
            row.steps[-1].message,
            r'RuntimeError at trove_upgrade\.tests\.unit\.taskmanager\.fakes:\d+ \(_answer\)',
        )
        self.assertEqual(1, logged.output.count('Traceback (most recent call last)'))
        self.stage.clock.pass_time(10)
        self.stage.run_on(row.id)
        self.assertEqual(
            1, logged.output.count('Traceback (most recent call last)'), 'once, not at each try'
        )
        self.stage.clock.pass_time(101)
        row = self.stage.run_on(row.id)
        self.assertEqual((S.ABORTED, 'PRECHECK_TIMEOUT'), (row.state, row.error_code))

    def unforeseen(self, step):
        """A runner whose `step`, and whose undo, meet an error that no step has foreseen."""
        runner, broken = self.stage.runner(), _Broken()
        return dataclasses.replace(runner, steps={**runner.steps, step: broken}, undo=broken)

    def test_an_unforeseen_error_is_a_refusal_only_before_anything_is_rebuilt_or_undone(self):
        undoing = {'undoing': {'attempt': 1, 'cause': 'no', 'error_code': 'NO'}}
        for step, data, kind in (
            (Step.PRECHECK, {}, exceptions.StepRefused),
            (Step.QUIESCE, {}, exceptions.StepRefused),
            (Step.QUIESCE, undoing, exceptions.StepFailed),
            (Step.REBUILD, {}, exceptions.StepFailed),
            (Step.VERIFY, {}, exceptions.StepFailed),
        ):
            runner = self.stage.runner()
            row = self.stage.row(step, data=data)
            error = runner.step_runner.run(row, _Broken()).error
            self.assertIs(kind, type(error), (step, data))
            self.assertEqual(
                ('SERVER_NOT_FOUND', True), (error.code, database.SERVER in error.message)
            )
            self.repos.upgrades.end(
                self.repos.upgrades.claim(row.id, 'tm-1', 60), S.ABORTED, cause='for the next'
            )

    def test_an_unforeseen_error_ends_the_upgrade_by_how_far_it_was(self):
        for step, data, state in (
            (Step.PRECHECK, {}, S.ABORTED),
            (Step.REBUILD, {}, S.FAILED),
        ):
            begun = self.stage.db.begin()
            held = self.repos.upgrades.claim(begun.id, 'tm-1', 60)
            self.repos.upgrades.save(
                held.evolve(step=step, progress=stored.progress(**data)), release_for_seconds=0
            )
            row = self.stage.run_on(begun.id, self.unforeseen(step))
            self.assertEqual((state, 'SERVER_NOT_FOUND'), (row.state, row.error_code))

    def ended_as(self):
        """Levels of the lines that tell an end, with what they tell."""
        logged = self.useFixture(fixtures.FakeLogger(format='%(levelname)s %(message)s'))
        return lambda: re.findall(
            r'^([A-Z]+) Upgrade \S+ of instance \S+: ([A-Z_]+), was RUNNING',
            logged.output,
            re.MULTILINE,
        )

    def test_an_end_is_an_error_in_the_log_only_where_an_operator_has_to_do_something(self):
        ends = self.ended_as()
        self.stage.nova.change(locked=True)
        self.stage.run_on(self.stage.db.begin().id)
        self.assertEqual([('INFO', 'ABORTED')], ends())

        self.stage.nova.change(locked=False)
        row = self.stage.until_boot()
        self.stage.clock.pass_time(101)
        self.assertEqual('BOOT_TIMEOUT', self.stage.run_on(row.id).error_code)
        self.assertEqual([('ERROR', 'FAILED')], ends()[1:])

        self.repos.upgrades.retry(row.id)
        self.stage.heartbeat(row)
        self.assertEqual(S.COMPLETED, self.stage.run_on(row.id).state)
        self.assertEqual([('INFO', 'COMPLETED')], ends()[2:])

    def test_the_end_of_an_instance_that_was_deleted_is_no_error_in_the_log(self):
        ends = self.ended_as()
        row = self.stage.until_boot()
        self.stage.db.update_instance(deleted=True)
        row = self.stage.run_on(row.id)
        self.assertEqual((S.FAILED, 'INSTANCE_DELETED'), (row.state, row.error_code))
        self.assertEqual([('INFO', 'FAILED')], ends())

    def test_a_row_that_another_one_holds_is_left_alone(self):
        logged = self.useFixture(fixtures.FakeLogger(level=logging.INFO))
        upgrade_id = self.stage.db.begin().id
        self.repos.upgrades.claim(upgrade_id, 'other', 60)
        self.assertIsNone(self.stage.runner().run(upgrade_id))
        self.assertEqual(([], ''), (self.stage.guest.calls, logged.output))

    def test_the_first_to_claim_a_row_tells_that_it_has_begun_and_no_other(self):
        logged = self.useFixture(fixtures.FakeLogger())
        self.stage.guest.says('check_upgrade', fakes.answer(JobState.RUNNING))
        row = self.stage.run_on(self.stage.db.begin().id)
        self.assertEqual((1, 1), (self.stage.events, logged.output.count('was PENDING; version')))
        self.stage.run_on(row.id)
        self.assertEqual((1, 1), (self.stage.events, logged.output.count('was PENDING; version')))

    def test_one_that_was_overtaken_writes_nothing(self):
        upgrade_id = self.stage.db.begin().id

        def overtake(call):
            self.stage.db.pass_time(1000)
            self.repos.upgrades.claim(upgrade_id, 'other', 60)
            return fakes.answer(JobState.REFUSED, message='no', code='NO')

        self.stage.guest.check_upgrade = overtake
        self.assertIsNone(self.stage.runner().run(upgrade_id))
        row = self.repos.upgrades.get(upgrade_id)
        self.assertEqual((S.RUNNING, 'other'), (row.state, row.owner))

    def test_the_second_lot_of_questions_comes_less_often(self):
        self.stage.guest.says(
            'pre_upgrade', fakes.answer(JobState.RUNNING, percent=40, message='counting')
        )
        upgrade_id = self.stage.db.begin().id
        seconds = [self.stage.runner().run(upgrade_id).seconds for _ in range(30)]
        self.assertLess(seconds[0], 1)
        self.assertEqual(5, seconds[-1])
        last = self.repos.upgrades.get(upgrade_id).steps[-1]
        self.assertEqual((40, 'counting', 31), (last.percent, last.message, last.runs))

    def test_a_stopping_service_lets_go_between_two_steps(self):
        runner = dataclasses.replace(self.stage.runner(), is_stopping=lambda: True)
        row = self.stage.run_on(self.stage.db.begin().id, runner)
        self.assertEqual((Step.QUIESCE, None), (row.step, row.owner))
        self.assertIn(row.id, [turn.id for turn in self.repos.upgrades.due(10)])

    def test_version_with_tags_keeps_the_image_that_was_found(self):
        version_id = self.stage.db.add_version(
            name='11.8.7', number='11.8.6', image_id=None, image_tags='trove,mariadb'
        )
        row = self.stage.db.begin(version_id=version_id, target_image_id='')
        self.stage.run_on(row.id)
        row = self.stage.run_on(row.id)
        self.assertEqual(database.IMAGE_11_8, row.target_image_id)
        self.assertEqual(database.IMAGE_11_8, self.stage.nova.rebuilds[0][1])

    def test_a_guest_that_was_rebuilt_once_more_is_restored_again(self):
        row = self.stage.until_boot()
        self.stage.heartbeat(row)
        self.stage.guest.says(
            'verify_upgrade',
            fakes.silent('verify_upgrade'),
            self.stage.guest.script['verify_upgrade'][0],
        )
        self.stage.run_on(row.id)
        self.stage.heartbeat(row, boot_id='boot-again')
        self.stage.guest.says(
            'post_upgrade', fakes.answer(boot_id='boot-again', server_state=ServerState.RUNNING)
        )
        self.stage.run_on(row.id)
        self.stage.run_on(row.id)  # verify has let go of the row for a moment
        row = self.stage.run_on(row.id)
        self.assertEqual(S.COMPLETED, row.state)
        self.assertEqual(
            [Step.VERIFY, Step.RESTORE, Step.VERIFY], [run.step for run in row.steps][-3:]
        )


class _Broken:
    """A step that meets an error which it has not foreseen."""

    hold_seconds, timeout_seconds = 30, 100

    def run(self, upgrade):
        raise exceptions.ServerNotFound(server_id=upgrade.server_id)


class _TakenDuring:
    """A preflight during which Trove takes the instance."""

    def __init__(self, preflight, db):
        self._preflight, self._db = preflight, db
        self.instances, self.key_delivery = preflight.instances, preflight.key_delivery

    def report(self, row, make_call):
        report = self._preflight.report(row, make_call)
        self._db.update_instance(task_id=int(instances.Task.RESIZING))
        return report
