# SPDX-License-Identifier: Apache-2.0
"""Actions on upgrades whose instance has been changed: what is told beforehand, and what an attempt
is answered.
"""

import itertools

from trove_upgrade.db import trove_tables
from trove_upgrade.domain import instances, states
from trove_upgrade.tests.unit import database, stored
from trove_upgrade.tests.unit.api import stage, test_actions

S, Task = states.UpgradeState, instances.Task
OTHER_SERVER = '00000000-0000-4000-8000-00000000fff1'


class TestActionsOfInstances(test_actions.ActionCase):
    def assert_told_as_refused(self, action, upgrade_id, code, part):
        """The verdict on the action and the answer to it are one: code and sentence."""
        told = self.actions(upgrade_id, roles=stage.ADMIN)[action]
        answer = self.act(action, upgrade_id, roles=stage.ADMIN)
        self.assert_refused(answer, 422, code)
        [fault] = answer.json.values()
        self.assertEqual((False, code), (told['allowed'], told['reason_code']))
        self.assertIn(part, told['reason'])
        self.assertIn(told['reason'], fault['message'])

    def assert_can_be_aborted(self, held):
        self.assertIs(S.HELD, self.upgrades.get(held.id).state)
        self.assertTrue(self.actions(held.id)['abort']['allowed'])
        self.assertEqual(202, self.act('abort', held.id).status_int)

    def test_one_whose_instance_is_busy_is_told_to_wait_for_it(self):
        for task, status in ((Task.REBOOTING, 'REBOOT'), (Task.RESIZING, 'RESIZE')):
            held = self.held()
            self.db.update_instance(task_id=int(task))
            self.assert_told_as_refused('proceed', held.id, 'INSTANCE_BUSY', f'status is {status}')
            self.db.update_instance(task_id=int(Task.NONE))
            self.assertTrue(self.actions(held.id)['proceed']['allowed'])
            self.assert_can_be_aborted(held)

    def test_one_whose_instance_is_being_backed_up_is_told_to_wait_for_it(self):
        held = self.held()
        self.db.insert(
            trove_tables.backups,
            id=OTHER_SERVER,
            instance_id=held.instance_id,
            name='b',
            state='BUILDING',
            tenant_id=database.PROJECT,
            created=database.CREATED,
            updated=database.CREATED,
            deleted=False,
        )
        self.assert_told_as_refused('proceed', held.id, 'INSTANCE_BUSY', 'BACKUP')

    def test_one_whose_instance_is_another_by_now_is_told_to_be_aborted(self):
        wanted = 'Abort it and begin a new one.'
        for changes, part in (
            (
                {'datastore_version_id': database.MARIADB_11_8},
                f'another datastore version ({database.MARIADB_11_8})',
            ),
            ({'compute_instance_id': OTHER_SERVER}, 'another server'),
        ):
            instance_id = self.db.add_instance()
            held = self.held(instance_id)
            self.db.update_instance(instance_id, **changes)
            self.assert_told_as_refused('proceed', held.id, 'INSTANCE_CHANGED', part)
            told = self.actions(held.id)['proceed']['reason']
            self.assertIn(wanted, told)
            self.assertNotIn('Look who', told)
            self.assert_can_be_aborted(held)

    def test_one_whose_instance_is_deleted_has_not_ended_and_is_told_what_ends_it(self):
        for changes, part in (
            ({'deleted': True}, 'was deleted'),
            ({'task_id': int(Task.DELETING)}, 'is being deleted'),
        ):
            instance_id = self.db.add_instance()
            held = self.held(instance_id)
            self.db.update_instance(instance_id, **changes)
            self.assert_told_as_refused('proceed', held.id, 'INSTANCE_DELETED', part)
            told = self.actions(held.id)['proceed']['reason']
            self.assertIn('Abort it, or leave it', told)
            self.assertNotIn('has ended', told)
            self.assert_can_be_aborted(held)

    def test_an_action_is_told_to_be_possible_where_it_is_taken_and_nowhere_else(self):
        for state, task in itertools.product((S.HELD, S.FAILED), Task):
            instance_id = self.db.add_instance()
            if state is S.HELD:
                action, upgrade = 'proceed', self.held(instance_id)
            else:
                held = self.upgrades.claim(self.db.begin(instance_id).id, 'tm', 60)
                action, upgrade = 'retry', self.upgrades.end(held, state, error_code='E').upgrade
            self.db.update_instance(instance_id, task_id=int(task))
            told = self.actions(upgrade.id, roles=stage.ADMIN)[action]
            answer = self.act(action, upgrade.id, roles=stage.ADMIN)
            self.assertEqual(told['allowed'], answer.status_int == 202, (state, task, told))

    def test_one_that_has_failed_is_judged_by_its_instance_too(self):
        failed = self.failed(may_return=True)
        for changes, code, part in (
            ({'task_id': int(Task.RESIZING)}, 'INSTANCE_CHANGED', 'its task is RESIZING'),
            ({'task_id': int(Task.NONE)}, 'INSTANCE_CHANGED', 'its task is NONE'),
            ({'deleted': True}, 'INSTANCE_DELETED', 'instance was deleted'),
        ):
            self.db.update_instance(**changes)
            for action in ('retry', 'rollback'):
                self.assert_told_as_refused(action, failed.id, code, part.split()[0])
        self.db.update_instance(deleted=False, task_id=int(Task.UPGRADING_ERROR))
        told = self.actions(failed.id, roles=stage.ADMIN)
        self.assertTrue(told['retry']['allowed'] and told['rollback']['allowed'])

    def test_one_that_alone_can_go_on_is_told_so_though_its_instance_has_no_task(self):
        held = self.upgrades.claim(self.db.begin().id, 'tm', 60)
        held = held.evolve(step=states.Step.RESTORE)
        held = self.upgrades.save(stored.adding(held, post_upgrade_sent_in_attempt=1))
        failed = self.upgrades.end(held, S.FAILED, cause='no', error_code='E').upgrade
        self.assertTrue(failed.no_return)
        self.db.update_instance(task_id=int(Task.NONE))
        self.assertTrue(self.actions(failed.id, roles=stage.ADMIN)['retry']['allowed'])
        self.assertEqual(202, self.act('retry', failed.id, roles=stage.ADMIN).status_int)
