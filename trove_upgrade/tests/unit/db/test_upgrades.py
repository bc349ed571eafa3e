# SPDX-License-Identifier: Apache-2.0
import dataclasses
import datetime

from trove_upgrade.db import models, tasks, trove_tables
from trove_upgrade.domain import exceptions, refusals, states
from trove_upgrade.domain.instances import Task
from trove_upgrade.domain.states import Step, UpgradeState
from trove_upgrade.domain.upgrades import StepRun
from trove_upgrade.tests.unit import base, database, stored

LEASE = 60


def ids(turns):
    return [turn.id for turn in turns]


class UpgradesTestCase(base.TestCase):
    expanded = False
    version = None

    def setUp(self):
        super().setUp()
        self.db = self.useFixture(
            database.SampleDatabase(expanded=self.expanded, version=self.version)
        )
        self.upgrades = self.db.repositories.upgrades
        self.instances = self.db.repositories.instances

    def instance(self, instance_id=database.INSTANCE):
        return self.instances.get(instance_id)

    def claimed(self):
        return self.upgrades.claim(self.db.begin().id, 'host-1', LEASE)

    def events(self):
        return [
            (row.kind, row.attempt)
            for row in sorted(
                self.db.rows(models.upgrade_outbox), key=lambda row: (row.attempt, row.position)
            )
        ]

    def ended(self, state, **why):
        return self.upgrades.end(self.claimed(), state, **why).upgrade


class TestChangedInstance(UpgradesTestCase):
    def why(self, held):
        with self.db.database.read() as connection:
            return tasks.changed(connection, held)

    def test_one_that_is_deleted_is_told_from_one_that_another_action_has(self):
        held = self.claimed()
        self.db.update_instance(task_id=int(Task.REBOOTING))
        self.assertNotIsInstance(self.why(held), exceptions.InstanceDeleted)
        self.db.update_instance(deleted=True)
        self.assertIsInstance(self.why(held), exceptions.InstanceDeleted)

    def test_one_whose_row_is_gone_is_deleted(self):
        held = dataclasses.replace(self.claimed(), instance_id='gone')
        self.assertIsInstance(self.why(held), exceptions.InstanceDeleted)


class TestTurn(UpgradesTestCase):
    def test_a_turn_tells_whether_its_row_has_kept_a_worker_waiting(self):
        held = self.upgrades.save(self.claimed().evolve(stalls=0), release_for_seconds=0)
        for stalls, is_slow in ((0, False), (1, True)):
            held = self.upgrades.claim(held.id, 'host-1', LEASE).evolve(stalls=stalls)
            self.upgrades.save(held, release_for_seconds=0)
            self.assertEqual([is_slow], [turn.is_slow for turn in self.upgrades.due(10)])
            self.assertEqual(is_slow, self.upgrades.turn(held.id).is_slow)


