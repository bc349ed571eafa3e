# SPDX-License-Identifier: Apache-2.0
"""Until the contract of borealis the column `steps` is the truth, and our writes keep the rows the
same.
"""

import datetime
import json

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import engine, errors, models, repetition, repositories
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.states import Step, UpgradeState
from trove_upgrade.domain.upgrades import StepRun
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.db import test_upgrades

BEGAN = datetime.datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=datetime.UTC)
RUN = StepRun(
    step=Step.PRECHECK,
    attempt=1,
    started_at=BEGAN,
    ended_at=BEGAN,
    runs=2,
    outcome='done',
    percent=100,
    message='fine',
)


class TestBegin(test_upgrades.TestBegin):
    expanded = True


class TestLease(test_upgrades.TestLease):
    expanded = True


class TestList(test_upgrades.TestList):
    expanded = True


class TestJournal(test_upgrades.TestJournal):
    expanded = True


class TestEnd(test_upgrades.TestEnd):
    expanded = True


class TestRetry(test_upgrades.TestRetry):
    expanded = True


class TestRollback(test_upgrades.TestRollback):
    expanded = True


class ExpandedTestCase(test_upgrades.UpgradesTestCase):
    expanded = True

    def row(self):
        (found,) = self.db.rows(models.expanded_instance_upgrades)
        return found

    def copies(self):
        return [
            (row.position, row.step, row.message)
            for row in self.db.rows(models.instance_upgrade_steps)
        ]

    def aurora_writes(self, *messages):
        """What a service of aurora leaves: the column, a new updated_at, and nothing else."""
        entries = [
            {'step': 'precheck', 'attempt': 1, 'started_at': BEGAN.isoformat(), 'message': message}
            for message in messages
        ]
        with self.db.database.write() as connection:
            connection.execute(
                sa.text('UPDATE instance_upgrades SET steps = :steps, updated_at = :updated_at'),
                {
                    'steps': json.dumps(entries),
                    'updated_at': datetime.datetime(2026, 11, 21, 7, 0, 0, 1),
                },
            )

    def assert_copied(self):
        row = self.row()
        self.assertEqual(row.updated_at, row.steps_at)
        self.assertEqual(
            [(entry['step'], entry['message']) for entry in row.steps],
            [copy[1:] for copy in self.copies()],
        )


class TestBothForms(ExpandedTestCase):
    def test_each_write_of_ours_leaves_rows_and_column_the_same_and_says_so(self):
        held = self.claimed()
        self.assert_copied()
        held = self.upgrades.save(held.evolve(steps=(RUN,)))
        self.assert_copied()
        self.assertEqual([(0, 'precheck', 'fine')], self.copies())
        self.db.repositories.held_upgrades.renew(held.owner, [held.id], 60)
        self.assert_copied()
        self.db.repositories.held_upgrades.announce_post(held, 10)
        self.assert_copied()
        self.db.repositories.held_upgrades.tell(held, 'upgrading')
        self.assert_copied()
        held = self.upgrades.end(
            held.evolve(steps=(RUN, StepRun(step=Step.QUIESCE, attempt=1, started_at=BEGAN))),
            UpgradeState.FAILED,
            cause='c',
            error_code='E',
        ).upgrade
        self.assert_copied()
        self.assertEqual(2, len(self.copies()))
        self.upgrades.retry(held.id)
        self.assert_copied()

    def test_one_that_has_just_begun_needs_no_copy(self):
        self.db.begin()
        self.assert_copied()

    def test_what_aurora_wrote_is_what_is_read(self):
        held = self.upgrades.save(self.claimed().evolve(steps=(RUN,)))
        self.aurora_writes('theirs')
        self.assertEqual(['theirs'], [run.message for run in self.upgrades.get(held.id).steps])
        self.assertEqual(
            ['theirs'], [run.message for run in self.upgrades.list(limit=1).items[0].steps]
        )

    def test_a_write_of_ours_never_claims_a_copy_that_was_not_made(self):
        held = self.upgrades.save(self.claimed().evolve(steps=(RUN,)), release_for_seconds=0)
        self.aurora_writes('theirs', 'and more')
        self.assertNotEqual(self.row().updated_at, self.row().steps_at)
        self.upgrades.claim(held.id, 'host-2', 60)
        self.assert_copied()
        self.assertEqual(['theirs', 'and more'], [copy[2] for copy in self.copies()])

    def test_a_retry_takes_along_what_was_never_copied(self):
        failed = self.upgrades.end(
            self.claimed(), UpgradeState.FAILED, cause='c', error_code='E'
        ).upgrade
        self.aurora_writes('theirs')
        self.upgrades.retry(failed.id)
        self.assert_copied()

    def test_a_write_that_is_refused_leaves_both_forms_alone(self):
        held = self.upgrades.save(self.claimed().evolve(steps=(RUN,)))
        stale = held.evolve(generation=held.generation - 1, steps=())
        self.assertRaises(exceptions.LeaseLost, self.upgrades.save, stale)
        self.assert_copied()
        self.assertEqual(1, len(self.copies()))

    def test_keys_that_a_newer_release_added_to_a_step_are_dropped(self):
        held = self.upgrades.save(self.claimed().evolve(steps=(RUN,)))
        with self.db.database.write() as connection:
            connection.execute(
                sa.update(models.expanded_instance_upgrades).values(
                    steps=[{**self.row().steps[0], 'novelty': 1}]
                )
            )
        self.assertEqual(held.steps, self.upgrades.get(held.id).steps)


