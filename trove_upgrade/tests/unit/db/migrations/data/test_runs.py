# SPDX-License-Identifier: Apache-2.0
import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import engine, errors, models
from trove_upgrade.db.migrations.data import states
from trove_upgrade.db.migrations.data.migration import Batch
from trove_upgrade.db.migrations.data.runs import DataRuns
from trove_upgrade.db.migrations.data.states import Standing
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.db.migrations import waiting
from trove_upgrade.tests.unit.db.migrations.data import numbers
from trove_upgrade.tests.unit.db.migrations.data.numbers import AFTER, BEFORE, Numbers


class Interrupted(Exception):
    """The process was ended."""


class RunsTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        database = engine.Database.from_url('sqlite://')
        self.addCleanup(database.dispose)
        self.engine = database.engine
        numbers.create(self.engine)
        self.clock = waiting.WaitingClock()
        self.runs = DataRuns(self.engine, self.clock)
        self.seen = []

    def run_it(self, migration=None, **options):
        return self.runs.run(
            migration or Numbers(), **{'batch_size': 10, 'progress': self.seen.append} | options
        )

    def write(self, statement):
        with self.engine.begin() as connection:
            connection.execute(statement)

    def reset(self, *wanted):
        """A service of the release before writes them."""
        ids = [row['id'] for row in numbers.rows(wanted)]
        self.write(sa.update(numbers.TABLE).where(numbers.TABLE.c.id.in_(ids)).values(copied=None))

    def standing(self, done=(AFTER,)):
        [state] = self.runs.states([Numbers()], done)
        return state.standing, state.rows_left