class TestBegin(UpgradesTestCase):
    def test_the_instance_is_held_and_the_row_waits_for_a_taskmanager(self):
        begun = self.db.begin()

        self.assertEqual(begun, self.upgrades.get(begun.id))
        self.assertIs(UpgradeState.PENDING, begun.state)
        self.assertEqual(
            (Step.PRECHECK, 1, 0, 0),
            (begun.step, begun.attempt, begun.rebuild_attempt, begun.generation),
        )
        self.assertEqual(
            (database.MARIADB_10_11, database.MARIADB_11_8),
            (begun.former_version_id, begun.target_version_id),
        )
        self.assertEqual(
            (database.IMAGE_11_8, 'mariadb', '11.8.6'),
            (begun.target_image_id, begun.datastore_manager, begun.target_number),
        )
        self.assertEqual(
            ('req-1', 'user-1', database.SERVER), (begun.request_id, begun.user_id, begun.server_id)
        )
        self.assertIs(Task.UPGRADING, self.instance().task)
        self.assertEqual(database.MARIADB_10_11, self.instance().version.id)
        self.assertEqual([begun.id], ids(self.upgrades.due(10)))
        self.assertEqual([('start', 1)], self.events())

    def test_the_image_is_frozen_when_the_version_is_repointed(self):
        begun = self.db.begin()
        self.db.repositories.datastores.save_version(
            'mariadb',
            '11.8.6',
            manager='mariadb',
            image_id='newer',
            image_tags=(),
            packages='',
            active=True,
        )
        self.assertEqual(database.IMAGE_11_8, self.upgrades.get(begun.id).target_image_id)

    def test_a_second_one_is_refused_with_the_first_ones_name_and_writes_nothing(self):
        first = self.db.begin()
        error = self.assertRaises(refusals.InstanceUpgrading, self.db.begin)
        self.assertEqual('INSTANCE_BUSY', error.code)
        self.assertIn(f'its status is UPGRADE, as its upgrade {first.id} to', error.message)
        self.assertEqual(1, len(self.db.rows(models.instance_upgrades)))
        self.assertEqual([('start', 1)], self.events())

    def test_each_task_of_troves_refuses_it_and_is_named_as_trove_shows_it(self):
        shown = {
            Task.BUILDING: 'BUILD',
            Task.RESIZING: 'RESIZE',
            Task.DELETING: 'SHUTDOWN',
            Task.BUILDING_ERROR_DNS: 'ERROR',
            Task.PROMOTION_ERROR: 'ERROR',
            Task.RESTART_REQUIRED: 'RESTART_REQUIRED',
            Task.BUSY_OTHER: 'BUSY_OTHER',
        }
        for task, status in shown.items():
            self.db.update_instance(task_id=int(task))
            error = self.assertRaises(exceptions.InstanceBusy, self.db.begin)
            self.assertEqual(status, error.facts['status'])
            self.assertIs(task, self.instance().task)

    def test_an_upgrade_of_troves_own_is_told_without_the_name_of_one_of_ours_that_has_ended(self):
        former = self.ended(UpgradeState.COMPLETED)
        self.db.update_instance(task_id=int(Task.UPGRADING))
        error = self.assertRaises(exceptions.InstanceBusy, self.db.begin)
        self.assertEqual('UPGRADE', error.facts['status'])
        self.assertNotIn(former.id, error.message)

    def test_a_task_that_nobody_knows_refuses_it(self):
        self.db.update_instance(task_id=0x77)
        self.assertRaises(exceptions.InstanceBusy, self.db.begin)
        self.db.update_instance(task_id=None)
        self.assertRaises(exceptions.InstanceBusy, self.db.begin)

    def test_an_instance_that_has_changed_since_it_was_read_is_refused(self):
        stale = self.instance()
        self.db.update_instance(datastore_version_id=database.MARIADB_11_8)
        target = self.db.repositories.datastores.version_by_id(database.MARIADB_11_8)
        arguments = {'target_image_id': 'i', 'request_id': None, 'user_id': None}
        self.assertRaises(exceptions.InstanceBusy, self.upgrades.begin, stale, target, **arguments)
        self.assertIs(Task.NONE, self.instance().task)

    def test_an_instance_that_was_deleted_since_is_not_found(self):
        stale = self.instance()
        self.db.update_instance(deleted=True)
        target = self.db.repositories.datastores.version_by_id(database.MARIADB_11_8)
        self.assertRaises(
            exceptions.InstanceNotFound,
            self.upgrades.begin,
            stale,
            target,
            target_image_id='i',
            request_id=None,
            user_id=None,
        )

    def begin_as_read(self, read, **arguments):
        return self.db.repositories.upgrades.begin(
            read,
            self.db.repositories.datastores.version_by_id(database.MARIADB_11_8),
            target_image_id='image',
            request_id=None,
            user_id=None,
            **arguments,
        )

    def test_an_instance_without_a_server_is_refused(self):
        self.db.update_instance(compute_instance_id=None)
        self.assertRaises(refusals.InstanceHasNoServer, self.db.begin)
        self.db.update_instance(task_id=int(Task.BUILDING))
        self.assertRaises(exceptions.InstanceBusy, self.db.begin)

    def test_a_backup_that_began_after_the_instance_was_read_refuses_it_and_nothing_is_written(
        self,
    ):
        read = self.db.repositories.instances.get(database.INSTANCE)
        with self.db.database.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO backups (id, name, instance_id, state, deleted) VALUES ('b1', 'b', "
                f"'{database.INSTANCE}', 'BUILDING', 0)"
            )
        error = self.assertRaises(exceptions.InstanceBusy, self.begin_as_read, read)
        self.assertIn('BACKUP', error.message)
        self.assertIs(Task.NONE, self.instance().task)
        self.assertEqual([], self.db.rows(models.instance_upgrades))

    def test_an_agent_that_is_missing_refuses_it_and_nothing_is_written(self):
        read = self.db.repositories.instances.get(database.INSTANCE)
        for seconds in (0, 3600):
            self.assertRaises(
                refusals.GuestAgentMissing,
                self.begin_as_read,
                read,
                agent_silence_seconds=seconds,
            )
        self.assertIs(Task.NONE, self.instance().task)
        self.assertEqual([], self.db.rows(models.instance_upgrades))

    def test_a_failed_one_holds_the_instance_and_names_its_retry(self):
        failed = self.ended(UpgradeState.FAILED, cause='no heartbeat', error_code='BOOT_TIMEOUT')
        error = self.assertRaises(exceptions.InstanceNeedsRetry, self.db.begin)
        self.assertIn(f'upgrade retry {failed.id}', error.message)
        self.assertIn('BOOT_TIMEOUT', error.message)

    def test_the_key_refuses_a_second_active_row_even_if_the_task_was_reset_by_hand(self):
        first = self.db.begin()
        self.db.update_instance(task_id=int(Task.NONE))
        error = self.assertRaises(refusals.InstanceUpgrading, self.db.begin)
        self.assertIn(first.id, error.message)
        self.assertIs(Task.NONE, self.instance().task)  # rolled back as a whole

    def test_it_may_begin_again_after_each_end_that_frees_the_instance(self):
        for state in (UpgradeState.COMPLETED, UpgradeState.ABORTED, UpgradeState.ROLLED_BACK):
            self.ended(state)
        self.db.begin(version_id=database.MARIADB_11_8)


