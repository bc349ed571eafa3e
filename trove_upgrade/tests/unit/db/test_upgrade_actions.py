# SPDX-License-Identifier: Apache-2.0
"""Actions and holds in both forms of the rows, before and after the contract of borealis."""

import sqlalchemy as sa

from trove_upgrade.db import models
from trove_upgrade.db.upgrade_actions import UpgradeActions
from trove_upgrade.domain import exceptions, holds, leases, refusals, states
from trove_upgrade.domain.actions import Action
from trove_upgrade.domain.instances import Task
from trove_upgrade.tests.unit import base, database

S, Step = states.UpgradeState, states.Step


class QuickerRetry:
    """The repository, for a rollback to which a retry comes first."""

    def __init__(self, upgrades):
        self._upgrades = upgrades

    def __getattr__(self, name):
        return getattr(self._upgrades, name)

    def rollback(self, upgrade_id):
        retried = self._upgrades.retry(upgrade_id)
        raise exceptions.InstanceChanged(
            upgrade_id=upgrade_id,
            instance_id=retried.instance_id,
            task='UPGRADING',
            expected='UPGRADING_ERROR',
        )


class TestActions(base.TestCase):
    expanded = False

    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase(expanded=self.expanded))
        self.repos = self.db.repositories

    def claimed(self, **changes):
        """An upgrade whose checks are being made."""
        held = self.repos.upgrades.claim(self.db.begin(**changes).id, 'tm', 60)
        return self.repos.upgrades.save(held.began(Step.PRECHECK, held.created_at, 100))

    def held(self):
        row = self.claimed(choices=holds.Choices(hold=True))
        done = row.step_ended(row.updated_at, states.StepOutcome.DONE, 'All checks passed.')
        return self.repos.holds.hold(done, 60)

    def outcomes(self, row):
        return [run.outcome for run in self.repos.upgrades.get(row.id).steps]

    def test_the_history_of_one_that_is_aborted_is_kept_and_has_its_end(self):
        row = self.claimed()
        ended = self.repos.actions.take(Action.ABORT, row.id).upgrade
        self.assertEqual((S.ABORTED, 'ABORTED_ON_REQUEST'), (ended.state, ended.error_code))
        self.assertEqual(['refused'], self.outcomes(row))
        self.assertIsNone(self.repos.upgrades.get(row.id).owner)
        self.assertRaises(leases.AbortedMeanwhile, self.repos.upgrades.save, row)

    def test_one_that_is_to_be_undone_is_free_at_once_and_its_former_holder_writes_nothing(self):
        row = self.claimed()
        told = row.evolve(step=Step.QUIESCE, progress=row.progress.told_to_stop(1))
        told = self.repos.upgrades.save(told.began(Step.QUIESCE, row.updated_at, 100))
        self.assertEqual([], list(self.repos.upgrades.due(10)))
        self.repos.actions.take(Action.ABORT, row.id)
        self.assertEqual([row.id], [turn.id for turn in self.repos.upgrades.due(10)])
        aborted = leases.AbortedMeanwhile
        self.assertRaises(aborted, self.repos.upgrades.save, told)
        self.assertRaises(aborted, self.repos.held_upgrades.announce_post, told, 10)
        again = self.repos.upgrades.claim(row.id, 'tm-2', 60)
        self.assertTrue(again.is_undoing)
        left = (again.step_deadline - self.repos.upgrades.now()).total_seconds()
        self.assertTrue(3500 < left <= 3600, 'an earlier release sets none')
        self.assertEqual(told.generation + 2, again.generation)
        self.assertEqual([None, 'refused'], self.outcomes(row))

    def test_a_hold_keeps_the_history_and_a_proceed_goes_on_from_it(self):
        row = self.held()
        self.assertEqual(['done'], self.outcomes(row))
        self.repos.actions.take(Action.PROCEED, row.id)
        again = self.repos.upgrades.claim(row.id, 'tm-2', 60)
        self.assertIsNotNone(again.progress.hold.over_at)
        self.assertEqual(['done'], self.outcomes(row))

    def test_a_look_comes_again_when_it_was_asked_for(self):
        row = self.held()
        self.assertEqual([], list(self.repos.holds.due(10)))
        self.db.pass_time(61)
        self.assertEqual([row.id], [turn.id for turn in self.repos.holds.due(10)])
        self.repos.holds.look_again(row.id, 30)
        self.assertEqual([], list(self.repos.holds.due(10)))

    def test_one_that_is_held_no_more_does_not_expire(self):
        row = self.held()
        self.repos.actions.take(Action.PROCEED, row.id)
        self.assertRaises(
            refusals.ActionOvertaken, self.repos.actions.expire, row, 'c', 'HOLD_EXPIRED'
        )
        self.assertIs(Task.UPGRADING, self.repos.instances.task(row.instance_id))

    def test_a_backup_that_runs_keeps_it_held(self):
        row = self.held()
        self.db.insert(
            database.trove_tables.backups,
            id='00000000-0000-4000-8000-00000000bac1',
            name='b',
            tenant_id=database.PROJECT,
            instance_id=row.instance_id,
            state='BUILDING',
            deleted=False,
            created=database.CREATED,
            updated=database.CREATED,
        )
        self.assertRaises(exceptions.InstanceBusy, self.repos.actions.take, Action.PROCEED, row.id)
        self.assertIs(S.HELD, self.repos.upgrades.get(row.id).state)
        self.assertIs(Task.NONE, self.repos.instances.task(row.instance_id))

    def test_one_whose_instance_another_action_lets_go_of_at_that_moment_stays_held(self):
        row = self.held()
        self.db.update_instance(task_id=int(Task.RESIZING))
        let_go = sa.update(database.trove_tables.instances).values(task_id=int(Task.NONE))

        acts = [lambda connection: connection.execute(let_go)]

        def after(connection, _cursor, statement, *_more):
            if statement.startswith('UPDATE instances') and acts:
                acts.pop()(connection)

        sa.event.listen(self.db.database.engine, 'after_cursor_execute', after)
        error = self.assertRaises(
            exceptions.InstanceBusy, self.repos.actions.take, Action.PROCEED, row.id
        )
        self.assertIn('another action has just changed it', error.message)
        self.assertIs(S.HELD, self.repos.upgrades.get(row.id).state)

    def test_one_to_which_another_action_came_first_is_refused_by_what_the_upgrade_is_then(self):
        held = self.claimed().evolve(step=Step.BOOT)
        failed = self.repos.upgrades.end(
            self.repos.upgrades.save(held), S.FAILED, cause='no', error_code='BOOT_TIMEOUT'
        ).upgrade
        actions = UpgradeActions(self.db.database, QuickerRetry(self.repos.upgrades))
        error = self.assertRaises(
            exceptions.RollbackRefused, actions.take, Action.ROLLBACK, failed.id
        )
        self.assertIn('RUNNING', error.message)

    def test_an_instance_with_another_server_or_version_is_not_taken(self):
        row = self.held()
        for changes in (
            {'compute_instance_id': '00000000-0000-4000-8000-00000000bbb9'},
            {'datastore_version_id': database.MARIADB_11_8},
        ):
            self.db.update_instance(**changes)
            self.assertRaises(
                exceptions.InstanceChanged, self.repos.actions.take, Action.PROCEED, row.id
            )
        self.assertEqual(
            [S.HELD], [S(each.state) for each in self.db.rows(models.instance_upgrades)]
        )


class TestActionsBeforeTheContract(TestActions):
    expanded = True
