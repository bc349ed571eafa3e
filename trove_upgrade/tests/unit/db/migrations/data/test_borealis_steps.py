# SPDX-License-Identifier: Apache-2.0
import contextlib
import datetime
import json

import sqlalchemy as sa

from trove_upgrade.db import errors, models
from trove_upgrade.db.migrations.data.borealis_steps import BorealisSteps
from trove_upgrade.domain.states import Step
from trove_upgrade.domain.upgrades import StepRun
from trove_upgrade.tests.unit import base, database

BEGAN = datetime.datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=datetime.UTC)
RUNS = (
    StepRun(
        step=Step.PRECHECK,
        attempt=1,
        started_at=BEGAN,
        ended_at=BEGAN,
        runs=2,
        outcome='done',
        percent=100,
        message='all "fine" 😀\\',
    ),
    StepRun(step=Step.QUIESCE, attempt=1, started_at=BEGAN.replace(microsecond=0)),
)


def entry(**changes):
    return {
        'step': 'precheck',
        'attempt': 1,
        'started_at': BEGAN.isoformat(),
        'ended_at': None,
        'runs': 0,
        'outcome': None,
        'percent': None,
        'message': None,
        **changes,
    }


class TestBorealisSteps(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase(expanded=True))
        self.migration = BorealisSteps()

    def add(self, history):
        """An upgrade as the release before has left it: nothing but the column."""
        upgrade_id = self.db.begin(self.db.add_instance()).id
        text = history if isinstance(history, str) else json.dumps(history)
        with self.db.database.write() as connection:
            connection.execute(
                sa.text(
                    'UPDATE instance_upgrades SET steps = :steps, steps_at = NULL WHERE id = :id'
                ),
                {'steps': text, 'id': upgrade_id},
            )
        return upgrade_id

    def run_batch(self, cursor='', limit=100):
        with self.db.database.write() as connection:
            return self.migration.run_batch(connection, cursor, limit)

    def left(self):
        with self.db.database.read() as connection:
            left = self.migration.pending(connection)
            self.assertEqual(bool(left), self.migration.is_pending(connection))
        return left

    def copies(self, upgrade_id):
        return [
            row
            for row in self.db.rows(models.instance_upgrade_steps)
            if row.upgrade_id == upgrade_id
        ]

    def test_what_was_written_as_a_column_is_read_from_the_rows(self):
        held = self.db.repositories.upgrades.claim(self.db.begin().id, 'me', 60)
        held = self.db.repositories.upgrades.save(held.evolve(steps=RUNS))
        with self.db.database.write() as connection:
            connection.execute(sa.delete(models.instance_upgrade_steps))
            connection.execute(sa.update(models.expanded_instance_upgrades).values(steps_at=None))
        self.assertEqual((1, 1), (self.left(), self.run_batch().done))
        self.assertEqual(0, self.left())
        self.db.contract()
        self.assertEqual(held, self.db.repositories.upgrades.get(held.id))

    def test_batches_go_on_from_the_cursor_until_nothing_is_found(self):
        ids = sorted(self.add([entry(), entry()]) for _ in range(5))
        seen, cursor = [], ''
        while (batch := self.run_batch(cursor, 2)).found or batch.cursor != cursor:
            seen.append((batch.found, batch.done))
            cursor = batch.cursor
        self.assertEqual(([(2, 2), (2, 2), (1, 1)], ids[-1], 0), (seen, cursor, self.left()))
        self.assertEqual([2] * 5, [len(self.copies(upgrade_id)) for upgrade_id in ids])

    def test_rows_that_do_not_wait_are_passed_over(self):
        ids = sorted(self.add([entry()]) for _ in range(6))
        self.run_batch('', 4)
        batch = self.run_batch('', 2)
        self.assertEqual((2, 2, ids[-1]), (batch.found, batch.done, batch.cursor))

    def test_what_was_written_after_the_copy_is_copied_again_and_leaves_nothing_of_the_former(self):
        upgrade_id = self.add([entry(message='a'), entry(message='b')])
        self.run_batch()
        with self.db.database.write() as connection:
            connection.execute(
                sa.text('UPDATE instance_upgrades SET steps = :steps, updated_at = :updated_at'),
                {
                    'steps': json.dumps([entry(message='c')]),
                    'updated_at': '2026-11-21 09:00:00.000001',
                },
            )
        self.assertEqual((1, 1, 0), (self.left(), self.run_batch().done, self.left()))
        self.assertEqual(['c'], [row.message for row in self.copies(upgrade_id)])

    def test_an_empty_history_is_done_too(self):
        self.add([])
        self.assertEqual((1, 0), (self.run_batch().done, self.left()))

    def test_a_time_with_another_offset_is_the_same_moment(self):
        upgrade_id = self.add([entry(started_at='2026-11-21T03:02:03.456789+02:00')])
        self.run_batch()
        self.assertEqual([BEGAN], [row.started_at for row in self.copies(upgrade_id)])

    def test_a_step_that_only_another_release_knows_and_keys_that_nobody_knows_do_no_harm(self):
        upgrade_id = self.add([entry(step='novelty', key=1)])
        self.run_batch()
        self.assertEqual(['novelty'], [row.step for row in self.copies(upgrade_id)])

    def damage(self, upgrade_ids):
        with self.db.database.write() as connection:
            connection.execute(
                sa.text("UPDATE instance_upgrades SET steps = '{', steps_at = NULL WHERE id = :id"),
                [{'id': upgrade_id} for upgrade_id in upgrade_ids],
            )

    def test_damaged_rows_are_named_wherever_in_the_table_they_are(self):
        ids = sorted(self.add([entry()]) for _ in range(12))
        self.run_batch()
        for bad in (ids[:2], ids[5:7], ids[10:]):
            self.damage(bad)
            for limit in (1, 3, 100):
                error = self.assertRaises(errors.DataMigrationBadRow, self.run_batch, '', limit)
                self.assertIn(f'{bad[0]} (', error.message)
                self.assertIn(f'{bad[1]} (', error.message)
            with self.db.database.write() as connection:
                connection.execute(sa.text("UPDATE instance_upgrades SET steps = '[]'"))
            self.run_batch()

    def test_a_damaged_row_is_no_error_while_a_good_one_waits_before_or_behind_it(self):
        ids = sorted(self.add([entry()]) for _ in range(3))
        self.damage(ids[1:2])
        self.assertEqual((1, 0), (self.run_batch(ids[0], 1).found, len(self.copies(ids[1]))))
        self.run_batch(ids[1])
        self.assertEqual((1, 0), (self.run_batch(ids[0], 1).found, len(self.copies(ids[0]))))
        self.run_batch()
        self.assertRaises(errors.DataMigrationBadRow, self.run_batch, ids[0], 1)

    def test_damaged_rows_keep_no_other_from_being_copied_and_are_named_in_the_end(self):
        damage = [
            '',
            '{',
            '{}',
            '[1]',
            json.dumps([entry(started_at='yesterday')]),
            json.dumps([entry(started_at=BEGAN.isoformat()[:-6])]),
            json.dumps([entry(step='x' * 17)]),
            json.dumps([entry(runs='two')]),
            json.dumps([entry(attempt=2**31)]),
            json.dumps([entry(message=1)]),
        ]
        bad = sorted(self.add(text) for text in damage)
        good = [self.add([entry()]) for _ in range(5)]
        cursor = ''
        with contextlib.suppress(
            errors.DataMigrationBadRow
        ):  # at once where the last ones are damaged
            while (batch := self.run_batch(cursor, 4)).found or batch.cursor != cursor:
                cursor = batch.cursor
        self.assertEqual([1] * 5, [len(self.copies(upgrade_id)) for upgrade_id in good])
        for limit in (3, 100):
            error = self.assertRaises(errors.DataMigrationBadRow, self.run_batch, '', limit)
            self.assertIn(bad[0], error.message)
            self.assertIn('and 5 more', error.message)
        self.assertEqual(len(bad), self.left())

    def test_a_damaged_row_that_was_repaired_is_copied(self):
        upgrade_id = self.add('{')
        self.assertRaises(errors.DataMigrationBadRow, self.run_batch)
        with self.db.database.write() as connection:
            connection.execute(sa.text("UPDATE instance_upgrades SET steps = '[]'"))
        self.assertEqual((1, [], 0), (self.run_batch().done, self.copies(upgrade_id), self.left()))