class TestList(UpgradesTestCase):
    def setUp(self):
        super().setUp()
        self.first = self.ended(UpgradeState.ABORTED)
        self.second = self.db.begin()
        self.other = self.db.begin(database.OTHER_INSTANCE)

    def ids(self, **filters):
        return [one.id for one in self.upgrades.list(**{'limit': 10, **filters}).items]

    def test_newest_first_with_each_filter(self):
        self.assertEqual([self.other.id, self.second.id, self.first.id], self.ids())
        self.assertEqual([self.second.id, self.first.id], self.ids(project_id=database.PROJECT))
        self.assertEqual([self.other.id], self.ids(instance_id=database.OTHER_INSTANCE))
        self.assertEqual([self.first.id], self.ids(state=UpgradeState.ABORTED))
        self.assertEqual(
            [], self.ids(state=UpgradeState.ABORTED, project_id=database.OTHER_PROJECT)
        )

    def test_pages_follow_each_other_and_the_last_one_has_no_marker(self):
        seen, marker = [], None
        while True:
            page = self.upgrades.list(limit=1, marker=marker)
            seen += [one.id for one in page.items]
            marker = page.next_marker
            if marker is None:
                break
        self.assertEqual(self.ids(), seen)

    def test_a_marker_of_another_project_is_not_found(self):
        self.assertRaises(
            exceptions.UpgradeNotFound,
            self.upgrades.list,
            limit=5,
            project_id=database.PROJECT,
            marker=self.other.id,
        )

    def test_data_of_a_list_is_read_up_to_so_many_characters(self):
        held = self.upgrades.claim(self.second.id, 'host-1', LEASE)
        self.upgrades.save(stored.adding(held, a='b'))
        length = len('{"a":"b"}')
        self.assertEqual(
            {self.second.id: stored.progress(a='b')},
            self.upgrades.progress_of([self.second.id], length),
        )
        self.assertEqual({}, self.upgrades.progress_of([self.second.id], length - 1))
        self.assertEqual({}, self.upgrades.progress_of([]))

    def test_get_hides_what_belongs_to_another_project(self):
        self.assertEqual(self.other.id, self.upgrades.get(self.other.id, database.OTHER_PROJECT).id)
        self.assertRaises(
            exceptions.UpgradeNotFound, self.upgrades.get, self.other.id, database.PROJECT
        )

    def test_get_answers_malformed_ids_as_unknown(self):
        for upgrade_id in ('', 'x' * 99, 'nul\0', 'ü' * 36, f'{self.first.id} '):
            self.assertRaises(exceptions.UpgradeNotFound, self.upgrades.get, upgrade_id)