class TestContract(ExpandedTestCase):
    """The columns go while this process has them in mind."""

    def setUp(self):
        super().setUp()
        self.held = self.upgrades.save(self.claimed().evolve(steps=(RUN,)))
        self.db.contract()

    def test_every_read_goes_on_with_the_rows(self):
        self.assertEqual(self.held, self.upgrades.get(self.held.id))

    def test_a_list_goes_on_with_the_rows(self):
        self.assertEqual((self.held,), self.upgrades.list(limit=1).items)

    def test_a_beginning_is_begun_once(self):
        begun = self.db.begin(self.db.add_instance())
        self.assertEqual(begun, self.upgrades.get(begun.id))
        self.assertEqual(2, len(self.db.rows(models.instance_upgrades)))

    def test_a_claim_is_made_once(self):
        self.db.pass_time(test_upgrades.LEASE + 1)
        taken = self.upgrades.claim(self.held.id, 'host-2', 60)
        self.assertEqual(
            (self.held.generation + 1, self.held.steps), (taken.generation, taken.steps)
        )

    def test_a_save_reaches_the_rows(self):
        longer = (*self.held.steps, StepRun(step=Step.QUIESCE, attempt=1, started_at=BEGAN))
        self.assertEqual(longer, self.upgrades.save(self.held.evolve(steps=longer)).steps)
        self.assertEqual(longer, self.upgrades.get(self.held.id).steps)

    def test_an_end_is_written_once(self):
        ended = self.upgrades.end(self.held, UpgradeState.FAILED, cause='c', error_code='E').upgrade
        self.assertEqual([('start', 1), ('error', 1)], self.events())
        self.assertEqual(self.held.steps, ended.steps)
        self.assertEqual(
            (2, self.held.steps),
            (self.upgrades.retry(ended.id).attempt, self.upgrades.get(ended.id).steps),
        )

    def test_it_is_seen_over_a_connection_that_is_kept(self):
        with self.db.database.one_connection():
            self.assertEqual(self.held, self.upgrades.get(self.held.id))
            self.assertEqual(self.held.steps, self.upgrades.save(self.held).steps)

    def test_half_of_it_is_enough(self):
        half = self.useFixture(database.SampleDatabase(expanded=True))
        begun = half.begin()
        with half.database.engine.begin() as connection:
            connection.exec_driver_sql('ALTER TABLE instance_upgrades DROP COLUMN steps')
        self.assertEqual(begun, half.repositories.upgrades.get(begun.id))


class TestColumns(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase(expanded=True))

    def statements(self, call):
        seen = []
        sa.event.listen(
            self.db.database.engine,
            'before_cursor_execute',
            lambda *arguments: seen.append(arguments[2]),
        )
        call()
        return [statement for statement in seen if statement.startswith('SELECT instance')]

    def test_they_are_looked_up_once_in_a_process(self):
        upgrade_id = self.db.begin().id
        self.assertEqual(
            1, len(self.statements(lambda: self.db.repositories.upgrades.get(upgrade_id)))
        )

    def test_after_the_contract_a_read_costs_one_query_more_whatever_the_page_holds(self):
        for _ in range(3):
            self.db.begin(self.db.add_instance())
        self.db.contract()
        self.db.repositories.upgrades.list(limit=5)
        self.assertEqual(
            2, len(self.statements(lambda: self.db.repositories.upgrades.list(limit=5)))
        )

    def test_a_database_of_aurora_is_refused_in_words_until_the_expand_has_been_run(self):
        begun = self.db.begin()
        with self.db.database.engine.begin() as connection:
            connection.exec_driver_sql('ALTER TABLE instance_upgrades DROP COLUMN steps_at')
        for _ in range(2):
            error = self.assertRaises(
                errors.SchemaMissing, self.db.repositories.upgrades.get, begun.id
            )
            self.assertIn('db expand', error.message)
        with self.db.database.engine.begin() as connection:
            connection.exec_driver_sql('ALTER TABLE instance_upgrades ADD COLUMN steps_at DATETIME')
        self.assertEqual(begun, self.db.repositories.upgrades.get(begun.id))

    def test_without_any_table_the_error_is_the_tables(self):
        empty = engine.Database.from_url('sqlite://')
        self.addCleanup(empty.dispose)
        error = self.assertRaises(
            db_exc.DBNonExistentTable, repositories.Repositories.of(empty).upgrades.list, limit=1
        )
        self.assertEqual('instance_upgrades', error.table)

    def test_a_column_that_is_really_missing_is_an_error_in_the_end(self):
        calls = []

        @repetition.repeat_on_new_columns
        def wrong():
            calls.append(1)
            with self.db.database.read() as connection:
                connection.exec_driver_sql('SELECT nothing_of_this_name FROM instance_upgrades')

        self.assertRaises(sa.exc.OperationalError, wrong)
        self.assertEqual(5, len(calls))