class TestRun(RunsTestCase):
    def test_every_row_is_changed_once_in_batches(self):
        numbers.fill(self.engine, 25)
        migration = Numbers()
        ended = self.run_it(migration)
        self.assertEqual({1: 25}, numbers.changes(self.engine))
        self.assertEqual(
            ['', 'n0000009', 'n0000019', 'n0000024'],
            [cursor for cursor, _limit in migration.batches],
        )
        self.assertEqual(
            (25, 25, 0, True), (ended.found, ended.done, ended.rows_left, ended.finished)
        )
        self.assertEqual(
            [(10, 15), (20, 5), (25, 0), (25, 0)], [(one.done, one.rows_left) for one in self.seen]
        )
        self.assertEqual([False, False, False, True], [one.finished for one in self.seen])

    def test_an_empty_table_is_finished_at_once(self):
        self.assertTrue(self.run_it().finished)
        self.assertIsNotNone(numbers.state(self.engine).completed_at)

    def test_a_finished_one_is_not_begun_again(self):
        numbers.fill(self.engine, 5)
        self.run_it()
        former = numbers.state(self.engine)
        again = Numbers()
        self.assertTrue(self.run_it(again).finished)
        self.assertEqual([], again.batches)
        self.assertEqual(former, numbers.state(self.engine))

    def test_a_run_that_died_is_carried_on_behind_its_last_whole_batch(self):
        numbers.fill(self.engine, 25)
        self.assertRaises(Interrupted, self.run_it, before_batch=self.dies_before(4))
        self.assertEqual({0: 5, 1: 20}, numbers.changes(self.engine))
        migration = Numbers()
        ended = self.run_it(migration)
        self.assertEqual(('n0000019', 10), migration.batches[0])
        self.assertEqual((25, 5), (ended.done, ended.done_now))
        self.assertEqual({1: 25}, numbers.changes(self.engine))

    def dies_before(self, number):
        calls = []

        def before_batch():
            calls.append(1)
            if len(calls) == number:
                raise Interrupted

        return before_batch

    def test_a_batch_that_fails_leaves_neither_rows_nor_cursor(self):
        class Failing(Numbers):
            def run_batch(self, connection, cursor, limit):
                batch = super().run_batch(connection, cursor, limit)
                if cursor:
                    raise Interrupted
                return batch

        numbers.fill(self.engine, 25)
        self.assertRaises(Interrupted, self.run_it, Failing())
        self.assertEqual({0: 15, 1: 10}, numbers.changes(self.engine))
        self.assertEqual(('n0000009', 10, 10), numbers.state(self.engine)[1:4])

    def test_whoever_comes_second_for_a_batch_takes_the_next_one(self):
        numbers.fill(self.engine, 25)
        other = []

        def before(_connection, _cursor, statement, _parameters, _context, _many):
            if not other and statement.startswith(
                'UPDATE upgrade_data_migrations SET updated_at='
            ):  # our cursor has been read
                other.append(None)
                other.append(
                    DataRuns(self.engine, self.clock).run(Numbers(), batch_size=10, max_count=10)
                )

        sa.event.listen(self.engine, 'before_cursor_execute', before)
        migration = Numbers()
        ended = self.run_it(migration)
        self.assertEqual(10, other[1].done_now)
        self.assertEqual('n0000009', migration.batches[0][0])
        self.assertEqual((25, 15), (ended.done, ended.done_now))
        self.assertEqual({1: 25}, numbers.changes(self.engine))

    def test_a_batch_that_neither_changes_nor_moves_is_a_fault_that_is_named(self):
        class Stuck(Numbers):
            def run_batch(self, connection, cursor, limit):
                return Batch(3, 0, cursor)

        numbers.fill(self.engine, 3)
        error = self.assertRaises(errors.DataMigrationStuck, self.run_it, Stuck())
        self.assertIn('tango_numbers', error.message)

    def test_rests_between_batches_and_not_after_the_last(self):
        numbers.fill(self.engine, 25)
        self.run_it(sleep=2.5, max_count=25)
        self.assertEqual([2.5, 2.5], self.clock.slept)

    def test_a_bounded_run_looks_at_no_more_rows(self):
        numbers.fill(self.engine, 25)
        ended = self.run_it(max_count=14)
        self.assertEqual((14, 11, False), (ended.done, ended.rows_left, ended.finished))
        ended = self.run_it(max_count=11)
        self.assertEqual(
            (25, 11, 0, True), (ended.done, ended.found_now, ended.rows_left, ended.finished)
        )
        self.assertIsNotNone(numbers.state(self.engine).completed_at)

    def test_is_stopped_before_a_batch_by_whoever_must_agree_to_it(self):
        numbers.fill(self.engine, 5)
        self.assertRaises(Interrupted, self.run_it, before_batch=self.dies_before(2))
        self.assertEqual({0: 5}, numbers.changes(self.engine))


class TestRowsThatComeBack(RunsTestCase):
    def test_rows_behind_the_cursor_are_found_by_another_pass(self):
        numbers.fill(self.engine, 25)
        came_back = iter([(1, 2), (), (), ()])
        ended = self.run_it(
            progress=lambda one: self.reset(*next(came_back, ())) if one.done == 20 else None
        )
        self.assertEqual((27, 0, True), (ended.done, ended.rows_left, ended.finished))
        self.assertEqual({1: 23, 2: 2}, numbers.changes(self.engine))

    def test_where_they_come_back_all_the_while_a_run_ends_and_says_what_is_left(self):
        numbers.fill(self.engine, 25)
        migration = Numbers()
        ended = self.run_it(migration, before_batch=lambda: self.reset(3))
        self.assertEqual((1, False), (ended.rows_left, ended.finished))
        self.assertLess(len(migration.batches), 20)
        self.assertIsNone(numbers.state(self.engine).completed_at)
        self.assertEqual((Standing.RUNNING, 1), self.standing())

    def test_passes_that_find_fewer_and_fewer_end_for_now_too(self):
        numbers.fill(self.engine, 60)
        left = [40]

        def fewer():
            left[0] -= 1
            self.reset(*range(max(1, left[0])))

        migration = Numbers()
        self.assertFalse(self.run_it(migration, batch_size=100, before_batch=fewer).finished)
        self.assertLessEqual(sum(cursor == '' for cursor, _limit in migration.batches), 4)

    def test_a_row_that_cannot_be_changed_does_not_keep_the_others(self):
        class Picky(Numbers):
            def run_batch(self, connection, cursor, limit):
                batch = super().run_batch(connection, cursor, limit)
                undone = connection.execute(
                    sa.update(numbers.TABLE)
                    .where(numbers.TABLE.c.id == 'n0000003')
                    .values(copied=None)
                ).rowcount
                return Batch(batch.found, batch.done - undone if batch.found else 0, batch.cursor)

        numbers.fill(self.engine, 5)
        ended = self.run_it(Picky())
        self.assertEqual((1, False), (ended.rows_left, ended.finished))

    def test_a_finished_one_begins_again_at_the_start(self):
        numbers.fill(self.engine, 25)
        self.run_it()
        self.assertEqual((Standing.FINISHED, 0), self.standing())
        self.reset(7)
        self.assertEqual((Standing.PENDING_AGAIN, 1), self.standing())
        migration = Numbers()
        ended = self.run_it(migration)
        self.assertEqual('', migration.batches[0][0])
        self.assertEqual((26, 1, True), (ended.done, ended.done_now, ended.finished))