class TestLease(UpgradesTestCase):
    def test_a_claim_raises_the_generation_and_makes_it_running(self):
        begun = self.db.begin()
        held = self.upgrades.claim(begun.id, 'host-1', LEASE)
        self.assertEqual(
            (UpgradeState.RUNNING, 1, 'host-1'), (held.state, held.generation, held.owner)
        )
        self.assertEqual(LEASE, round((held.lease_until - held.updated_at).total_seconds()))
        self.assertEqual([], ids(self.upgrades.due(10)))

    def test_nobody_else_claims_it_while_the_lease_lasts(self):
        held = self.claimed()
        self.assertRaises(exceptions.LeaseLost, self.upgrades.claim, held.id, 'host-2', LEASE)

    def test_a_lease_that_has_run_out_is_taken_over_and_the_former_owner_writes_nothing_more(self):
        held = self.claimed()
        self.db.pass_time(LEASE + 1)
        self.assertEqual([held.id], ids(self.upgrades.due(10)))
        taken = self.upgrades.claim(held.id, 'host-2', LEASE)
        self.assertEqual(2, taken.generation)
        self.assertRaises(exceptions.LeaseLost, self.upgrades.save, stored.adding(held, mine=1))
        self.assertRaises(exceptions.LeaseLost, self.upgrades.end, held, UpgradeState.COMPLETED)
        self.assertEqual(taken, self.upgrades.get(held.id))
        self.assertIs(Task.UPGRADING, self.instance().task)
        self.assertEqual([('start', 1)], self.events())

    def test_a_takeover_from_an_earlier_release_waits_until_a_call_that_it_sent_at_last_has_ended(
        self,
    ):
        patient = type(self.upgrades)(self.db.database, takeover_grace_seconds=30)
        held = self.upgrades.claim(self.db.begin().id, 'host-1:an-id', LEASE)
        self.db.pass_time(LEASE + 10)
        self.assertEqual([], ids(patient.due(10)))
        self.assertRaises(exceptions.LeaseLost, patient.claim, held.id, 'host-2', LEASE)
        self.db.pass_time(30)
        self.assertEqual([held.id], ids(patient.due(10)))
        self.assertEqual(2, patient.claim(held.id, 'host-2', LEASE).generation)

    def test_one_from_this_release_which_announces_its_calls_does_not(self):
        patient = type(self.upgrades)(self.db.database, takeover_grace_seconds=30)
        held = self.upgrades.claim(self.db.begin().id, 'host-1/4711.99.0123abcd-89abcdef', LEASE)
        self.db.pass_time(LEASE - 1)
        self.assertEqual([], ids(patient.due(10)))
        self.db.pass_time(2)
        self.assertEqual([held.id], ids(patient.due(10)))
        self.assertEqual(2, patient.claim(held.id, 'host-2', LEASE).generation)

    def test_a_row_that_was_let_go_is_due_when_its_time_has_come(self):
        held = self.upgrades.save(self.claimed(), release_for_seconds=30)
        self.assertEqual((None, None), (held.owner, held.lease_until))
        self.assertEqual([], ids(self.upgrades.due(10)))
        self.db.pass_time(31)
        self.assertEqual([held.id], ids(self.upgrades.due(10)))

    def test_what_ends_in_this_very_instant_has_ended(self):
        rests = self.upgrades.save(self.claimed(), release_for_seconds=30)
        held = self.upgrades.claim(self.db.begin(database.OTHER_INSTANCE).id, 'host-1', LEASE)
        patient = type(self.upgrades)(self.db.database, takeover_grace_seconds=30)
        moment = datetime.timedelta(milliseconds=1)
        for upgrades, row, end in (
            (self.upgrades, rests, rests.next_run_at),
            (self.upgrades, held, held.lease_until),
            (patient, held, held.lease_until + datetime.timedelta(seconds=30)),
        ):
            self.db.stop_clock(end - moment)
            self.assertNotIn(row.id, ids(upgrades.due(10)))
            self.db.stop_clock(end)
            self.assertIn(row.id, ids(upgrades.due(10)))
        self.db.stop_clock(held.lease_until)
        self.assertRaises(exceptions.LeaseLost, patient.claim, held.id, 'host-2', LEASE)
        self.assertEqual(2, self.upgrades.claim(held.id, 'host-2', LEASE).generation)

    def test_a_row_that_was_let_go_at_once_is_due_at_once(self):
        held = self.upgrades.save(self.claimed(), release_for_seconds=0)
        self.assertEqual([held.id], ids(self.upgrades.due(10)))
        self.assertEqual(2, self.upgrades.claim(held.id, 'host-2', LEASE).generation)

    def test_the_oldest_are_due_first_and_no_more_than_asked_for(self):
        first, second = self.db.begin(), self.db.begin(database.OTHER_INSTANCE)
        self.assertEqual([first.id], ids(self.upgrades.due(1)))
        self.assertEqual([first.id, second.id], ids(self.upgrades.due(2)))

    def test_what_has_ended_is_neither_due_nor_claimed(self):
        ended = self.ended(UpgradeState.ABORTED)
        self.assertEqual([], ids(self.upgrades.due(10)))
        self.assertRaises(exceptions.LeaseLost, self.upgrades.claim, ended.id, 'host-1', LEASE)

    def test_one_that_does_not_exist_is_not_claimed(self):
        self.assertRaises(exceptions.LeaseLost, self.upgrades.claim, 'nothing', 'host-1', LEASE)


