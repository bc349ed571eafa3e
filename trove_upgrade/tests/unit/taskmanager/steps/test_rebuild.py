# SPDX-License-Identifier: Apache-2.0
"""Every description of Nova and the guest that the rebuild step can find, also after a takeover."""

import dataclasses
import datetime

from trove_upgrade.db import trove_tables
from trove_upgrade.domain import compute, exceptions, instances, leases, states
from trove_upgrade.domain.guests import JobState, ServerState
from trove_upgrade.domain.outcomes import Done, Wait
from trove_upgrade.tests.unit import base, database, stored
from trove_upgrade.tests.unit.taskmanager import fakes

Result = compute.RebuildResult


#: Entries of a row.
ASKED_FOR, ASKED = 'rebuild_for_attempt', 'rebuilds_in_attempt'
ACCEPTED = 'rebuild_accepted_in_attempt'


class TestRebuild(base.TestCase):
    def setUp(self):
        super().setUp()
        self.stage = self.useFixture(fakes.Stage())
        self.nova, self.guest, self.step = self.stage.nova, self.stage.guest, self.stage.rebuild
        self.row = self.stage.held_row(
            states.Step.REBUILD,
            rebuild_attempt=1,
            data={ASKED_FOR: 1, ASKED: 1, 'former_boot_id': fakes.FORMER_BOOT},
        )

    def accepted(self, row=None, **changes):
        self.nova.change(metadata={'trove_upgrade': (row or self.row).marker}, **changes)

    def test_the_number_is_committed_before_anything_carries_it(self):
        wait = self.step.run(self.row.evolve(rebuild_attempt=0, progress=stored.progress()))
        self.assertEqual((0, 1), (wait.seconds, wait.upgrade.rebuild_attempt))
        self.assertEqual([], self.nova.rebuilds)

    def test_what_is_known_of_the_former_guests_key_is_committed_while_there_is_one(self):
        row = self.row.evolve(rebuild_attempt=0, progress=stored.progress())
        self.assertIs(False, self.step.run(row).upgrade.progress.former.had_key)
        gone = row.evolve(attempt=2, progress=stored.progress(**{ACCEPTED: 1}))
        asked = self.step.run(gone).upgrade
        self.assertEqual({ACCEPTED: 1, ASKED_FOR: 2, ASKED: 1}, stored.entries_of(asked))

    def test_nova_is_not_asked_what_it_can_carry_where_there_is_no_key(self):
        self.nova.describe = lambda _server_id: self.fail('Nova was asked')
        self.step.run(self.row)
        self.assertEqual(1, len(self.nova.rebuilds))

    def test_it_is_asked_with_the_marker_in_metadata_and_user_data(self):
        wait = self.step.run(self.row)
        self.assertIsInstance(wait, Wait)
        self.assertEqual(1, wait.upgrade.progress.rebuild.accepted_in_attempt)
        server_id, image_id, marker, user_data = self.nova.rebuilds[0]
        self.assertEqual(
            (database.SERVER, database.IMAGE_11_8, self.row.marker), (server_id, image_id, marker)
        )
        self.assertIn(b'guest_info', user_data)

    def test_a_second_taskmanager_does_not_rebuild_again(self):
        self.step.run(self.row)
        self.nova.result = Result.RUNNING
        self.assertIsInstance(
            self.step.run(self.row), Wait
        )  # the first one died before it could commit
        self.nova.result = Result.SUCCESS
        self.assertIsInstance(self.step.run(self.row), Done)
        self.assertEqual(1, len(self.nova.rebuilds))

    def test_a_lost_answer_of_an_accepted_rebuild_is_read_from_the_marker(self):
        self.nova.answers = [fakes.lost_answer(accepted=True)]
        self.assertIsInstance(self.step.run(self.row), Wait)
        self.assertIsInstance(self.step.run(self.row), Done)
        self.assertEqual(1, len(self.nova.rebuilds))

    def test_a_lost_answer_of_a_rebuild_that_never_arrived_is_asked_again_with_the_same_number(
        self,
    ):
        self.nova.answers = [fakes.lost_answer(accepted=False)]
        self.step.run(self.row)
        self.step.run(self.row)
        self.assertEqual([self.row.marker], [call[2] for call in self.nova.rebuilds])

    def test_a_conflict_is_waited_for(self):
        self.nova.answers = [exceptions.RebuildConflict(server_id='s', found='task')]
        self.assertEqual(1, self.step.run(self.row).seconds)

    def test_a_server_with_a_task_is_waited_for_and_not_asked(self):
        self.nova.change(task_state='rebooting')
        self.assertIsInstance(self.step.run(self.row), Wait)
        self.assertEqual([], self.nova.rebuilds)

    def test_a_refusal_gives_the_upgrade_up(self):
        self.nova.answers = [exceptions.RebuildRefused(server_id='s', found='quota')]
        self.assertRaises(exceptions.StepRefused, self.step.run, self.row)

    def test_a_refusal_after_an_earlier_acceptance_is_none(self):
        refusal = exceptions.RebuildRefused(server_id='s', found='policy')
        refusal.accepted_all_the_same = True
        self.nova.answers = [refusal]
        self.assertIsInstance(self.step.run(self.row), Wait)

    def test_a_refusal_in_a_retry_without_a_former_guest_fails(self):
        self.nova.change(status='ERROR')
        self.nova.answers = [exceptions.RebuildRefused(server_id='s', found='quota')]
        row = self.row.evolve(
            attempt=2,
            rebuild_attempt=2,
            progress=stored.progress(**{ASKED_FOR: 2, ASKED: 1, ACCEPTED: 1}),
        )
        self.assertRaises(exceptions.StepFailed, self.step.run, row)

    def test_an_error_after_acceptance_fails_with_novas_fault(self):
        self.accepted(status='ERROR', fault='no space')
        self.nova.result = Result.ERROR
        wait = self.step.run(self.row)
        self.assertEqual(
            (0, 1),
            (wait.seconds, wait.upgrade.progress.rebuild.accepted_in_attempt),
            'that it was accepted is committed first',
        )
        error = self.assertRaises(exceptions.StepFailed, self.step.run, wait.upgrade)
        self.assertEqual('REBUILD_FAILED', error.code)
        self.assertIn('no space', error.message)

    def test_a_proven_no_op_is_asked_anew_under_the_next_number(self):
        self.accepted()
        self.nova.result = Result.NOTHING_HAPPENED
        wait = self.step.run(stored.adding(self.row, **{ACCEPTED: 1}))
        self.assertEqual(
            (2, 2, None),
            (
                wait.upgrade.rebuild_attempt,
                wait.upgrade.progress.rebuild.times_asked,
                wait.upgrade.progress.rebuild.accepted_in_attempt,
            ),
        )
        self.step.run(wait.upgrade)
        self.assertEqual([f'{self.row.id}:2'], [call[2] for call in self.nova.rebuilds])
        self.assertEqual(
            1, len(self.guest.asked('pre_upgrade')), 'the guest that still runs is asked'
        )

    def test_a_no_op_of_a_retry_does_not_bring_the_former_guest_back(self):
        row = self.row.evolve(
            attempt=2,
            rebuild_attempt=2,
            progress=stored.progress(**{ASKED_FOR: 2, ASKED: 1, ACCEPTED: 1}),
        )
        self.accepted(row)
        self.nova.result = Result.NOTHING_HAPPENED
        wait = self.step.run(row)
        self.step.run(wait.upgrade)
        self.assertEqual(([], 1), (self.guest.calls, len(self.nova.rebuilds)))

    def test_no_ops_are_bounded(self):
        self.accepted()
        self.nova.result = Result.NOTHING_HAPPENED
        error = self.assertRaises(
            exceptions.StepRefused, self.step.run, stored.adding(self.row, **{ASKED: 3})
        )
        self.assertEqual('REBUILD_FELL_BACK', error.code)

    def test_an_instance_that_somebody_has_taken_is_not_rebuilt(self):
        self.stage.db.update_instance(task_id=int(instances.Task.DELETING))
        error = self.assertRaises(exceptions.StepRefused, self.step.run, self.row)
        self.assertEqual('INSTANCE_CHANGED', error.code)
        self.assertEqual([], self.nova.rebuilds)

    def test_an_instance_that_somebody_takes_while_the_guest_answers_is_not_rebuilt(self):
        for task in (instances.Task.NONE, instances.Task.BUILDING, instances.Task.DELETING):
            self.stage.db.update_instance(task_id=int(instances.Task.UPGRADING))
            self.guest.before(
                'pre_upgrade', lambda task=task: self.stage.db.update_instance(task_id=int(task))
            )
            error = self.assertRaises(exceptions.StepRefused, self.step.run, self.row)
            self.assertEqual('INSTANCE_CHANGED', error.code, task)
        self.assertEqual(([], 3), (self.nova.rebuilds, len(self.guest.asked('pre_upgrade'))))

    def test_a_retry_whose_former_guest_is_gone_is_not_rebuilt_either_once_somebody_has_taken_the_instance(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        self.stage.db.update_instance(task_id=int(instances.Task.BUILDING))
        row = self.row.evolve(
            attempt=2,
            rebuild_attempt=2,
            progress=stored.progress(**{ASKED_FOR: 2, ASKED: 1, ACCEPTED: 1}),
        )
        self.assertRaises(exceptions.StepRefused, self.step.run, row)
        self.assertEqual([], self.nova.rebuilds)

    def test_a_guest_is_not_asked_while_a_backup_of_it_runs(self):
        self.stage.db.insert(
            trove_tables.backups,
            id='b1',
            name='b',
            instance_id=database.INSTANCE,
            state='BUILDING',
            deleted=False,
        )
        self.assertEqual(
            'BACKUP_RUNNING',
            self.assertRaises(exceptions.StepRefused, self.step.run, self.row).code,
        )
        self.assertEqual([], self.guest.calls)

    def test_a_guest_that_was_booted_again_is_not_rebuilt(self):
        self.guest.says('pre_upgrade', fakes.answer(boot_id='boot-other'))
        error = self.assertRaises(exceptions.StepRefused, self.step.run, self.row)
        self.assertEqual('GUEST_NOT_QUIESCED', error.code)
        self.assertEqual([], self.nova.rebuilds)

    def test_a_database_that_runs_again_is_not_rebuilt(self):
        self.guest.says('pre_upgrade', fakes.answer(server_state=ServerState.RUNNING))
        self.assertRaises(exceptions.StepRefused, self.step.run, self.row)
        self.assertEqual([], self.nova.rebuilds)

    def test_a_guest_that_is_not_ready_or_silent_is_not_rebuilt(self):
        self.guest.says('pre_upgrade', fakes.answer(JobState.RUNNING), fakes.silent())
        self.assertIsInstance(self.step.run(self.row), Wait)
        self.assertRaises(exceptions.GuestUnavailable, self.step.run, self.row)
        self.assertEqual([], self.nova.rebuilds)

    def announced_until(self):
        return self.stage.repos.upgrades.get(self.row.id).progress.rebuild.post_until

    def test_a_post_stands_in_the_row_before_nova_is_asked_and_no_more_once_it_has_returned(self):
        seen, ask = [], self.nova.rebuild

        def rebuild(*arguments, **more):
            seen.append(self.announced_until())
            ask(*arguments, **more)

        for answer in (None, fakes.lost_answer(accepted=False)):
            self.nova.answers = [answer]
            self.nova.rebuild = rebuild
            wait = self.step.run(self.row)
            self.assertIsNone(wait.upgrade.progress.rebuild.post_until)
            self.nova.change(metadata={})
        self.assertNotIn(None, seen)
        self.assertEqual(2, len(seen))

    def announcing_slowly(self, seconds):
        """The step on a database that takes so long to write an announcement."""
        held, clock = self.stage.repos.held_upgrades, self.stage.clock

        class Slow:
            post_seconds_left = held.post_seconds_left

            def announce_post(self, *arguments):
                announced = held.announce_post(*arguments)
                clock.pass_time(seconds)
                return announced

        return dataclasses.replace(self.step, held=Slow())

    def test_one_that_was_announced_too_long_ago_is_not_made(self):
        wait = self.announcing_slowly(3).run(self.row)
        self.assertEqual([], self.nova.rebuilds)
        self.assertIn('too late', wait.message)
        self.assertGreater(wait.seconds, 0)

    def test_one_is_made_until_what_was_announced_is_over_and_no_longer(self):
        begun = self.stage.clock.monotonic()
        self.announcing_slowly(1.5).run(self.row)
        self.assertEqual(begun + 1.5 + self.step.post_seconds, self.nova.ends_at)
        self.assertLessEqual(self.nova.ends_at, begun + 2 + self.step.post_seconds)

    def test_none_is_made_that_the_end_of_the_step_could_overtake(self):
        """Else the former guest would serve again, and be rebuilt then."""
        now = self.stage.clock.now()
        for seconds, rebuilds in ((11.9, 0), (12.1, 1)):
            deadline = now + datetime.timedelta(seconds=seconds)
            self.assertIsInstance(self.step.run(self.row.evolve(step_deadline=deadline)), Wait)
            self.assertEqual(rebuilds, len(self.nova.rebuilds), seconds)

    def test_none_is_made_once_the_lease_is_over(self):
        class Over:
            def __init__(self, lets_through):
                self.lets_through = lets_through

            def require(self, row_id):
                self.lets_through -= 1
                if self.lets_through < 0:
                    raise leases.LeaseOver(upgrade_id=row_id)

        for lets_through in (0, 1):  # before the key of the guest is made, and before the POST
            step = dataclasses.replace(self.step, leases=Over(lets_through))
            self.assertRaises(exceptions.LeaseLost, step.run, self.row)
        self.assertEqual([], self.nova.rebuilds)

    def test_a_claim_later_waits_for_a_post_whose_end_was_not_told(self):
        announced = self.stage.repos.held_upgrades.announce_post(self.row, 12)
        wait = self.step.run(announced)
        self.assertEqual(([], 1, announced), (self.nova.rebuilds, wait.seconds, wait.upgrade))
        self.assertEqual([], self.guest.calls)
        self.accepted(announced)
        self.assertIsInstance(self.step.run(announced), Done)
        self.nova.change(metadata={})
        self.stage.db.pass_time(12)
        self.step.run(self.stage.repos.upgrades.get(announced.id))
        self.assertEqual(1, len(self.nova.rebuilds))

    def test_one_that_arrives_just_after_the_look_at_the_server_is_seen_by_the_next(self):
        self.stage.db.follow_clock(self.stage.clock.now)
        announced = self.stage.repos.held_upgrades.announce_post(self.row, 12)
        look = self.nova.server_with_user_data

        def looked(server_id):
            found = look(server_id)
            self.stage.clock.pass_time(12)
            self.nova.rebuild(found, database.IMAGE_11_8, announced.marker, fakes.USER_DATA)
            self.nova.server_with_user_data = look
            return found

        self.nova.server_with_user_data = looked
        self.assertIsInstance(self.step.run(announced), Wait)
        self.assertIsInstance(self.step.run(announced), Done)
        self.assertEqual(1, len(self.nova.rebuilds))

    def test_a_server_that_is_gone_says_so(self):
        self.assertRaises(
            exceptions.ServerNotFound,
            self.step.run,
            dataclasses.replace(self.row, server_id='gone'),
        )

    def test_user_data_that_cannot_carry_the_marker_refuses(self):
        self.nova.change(user_data=b'#!/bin/sh\n')
        self.assertRaises(exceptions.StepRefused, self.step.run, self.row)

    def test_the_time_out_names_what_frees_the_server(self):
        error = self.step.expired(stored.adding(self.row, **{ACCEPTED: 1}), 'REBUILD')
        self.assertIsInstance(error, exceptions.StepFailed)
        self.assertIn('os-resetState', error.message)
        self.assertIsInstance(self.step.expired(self.row, 'busy'), exceptions.StepRefused)