class TestRate(RunsTestCase):
    def run_slowly(self, seconds, **options):
        """Each batch takes so long."""
        return self.run_it(before_batch=lambda: self.clock.pass_time(seconds), **options)

    def test_says_how_fast_it_is_and_how_long_it_will_take(self):
        numbers.fill(self.engine, 40)
        self.run_slowly(2.0)
        self.assertEqual([5.0, 5.0, 5.0, 5.0, 5.0], [one.rate for one in self.seen])
        self.assertEqual([6.0, 4.0, 2.0, 0.0, 0.0], [one.eta_seconds for one in self.seen])

    def test_the_rest_between_batches_counts(self):
        numbers.fill(self.engine, 20)
        self.run_slowly(1.0, sleep=9.0)
        self.assertEqual([10.0, 20 / 11], [one.rate for one in self.seen[:2]])

    def test_what_former_runs_have_measured_is_not_forgotten(self):
        numbers.fill(self.engine, 40)
        self.run_slowly(2.0, max_count=20)
        self.run_slowly(4.0, max_count=10)
        self.assertAlmostEqual(30 / 8, numbers.state(self.engine).rate)

    def test_what_was_long_ago_fades(self):
        numbers.fill(self.engine, 400)
        self.run_slowly(100.0, max_count=200)
        self.run_slowly(0.5, max_count=190)
        self.assertGreater(numbers.state(self.engine).rate, 2.0)


class TestLocks(RunsTestCase):
    def test_a_batch_that_gave_way_is_done_again(self):
        class GivesWay(Numbers):
            times = 3

            def run_batch(self, connection, cursor, limit):
                batch = super().run_batch(connection, cursor, limit)
                if cursor and self.times:
                    self.times -= 1
                    raise sa.exc.OperationalError('UPDATE', {}, locked())
                return batch

        numbers.fill(self.engine, 25)
        lines = []
        ended = self.run_it(GivesWay(), waiting=lines.append)
        self.assertEqual((25, True), (ended.done, ended.finished))
        self.assertEqual({1: 25}, numbers.changes(self.engine))
        self.assertEqual(3, len(lines))
        self.assertIn('tango_numbers', lines[0])

    def test_what_is_locked_for_minutes_is_an_error_and_what_was_done_stays(self):
        class NeverGetsThem(Numbers):
            def run_batch(self, connection, cursor, limit):
                if cursor:
                    raise db_exc.DBDeadlock(sa.exc.OperationalError('UPDATE', {}, locked()))
                return super().run_batch(connection, cursor, limit)

        numbers.fill(self.engine, 25)
        error = self.assertRaises(errors.SchemaLocked, self.run_it, NeverGetsThem())
        self.assertIn('tango_numbers', error.message)
        self.assertEqual(10, numbers.state(self.engine).done)

    def test_other_errors_are_not_tried_again(self):
        class Broken(Numbers):
            def run_batch(self, connection, cursor, limit):
                self.batches.append(cursor)
                connection.exec_driver_sql('SELECT nothing FROM nowhere')

        migration = Broken()
        numbers.fill(self.engine, 1)
        self.assertRaises(Exception, self.run_it, migration)  # noqa: B017 - what the server said, as it is
        self.assertEqual([''], migration.batches)


