# SPDX-License-Identifier: Apache-2.0
"""Trove's own actions in the middle of an upgrade: each of tests/exclusion_table.py, in each group
of steps.
"""

import dataclasses

import sqlalchemy as sa

from trove_upgrade.db import trove_tables
from trove_upgrade.domain import exceptions, states
from trove_upgrade.domain.guests import JobState
from trove_upgrade.domain.instances import Task
from trove_upgrade.tests import exclusion_table as table
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.taskmanager import fakes

S, Step, Group = states.UpgradeState, states.Step, table.Group
#: The guest's method whose answer comes just after Trove's action was taken.
_METHOD = {
    Group.CHECKING: 'check_upgrade',
    Group.STOPPED: 'pre_upgrade',
    Group.RESTORING: 'post_upgrade',
}


class ExclusionCase(base.TestCase):
    def stage_of(self):
        stage = self.useFixture(fakes.Stage())
        self.theirs = stage.db.add_version(name='10.11.16')
        return stage

    def write(self, stage, action):
        """What Trove's API does to the row."""
        values = {
            name: self.theirs if value == table.OTHER_VERSION else value
            for name, value in action.writes.items()
        }
        stage.db.update_instance(**{**values, 'task_id': int(values['task_id'])})

    def meet(self, stage, group, act):
        """An upgrade during which `act` happens; the row at its end, or where it waits."""
        if group in _METHOD:
            stage.guest.before(_METHOD[group], act)
        elif group is Group.ASKED_AGAIN:  # quiesce asks first, the rebuild asks again
            stage.guest.before('pre_upgrade', lambda: stage.guest.before('pre_upgrade', act))
        row = stage.run_on(stage.db.begin().id)
        if row.state is S.RUNNING:
            row = stage.run_on(row.id)
        if group is Group.REBUILDING:
            act()
        if row.step is Step.BOOT:
            stage.heartbeat(row)
            row = stage.run_on(row.id)
        return row

    def instance_row(self, stage):
        instances = trove_tables.instances
        with stage.db.database.read() as connection:
            return connection.execute(
                sa.select(instances).where(instances.c.id == database.INSTANCE)
            ).one()


class TestTheTable(ExclusionCase):
    def check(self, action, group, expected):
        stage = self.stage_of()
        row = self.meet(stage, group, lambda: self.write(stage, action))
        after = self.instance_row(stage)
        version = {
            database.MARIADB_10_11: 'former',
            database.MARIADB_11_8: 'target',
            self.theirs: 'theirs',
            None: 'none',
        }
        found = table.End(
            str(row.state),
            row.error_code,
            None if after.deleted else Task(after.task_id),
            version[after.datastore_version_id],
            len(stage.nova.rebuilds),
            bool(stage.guest.asked('abort_upgrade')),
        )
        self.assertEqual(expected, found, f'{action.name} while {group}: {row.cause}')
        with stage.db.database.read() as connection:
            faults = connection.execute(sa.select(trove_tables.instance_faults)).all()
        self.assertEqual([], faults, action.name)


def _add(action, group, expected):
    def test(self):
        self.check(action, group, expected)

    setattr(TestTheTable, f'test_{action.name}_while_{group}', test)


for _action in table.ACTIONS:
    for _group, _expected in _action.ends.items():
        _add(_action, _group, _expected)