class TestJournal(UpgradesTestCase):
    def test_everything_that_a_step_writes_comes_back_the_same(self):
        began = datetime.datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=datetime.UTC)
        runs = (
            StepRun(
                step=Step.PRECHECK,
                attempt=1,
                started_at=began,
                ended_at=began,
                runs=2,
                outcome='done',
                percent=100,
                message='fine',
            ),
            StepRun(step=Step.QUIESCE, attempt=1, started_at=began),
        )
        written = self.claimed().evolve(
            step=Step.QUIESCE,
            steps=runs,
            rebuild_attempt=3,
            former_image_id='image-1',
            cause='why',
            error_code='CODE',
            step_deadline=began,
        )
        written = stored.adding(written, upgrade_info={'a': [1, 2.5, None, 'ü']})
        saved = self.upgrades.save(written)
        self.assertEqual(dataclasses.replace(written, updated_at=saved.updated_at), saved)
        found = self.upgrades.get(saved.id)
        self.assertEqual(saved, dataclasses.replace(found, updated_at=saved.updated_at))

    def test_a_history_that_became_shorter_or_was_corrected_is_read_as_it_was_saved_last(self):
        began = datetime.datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=datetime.UTC)
        runs = tuple(
            StepRun(step=step, attempt=1, started_at=began)
            for step in (Step.PRECHECK, Step.QUIESCE, Step.REBUILD)
        )
        held = self.upgrades.save(self.claimed().evolve(steps=runs))
        corrected = (dataclasses.replace(runs[0], message='😀 it did'), runs[1])
        self.assertEqual(corrected, self.upgrades.save(held.evolve(steps=corrected)).steps)
        self.assertEqual(corrected, self.upgrades.get(held.id).steps)
        self.assertEqual([corrected], [found.steps for found in self.upgrades.list(limit=5).items])

    def test_the_histories_of_a_page_are_not_mixed_up(self):
        began = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
        for number in range(5):
            held = self.upgrades.claim(self.db.begin(self.db.add_instance()).id, 'host-1', LEASE)
            steps = tuple(
                StepRun(step=Step.PRECHECK, attempt=attempt, started_at=began, message=held.id)
                for attempt in range(number)
            )
            self.upgrades.save(held.evolve(steps=steps))
        page = self.upgrades.list(limit=3)
        pages = page.items + self.upgrades.list(limit=3, marker=page.next_marker).items
        self.assertEqual([4, 3, 2, 1, 0], [len(found.steps) for found in pages])
        self.assertEqual(
            {True}, {run.message == found.id for found in pages for run in found.steps}
        )
        self.assertEqual(list(pages), [self.upgrades.get(found.id) for found in pages])

    def test_a_message_is_cut_to_what_every_server_can_hold(self):
        runs = (
            StepRun(
                step=Step.PRECHECK,
                attempt=1,
                started_at=database.CREATED,
                message='\0\udcff' + '😀' * 20_000,
            ),
        )
        held = self.upgrades.save(self.claimed().evolve(steps=runs))
        (stored,) = self.db.rows(models.instance_upgrade_steps)
        self.assertEqual('?' + '😀' * 15_999, stored.message)
        self.assertEqual(held.steps, self.upgrades.get(held.id).steps)

    def test_what_ended_is_not_written_any_more(self):
        held = self.claimed()
        self.upgrades.end(held, UpgradeState.ABORTED)
        self.assertRaises(exceptions.LeaseLost, self.upgrades.save, held)
        self.assertRaises(exceptions.LeaseLost, self.upgrades.end, held, UpgradeState.COMPLETED)
        self.assertEqual([('start', 1), ('error', 1)], self.events())


