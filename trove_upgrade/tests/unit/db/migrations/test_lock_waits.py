# SPDX-License-Identifier: Apache-2.0
import pathlib
import sqlite3

import fixtures
import psycopg2.errors
import pymysql
import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import engine, errors
from trove_upgrade.db.migrations import lock_waits
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.db.migrations.waiting import WaitingClock, middle


class SqlStateError(Exception):
    """As psycopg's own errors carry it."""

    def __init__(self, sqlstate):
        super().__init__('said')
        self.sqlstate = sqlstate


def wrapped(driver_error, kind=sa.exc.OperationalError):
    """As SQLAlchemy raises it."""
    return kind('ALTER TABLE t', {}, driver_error)


class TestIsLockTimeout(base.TestCase):
    def test_what_pymysql_says_of_a_wait_and_of_a_deadlock_is_one(self):
        for code in (1205, 1213):
            self.assertTrue(
                lock_waits.is_lock_timeout(wrapped(pymysql.err.OperationalError(code, 'said')))
            )

    def test_what_postgresql_says_is_one_with_both_drivers(self):
        for state in ('55P03', '40P01'):
            self.assertTrue(lock_waits.is_lock_timeout(wrapped(SqlStateError(state))))
        waited = psycopg2.errors.LockNotAvailable()
        waited.__setstate__({'pgcode': '55P03'})
        self.assertTrue(lock_waits.is_lock_timeout(wrapped(waited)))

    def test_what_oslo_db_and_our_own_errors_wrap_is_found(self):
        inner = wrapped(pymysql.err.OperationalError(1205, 'said'))
        self.assertTrue(lock_waits.is_lock_timeout(db_exc.DBDeadlock(inner)))
        ours = errors.SchemaError(what='upgraded', found='locks', advice='Wait.')
        ours.__cause__ = db_exc.DBDeadlock(inner)
        self.assertTrue(lock_waits.is_lock_timeout(ours))

    def test_other_errors_are_none(self):
        for error in (
            wrapped(pymysql.err.OperationalError(1064, 'syntax')),
            wrapped(SqlStateError('42P07')),
            KeyError(1205),
            wrapped(sqlite3.OperationalError('no such table')),
            db_exc.DBError(),
            ValueError('55P03'),
        ):
            self.assertFalse(lock_waits.is_lock_timeout(error), error)

    def test_an_error_that_is_its_own_cause_ends_the_search(self):
        error = ValueError()
        error.__cause__ = error
        self.assertFalse(lock_waits.is_lock_timeout(error))


class TestShortLockWaits(base.TestCase):
    def setUp(self):
        super().setUp()
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.url = f'sqlite:///{folder}/db.sqlite'
        database = engine.Database.from_url(self.url)
        self.addCleanup(database.dispose)
        self.engine = database.engine
        with self.engine.begin() as connection:
            connection.exec_driver_sql('CREATE TABLE t (i INTEGER)')

    def busy_timeout(self, connection):
        found = connection.exec_driver_sql('PRAGMA busy_timeout').scalar_one()
        connection.rollback()
        return found

    def test_a_locked_sqlite_file_gives_up_in_time_and_is_known(self):
        with self.engine.connect() as holder, self.engine.connect() as connection:
            holder.exec_driver_sql('INSERT INTO t VALUES (1)')
            with lock_waits.short_lock_waits(connection, 0.1):
                self.assertEqual(100, self.busy_timeout(connection))
                error = self.assertRaises(
                    sa.exc.OperationalError,
                    connection.exec_driver_sql,
                    'ALTER TABLE t ADD COLUMN j INTEGER',
                )
        self.assertTrue(lock_waits.is_lock_timeout(error), error)

    def test_the_session_is_as_before_after_the_block_however_it_ends(self):
        def fail(connection):
            with lock_waits.short_lock_waits(connection, 0.1):
                connection.exec_driver_sql('INSERT INTO t VALUES (1)')
                raise KeyError

        with self.engine.connect() as connection:
            before = self.busy_timeout(connection)
            with lock_waits.short_lock_waits(connection, 0.1):
                self.assertFalse(connection.in_transaction())
            self.assertEqual(before, self.busy_timeout(connection))
            self.assertRaises(KeyError, fail, connection)
            self.assertEqual(before, self.busy_timeout(connection))
            self.assertEqual(
                0, connection.exec_driver_sql('SELECT count(*) FROM t').scalar_one()
            )  # what was left open is undone

    def test_an_open_transaction_is_refused(self):
        with self.engine.begin() as connection:
            self.assertRaises(ValueError, lock_waits.short_lock_waits(connection, 1).__enter__)


class TestRetry(base.TestCase):
    def setUp(self):
        super().setUp()
        self.clock = WaitingClock()
        self.said = []
        self.done = []

    def run_retry(self, *outcomes, **backoff):
        """Each try meets the next of `outcomes`: an error is raised; the last one is met for
        ever.
        """
        left = list(outcomes)

        def attempt():
            self.done.append('try')
            outcome = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        retry = lock_waits.Retry(lock_waits.Backoff(**backoff), clock=self.clock, uniform=middle)
        return retry.run(
            'Revision x',
            attempt,
            rollback=lambda: self.done.append('rollback'),
            report=self.said.append,
        )

    def test_what_works_is_run_once_and_says_nothing(self):
        self.assertEqual('done', self.run_retry('done'))
        self.assertEqual((['try'], [], []), (self.done, self.said, self.clock.slept))

    def test_after_each_time_out_all_is_rolled_back_and_tried_again_after_a_longer_pause(self):
        locked = wrapped(pymysql.err.OperationalError(1205, 'said'))
        self.assertEqual(
            'done',
            self.run_retry(locked, locked, locked, 'done', first_seconds=1, longest_seconds=2),
        )
        self.assertEqual(
            ['try', 'rollback', 'try', 'rollback', 'try', 'rollback', 'try'], self.done
        )
        self.assertEqual([0.75, 1.5, 1.5], self.clock.slept)
        self.assertEqual(
            'Revision x did not get its locks in try 1: again in 0.8 s, for 600 s at most.',
            self.said[0],
        )
        self.assertEqual(3, len(self.said))

    def test_another_error_is_raised_as_it_is_and_at_once(self):
        error = wrapped(pymysql.err.OperationalError(1064, 'syntax'))
        self.assertIs(error, self.assertRaises(sa.exc.OperationalError, self.run_retry, error))
        self.assertEqual(['try'], self.done)

    def test_the_budget_bounds_it_and_the_error_says_what_to_look_for(self):
        locked = wrapped(SqlStateError('55P03'))
        error = self.assertRaises(
            errors.SchemaLocked, self.run_retry, locked, budget_seconds=100, longest_seconds=30
        )
        self.assertEqual(100, sum(self.clock.slept))
        self.assertIs(locked, error.__cause__)
        for word in ('Revision x', '100 s', 'pg_stat_activity', 'INNODB_TRX'):
            self.assertIn(word, error.message)
        self.assertEqual('rollback', self.done[-1])