class TestBesideTheTable(ExclusionCase):
    def test_every_action_that_trove_lets_through_has_an_end_in_every_group(self):
        for action in table.ACTIONS:
            self.assertEqual(set() if action.refused else set(Group), set(action.ends), action.name)

    def test_a_reset_before_the_checks_begin_is_a_change_as_one_during_them_is(self):
        stage = self.stage_of()
        row = stage.db.begin()
        stage.db.update_instance(task_id=int(Task.NONE))
        row = stage.run_on(row.id)
        self.assertEqual(
            (S.ABORTED, 'INSTANCE_CHANGED', []),
            (row.state, row.error_code, stage.guest.asked('check_upgrade')),
        )

    def test_a_reset_is_told_in_the_remarks(self):
        stage = self.stage_of()
        row = self.meet(
            stage,
            Group.RESTORING,
            lambda: stage.db.update_instance(task_id=int(Task.NONE)),
        )
        self.assertEqual('INSTANCE_RESET', row.notes.remarks[-1].code)
        self.assertIn('back to NONE', row.notes.remarks[-1].message)

    def test_what_fails_after_a_reset_is_shown_as_an_error_and_can_be_retried(self):
        stage = self.stage_of()
        stage.guest.says(
            'post_upgrade', fakes.answer(JobState.FAILED, message='no space', code='X')
        )
        row = self.meet(
            stage,
            Group.REBUILDING,
            lambda: stage.db.update_instance(task_id=int(Task.NONE)),
        )
        self.assertEqual((S.FAILED, 'X'), (row.state, row.error_code))
        self.assertEqual(Task.UPGRADING_ERROR, stage.repos.instances.task(database.INSTANCE))
        self.assertEqual('no space', stage.repos.instances.get(database.INSTANCE).fault.message)
        stage.repos.upgrades.retry(row.id)

    def test_a_backup_that_trove_let_in_before_our_task_was_set_refuses_the_stop(self):
        stage = self.stage_of()
        row = self.meet(stage, Group.CHECKING, lambda: self.begin_a_backup(stage))
        self.assertEqual(
            (S.ABORTED, 'BACKUP_RUNNING', []),
            (row.state, row.error_code, stage.guest.asked('pre_upgrade')),
        )

    def after_a_death(self, act):
        """The taskmanager dies when it has written that the guest will be told to stop; `act`;
        another one takes over.
        """
        stage = self.stage_of()
        dying = dataclasses.replace(
            stage.runner(), is_stopping=lambda: True
        )  # lets go after each commit
        row = stage.db.begin()
        while row.progress.quiesce.told_in_attempt is None:
            row = stage.run_on(row.id, dying)
        self.assertEqual([], stage.guest.asked('pre_upgrade'))
        act(stage)
        return stage, stage.run_on(row.id, stage.runner('tm-2'))

    def begin_a_backup(self, stage):
        stage.db.insert(
            trove_tables.backups,
            id='b1',
            name='b',
            instance_id=database.INSTANCE,
            state='BUILDING',
            deleted=False,
        )

    def test_who_takes_over_before_the_guest_was_told_does_not_stop_an_instance_that_was_taken(
        self,
    ):
        stage, row = self.after_a_death(
            lambda stage: stage.db.update_instance(task_id=int(Task.NONE))
        )
        self.assertEqual((S.ABORTED, 'INSTANCE_CHANGED'), (row.state, row.error_code))
        self.assertEqual(
            ([], 1), (stage.guest.asked('pre_upgrade'), len(stage.guest.asked('abort_upgrade')))
        )

    def test_who_takes_over_before_the_guest_was_told_does_not_cut_a_backup_off(self):
        stage, row = self.after_a_death(self.begin_a_backup)
        self.assertEqual(
            (S.ABORTED, 'BACKUP_RUNNING', []),
            (row.state, row.error_code, stage.guest.asked('pre_upgrade')),
        )

    def test_who_takes_over_a_quiet_instance_stops_it_and_goes_on(self):
        stage, row = self.after_a_death(lambda stage: None)
        self.assertEqual((S.RUNNING, 2), (row.state, len(stage.guest.asked('pre_upgrade'))))

    def test_a_guest_that_fell_silent_because_its_instance_is_going_is_not_asked_until_the_time_out(
        self,
    ):
        for values in (
            {'task_id': int(Task.DELETING)},
            {'deleted': True, 'task_id': 1, 'datastore_version_id': None},
        ):
            stage = self.stage_of()
            stage.guest.says('pre_upgrade', fakes.silent())
            row = self.meet(
                stage,
                Group.STOPPED,
                lambda stage=stage, values=values: stage.db.update_instance(**values),
            )
            self.assertIs(S.FAILED, row.state)
            self.assertEqual([], stage.guest.asked('abort_upgrade'))

    def test_an_instance_deleted_while_its_new_guest_boots_is_not_waited_for(self):
        stage = self.stage_of()
        row = stage.until_boot()
        stage.db.update_instance(deleted=True, task_id=1, datastore_version_id=None)
        row = stage.run_on(row.id)
        self.assertEqual((S.FAILED, 'INSTANCE_DELETED'), (row.state, row.error_code))

    def test_a_server_that_is_gone_with_its_instance_is_no_failure_of_novas(self):
        stage = self.stage_of()
        row = stage.db.begin()
        stage.db.update_instance(deleted=True, task_id=1, datastore_version_id=None)
        stage.nova.change(id='another')
        row = stage.run_on(row.id)
        self.assertEqual((S.FAILED, 'INSTANCE_DELETED'), (row.state, row.error_code))

    def test_a_deleted_instance_is_refused_a_retry(self):
        stage = self.stage_of()
        stage.guest.says('post_upgrade', fakes.answer(JobState.FAILED, message='x', code='X'))
        row = self.meet(stage, Group.RESTORING, lambda: None)
        stage.db.update_instance(deleted=True, task_id=1, datastore_version_id=None)
        self.assertRaises(exceptions.InstanceDeleted, stage.repos.upgrades.retry, row.id)

    def test_an_instance_that_is_being_created_is_refused(self):
        stage = self.stage_of()
        stage.db.update_instance(task_id=int(Task.BUILDING))
        error = self.assertRaises(exceptions.InstanceBusy, stage.db.begin)
        self.assertIn('BUILD', error.message)