class TestEnd(UpgradesTestCase):
    def test_completed_moves_the_version_frees_the_instance_and_asks_the_guest_to_finish(self):
        ended = self.ended(UpgradeState.COMPLETED)
        self.assertIs(UpgradeState.COMPLETED, ended.state)
        self.assertIsNotNone(ended.ended_at)
        self.assertEqual(
            (None, None, None, None),
            (ended.owner, ended.lease_until, ended.next_run_at, ended.cause),
        )
        self.assertEqual(
            (Task.NONE, database.MARIADB_11_8), (self.instance().task, self.instance().version.id)
        )
        self.assertIsNone(self.instance().fault)
        self.assertEqual(database.IMAGE_11_8, self.db.repositories.guests.image(database.INSTANCE))
        self.assertEqual([('start', 1), ('end', 1), ('finish', 1)], self.events())

    def test_aborted_and_rolled_back_free_the_instance_on_its_former_version(self):
        for state in (UpgradeState.ABORTED, UpgradeState.ROLLED_BACK):
            ended = self.ended(state, cause='refused', error_code='REBUILD_REFUSED')
            self.assertEqual(
                (state, 'refused', 'REBUILD_REFUSED'), (ended.state, ended.cause, ended.error_code)
            )
            self.assertEqual(
                (Task.NONE, database.MARIADB_10_11),
                (self.instance().task, self.instance().version.id),
            )
            self.assertIsNone(self.instance().fault)
            self.assertIsNone(self.db.repositories.guests.image(database.INSTANCE))
        self.assertEqual(
            [('error', 1), ('error', 1), ('finish', 1), ('start', 1), ('start', 1)],
            sorted(self.events()),
        )

    def test_failed_leaves_the_instance_in_error_with_its_fault(self):
        ended = self.ended(UpgradeState.FAILED, cause='c' * 300, error_code='BOOT_TIMEOUT')
        self.assertIs(Task.UPGRADING_ERROR, self.instance().task)
        self.assertEqual(database.MARIADB_10_11, self.instance().version.id)
        fault = self.instance().fault
        self.assertEqual(255, len(fault.message))
        self.assertIn(ended.id, fault.details)
        self.assertIn('c' * 300, fault.details)
        self.assertEqual([('start', 1), ('error', 1)], self.events())

    def test_an_instance_that_somebody_has_changed_is_not_overwritten(self):
        held = self.claimed()
        self.db.update_instance(task_id=int(Task.DELETING))
        ended = self.upgrades.end(held, UpgradeState.COMPLETED, cause='verified').upgrade
        self.assertEqual((UpgradeState.FAILED, 'INSTANCE_CHANGED'), (ended.state, ended.error_code))
        self.assertIn('DELETING', ended.cause)
        self.assertIn('verified', ended.cause)
        self.assertEqual(
            (Task.DELETING, database.MARIADB_10_11),
            (self.instance().task, self.instance().version.id),
        )
        self.assertIsNone(self.instance().fault)
        self.assertIsNone(self.db.repositories.guests.image(database.INSTANCE))
        self.assertEqual([('start', 1), ('error', 1)], self.events())

    def test_a_cause_tells_another_action_from_another_upgrade(self):
        for changes, words in (
            ({'task_id': int(Task.RESIZING)}, 'RESIZING'),
            (
                {'datastore_version_id': database.MARIADB_11_8},
                f'UPGRADING of another action, to version {database.MARIADB_11_8}',
            ),
        ):
            held = self.claimed()
            self.db.update_instance(**changes)
            ended = self.upgrades.end(held, UpgradeState.ABORTED).upgrade
            self.assertEqual('INSTANCE_CHANGED', ended.error_code)
            self.assertIn(words, ended.cause)
            self.assertEqual('to version' in words, 'to version' in ended.cause)
            self.db.update_instance(task_id=int(Task.NONE))

    def test_a_cause_of_any_length_and_content_is_written(self):
        ended = self.ended(
            UpgradeState.FAILED, cause='\0\udcff' + 'ü' * 100_000, error_code='E' * 100
        )
        self.assertTrue(ended.cause.startswith('?ü'))
        self.assertEqual((16_000, 64), (len(ended.cause), len(ended.error_code)))
        self.assertIn('attempt 1', self.instance().fault.details)

    def test_a_row_that_is_no_end_is_refused(self):
        held = self.claimed()
        self.assertRaises(exceptions.IllegalMove, self.upgrades.end, held, UpgradeState.RUNNING)
        self.assertRaises(exceptions.IllegalMove, self.upgrades.end, held, UpgradeState.PENDING)

    def test_the_event_tells_who_what_and_why(self):
        ended = self.ended(UpgradeState.FAILED, cause='no heartbeat', error_code='BOOT_TIMEOUT')
        event = next(row for row in self.db.rows(models.upgrade_outbox) if row.kind == 'error')
        payload = event.payload
        self.assertEqual(
            ('1.0', event.id, ended.id, 1),
            (
                payload['payload_version'],
                payload['event_id'],
                payload['upgrade_id'],
                payload['attempt'],
            ),
        )
        self.assertEqual(
            {'id': database.INSTANCE, 'name': 'db1', 'server_id': database.SERVER},
            payload['instance'],
        )
        self.assertEqual(
            {
                'id': database.MARIADB_10_11,
                'name': '10.11.14',
                'number': '10.11.14',
                'image_id': None,
            },
            payload['former_version'],
        )
        self.assertEqual(database.IMAGE_11_8, payload['target_version']['image_id'])
        self.assertEqual(
            ('FAILED', 'precheck', 'no heartbeat', 'BOOT_TIMEOUT', database.PROJECT),
            tuple(payload[key] for key in ('state', 'step', 'cause', 'error_code', 'project_id')),
        )
        self.assertEqual(ended.ended_at.isoformat(), payload['ended_at'])