def locked():
    """As PyMySQL says it."""
    import pymysql

    return pymysql.err.OperationalError(
        1205, 'Lock wait timeout exceeded; try restarting transaction'
    )


class TestStanding(RunsTestCase):
    def test_before_its_expand_it_is_refused_with_the_command_that_comes_first(self):
        error = self.assertRaises(errors.SchemaOutOfOrder, states.may_run, Numbers(), set())
        self.assertEqual(3, error.exit_code)
        self.assertIn(AFTER, error.message)
        self.assertIn('db expand', error.message)

    def test_after_its_contract_nothing_is_asked_any_more(self):
        numbers.METADATA.drop_all(self.engine)
        self.assertFalse(states.may_run(Numbers(), {AFTER, BEFORE}))
        self.assertEqual((Standing.NOT_NEEDED, 0), self.standing({AFTER, BEFORE}))

    def test_before_the_first_run_rows_are_counted_and_nothing_is_written(self):
        numbers.fill(self.engine, 3)
        self.assertEqual((Standing.NOT_STARTED, 3), self.standing())
        self.assertIsNone(numbers.state(self.engine))

    def test_before_the_expand_neither_table_is_asked_for(self):
        numbers.METADATA.drop_all(self.engine)
        models.upgrade_data_migrations.drop(self.engine)
        self.assertEqual((Standing.NOT_STARTED, None), self.standing(()))

    def test_in_between_it_is_running(self):
        numbers.fill(self.engine, 25)
        self.run_it(max_count=10)
        self.assertEqual((Standing.RUNNING, 15), self.standing())


class TestRunAll(RunsTestCase):
    def setUp(self):
        super().setUp()
        numbers.fill(self.engine, 12)
        self.write(sa.insert(numbers.TABLE).values(numbers.rows(range(8), 'm')))
        self.both = [Numbers('first', prefix='n'), Numbers('second', prefix='m')]

    def run_all(self, **options):
        return [
            (one.name, one.found_now, one.rows_left, one.finished)
            for one in self.runs.run_all(self.both, {AFTER}, batch_size=5, **options)
        ]

    def test_each_runs_to_its_end_in_order(self):
        self.assertEqual([('first', 12, 0, True), ('second', 8, 0, True)], self.run_all())

    def test_one_bound_holds_for_all_together(self):
        self.assertEqual(
            [('first', 10, 2, False), ('second', 0, 8, False)], self.run_all(max_count=10)
        )
        self.assertEqual(
            [('first', 2, 0, True), ('second', 8, 0, True)], self.run_all(max_count=10)
        )

    def test_a_bound_that_is_used_up_still_lets_an_empty_one_finish(self):
        self.write(sa.delete(numbers.TABLE).where(numbers.TABLE.c.id.startswith('m')))
        self.assertEqual(
            [('first', 12, 0, True), ('second', 0, 0, True)], self.run_all(max_count=12)
        )

    def test_nothing_is_begun_where_one_lacks_its_expand(self):
        self.both[1].after = 'uniform_expand01'
        self.assertRaises(errors.SchemaOutOfOrder, self.run_all)
        self.assertEqual({0: 20}, numbers.changes(self.engine))

    def test_one_that_is_not_needed_any_more_is_left_out(self):
        self.both[0].before = AFTER
        self.assertEqual([('second', 8, 0, True)], self.run_all())