class TestRetry(UpgradesTestCase):
    def test_it_runs_again_as_the_next_attempt_where_it_stopped(self):
        held = self.upgrades.save(
            stored.adding(self.claimed().evolve(step=Step.BOOT, rebuild_attempt=1), a=1)
        )
        failed = self.upgrades.end(
            held, UpgradeState.FAILED, cause='no heartbeat', error_code='BOOT_TIMEOUT'
        ).upgrade
        again = self.upgrades.retry(failed.id)
        self.assertEqual(
            (UpgradeState.RUNNING, 2, Step.BOOT, 1, {'a': 1}),
            (
                again.state,
                again.attempt,
                again.step,
                again.rebuild_attempt,
                stored.entries_of(again),
            ),
        )
        self.assertEqual((None, None, None), (again.cause, again.error_code, again.ended_at))
        self.assertIs(Task.UPGRADING, self.instance().task)
        self.assertIsNone(self.instance().fault)
        self.assertEqual([again.id], ids(self.upgrades.due(5)))
        self.assertEqual([('start', 1), ('error', 1), ('start', 2)], self.events())

    def test_each_attempt_has_an_end_of_its_own(self):
        failed = self.ended(UpgradeState.FAILED)
        self.upgrades.retry(failed.id)
        self.upgrades.end(
            self.upgrades.claim(failed.id, 'host-2', LEASE), UpgradeState.FAILED, cause='again'
        )
        self.assertEqual('again', self.instance().fault.message)
        self.upgrades.retry(failed.id)
        self.upgrades.end(self.upgrades.claim(failed.id, 'host-2', LEASE), UpgradeState.COMPLETED)
        self.assertEqual(
            [
                ('start', 1),
                ('error', 1),
                ('start', 2),
                ('error', 2),
                ('start', 3),
                ('end', 3),
                ('finish', 3),
            ],
            self.events(),
        )
        self.assertIsNone(self.instance().fault)

    def test_only_what_has_failed_is_retried_and_the_answer_says_what_to_do(self):
        begun = self.db.begin()
        self.assertIn(
            'has not begun',
            self.assertRaises(exceptions.RetryRefused, self.upgrades.retry, begun.id).message,
        )
        held = self.upgrades.claim(begun.id, 'host-1', LEASE)
        self.assertIn(
            'goes on',
            self.assertRaises(exceptions.RetryRefused, self.upgrades.retry, begun.id).message,
        )
        self.upgrades.end(held, UpgradeState.ABORTED)
        self.assertIn(
            'trove upgrade',
            self.assertRaises(exceptions.RetryRefused, self.upgrades.retry, begun.id).message,
        )
        self.assertRaises(exceptions.UpgradeNotFound, self.upgrades.retry, 'nothing')

    def test_an_instance_that_somebody_has_changed_is_left_alone(self):
        failed = self.ended(UpgradeState.FAILED)
        self.db.update_instance(task_id=int(Task.NONE))
        error = self.assertRaises(exceptions.InstanceChanged, self.upgrades.retry, failed.id)
        self.assertIn('NONE', error.message)
        self.assertIs(UpgradeState.FAILED, self.upgrades.get(failed.id).state)
        self.assertIs(Task.NONE, self.instance().task)

    def past_no_return(self):
        held = self.upgrades.save(
            stored.adding(self.claimed().evolve(step=Step.RESTORE), post_upgrade_sent_in_attempt=1)
        )
        self.db.update_instance(task_id=int(Task.BUILDING))
        failed = self.upgrades.end(held, UpgradeState.FAILED, cause='rebuilt by Trove').upgrade
        self.assertEqual('INSTANCE_CHANGED', failed.error_code)
        return failed

    def test_past_the_point_of_no_return_it_is_retried_once_troves_action_has_ended(self):
        failed = self.past_no_return()
        self.assertRaises(exceptions.InstanceChanged, self.upgrades.retry, failed.id)
        self.assertIs(Task.BUILDING, self.instance().task)
        self.db.update_instance(task_id=int(Task.NONE))
        self.assertEqual(
            (UpgradeState.RUNNING, 2),
            (self.upgrades.retry(failed.id).state, self.upgrades.get(failed.id).attempt),
        )
        self.assertIs(Task.UPGRADING, self.instance().task)

    def test_past_the_point_of_no_return_no_other_upgrade_begins_whatever_the_task(self):
        failed = self.past_no_return()
        before = self.events()
        for task in (Task.NONE, Task.BUILDING, Task.UPGRADING_ERROR):
            self.db.update_instance(task_id=int(task))
            error = self.assertRaises(exceptions.InstanceNeedsRetry, self.db.begin)
            self.assertIn(f'upgrade retry {failed.id}', error.message)
            self.assertIs(task, self.instance().task)
        self.assertEqual((1, before), (len(self.db.rows(models.instance_upgrades)), self.events()))
        self.assertIs(UpgradeState.RUNNING, self.upgrades.retry(failed.id).state)

    def test_before_the_point_of_no_return_a_reset_still_frees_the_instance(self):
        for data in ({}, {'post_upgrade_sent_in_attempt': 1, 'data_untouched_in_attempt': 1}):
            held = self.upgrades.save(
                stored.adding(self.claimed().evolve(step=Step.RESTORE), **data)
            )
            self.upgrades.end(held, UpgradeState.FAILED)
            self.db.update_instance(task_id=int(Task.NONE))
        self.db.begin()

    def later(self, step, state):
        """An upgrade that began beside a failed one, as where the row had another version for a
        time.
        """
        self.db.update_instance(task_id=int(Task.NONE), datastore_version_id=database.MARIADB_11_8)
        self.upgrades.end(self.upgrades.save(self.claimed().evolve(step=step)), state)
        self.db.update_instance(task_id=int(Task.NONE), datastore_version_id=database.MARIADB_10_11)

    def test_past_the_point_of_no_return_one_that_ended_in_its_checks_does_not_take_the_retry_away(
        self,
    ):
        failed = self.past_no_return()
        for state in (UpgradeState.ABORTED, UpgradeState.FAILED):
            self.later(Step.PRECHECK, state)
            self.assertRaises(exceptions.InstanceNeedsRetry, self.db.begin)
        self.assertIs(UpgradeState.RUNNING, self.upgrades.retry(failed.id).state)
        self.assertIs(Task.UPGRADING, self.instance().task)

    def test_past_the_point_of_no_return_it_is_not_retried_over_another_version_or_a_later_upgrade(
        self,
    ):
        failed = self.past_no_return()
        self.db.update_instance(task_id=int(Task.NONE), datastore_version_id=database.MARIADB_11_8)
        self.assertRaises(exceptions.InstanceChanged, self.upgrades.retry, failed.id)
        self.later(Step.QUIESCE, UpgradeState.ABORTED)
        self.assertRaises(exceptions.InstanceChanged, self.upgrades.retry, failed.id)
        self.assertIs(Task.NONE, self.instance().task)
        self.db.begin()

    def test_a_fault_that_trove_wrote_stays(self):
        failed = self.ended(UpgradeState.FAILED, cause='ours')
        self.db.insert(
            trove_tables.instance_faults,
            id='troves',
            instance_id=database.INSTANCE,
            message='older',
            details='d',
            created=database.CREATED,
            updated=database.CREATED,
            deleted=False,
        )
        self.assertEqual('ours', self.instance().fault.message)
        self.upgrades.retry(failed.id)
        self.assertEqual('older', self.instance().fault.message)


class TestRollback(UpgradesTestCase):
    def failed(self, **data):
        known = {
            'rebuild_accepted_in_attempt': 1,
            'upgrade_info': {'stash': 's1'},
            'former_server_version': '10.11.14-MariaDB',
            'rebuild_for_attempt': 1,
            **data,
        }
        held = self.upgrades.save(
            stored.adding(
                self.claimed().evolve(
                    step=Step.BOOT, rebuild_attempt=1, former_image_id=database.IMAGE_10_11
                ),
                **known,
            )
        )
        return self.upgrades.end(
            held, UpgradeState.FAILED, cause='no heartbeat', error_code='BOOT_TIMEOUT'
        ).upgrade

    def test_it_runs_again_as_the_next_attempt_towards_the_former_image(self):
        failed = self.failed()
        back = self.upgrades.rollback(failed.id)
        self.assertEqual(
            (UpgradeState.RUNNING, 2, Step.REBUILD, 1),
            (back.state, back.attempt, back.step, back.rebuild_attempt),
        )
        self.assertEqual(
            (database.IMAGE_10_11, database.MARIADB_10_11, '10.11.14-MariaDB'),
            (back.wanted_image_id, back.wanted_version_id, back.wanted_number),
        )
        self.assertEqual(
            {'cause': 'no heartbeat', 'error_code': 'BOOT_TIMEOUT'},
            stored.entries_of(back)['rolling_back'],
        )
        self.assertNotIn('rebuild_for_attempt', stored.entries_of(back))
        self.assertIs(Task.UPGRADING, self.instance().task)
        self.assertEqual([back.id], ids(self.upgrades.due(5)))
        self.assertEqual([('start', 1), ('error', 1), ('start', 2)], self.events())

    def test_a_row_that_may_be_past_the_point_of_no_return_is_refused_and_nothing_is_written(self):
        failed = self.failed(post_upgrade_sent_in_attempt=1)
        error = self.assertRaises(exceptions.RollbackRefused, self.upgrades.rollback, failed.id)
        self.assertIn('may have been started', error.message)
        self.assertEqual(failed, self.upgrades.get(failed.id))
        self.assertIs(Task.UPGRADING_ERROR, self.instance().task)

    def test_what_was_never_rebuilt_or_kept_is_refused(self):
        for name in ('rebuild_accepted_in_attempt', 'upgrade_info'):
            error = self.assertRaises(
                exceptions.RollbackRefused, self.upgrades.rollback, self.failed(**{name: None}).id
            )
            self.assertIn('upgrade retry', error.message)
            self.db.update_instance(task_id=int(Task.NONE))

    def test_only_what_has_failed_is_rolled_back(self):
        begun = self.db.begin()
        self.assertIn(
            'has not begun',
            self.assertRaises(exceptions.RollbackRefused, self.upgrades.rollback, begun.id).message,
        )
        self.upgrades.end(self.upgrades.claim(begun.id, 'host-1', LEASE), UpgradeState.ABORTED)
        self.assertIn(
            'ABORTED',
            self.assertRaises(exceptions.RollbackRefused, self.upgrades.rollback, begun.id).message,
        )
        self.assertRaises(exceptions.UpgradeNotFound, self.upgrades.rollback, 'nothing')

    def test_an_instance_that_somebody_has_changed_is_left_alone(self):
        failed = self.failed()
        self.db.update_instance(task_id=int(Task.DELETING))
        self.assertRaises(exceptions.InstanceChanged, self.upgrades.rollback, failed.id)
        self.assertEqual(failed, self.upgrades.get(failed.id))


class TestStates(base.TestCase):
    def test_every_state_and_step_fits_its_column(self):
        longest = max(len(name) for name in (*states.UpgradeState, *states.Step))
        self.assertLessEqual(longest, models.instance_upgrades.c.state.type.length)
