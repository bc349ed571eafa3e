# SPDX-License-Identifier: Apache-2.0
import datetime
import pathlib
import sqlite3
import threading

import fixtures
import pymysql
import sqlalchemy as sa

from trove_upgrade.db import columns, engine, errors
from trove_upgrade.db.migrations import lease
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.db.migrations.waiting import WaitingClock, middle
from trove_upgrade.waiting import wait_until


class LeaseTestCase(base.TestCase):
    """On a file: a database in memory has no other connection to share it with."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.clock = WaitingClock()
        self.engine = self.connect()

    def connect(self, url=None):
        database = engine.Database.from_url(url or f'sqlite:///{self.folder}/db.sqlite')
        self.addCleanup(database.dispose)
        return database.engine

    def lease(self, holder='host/1', clock=None, **options):
        return lease.Lease(
            self.engine, holder, clock=clock or self.clock, uniform=middle, **options
        )

    def row(self):
        with self.engine.connect() as connection:
            return lease.read(connection)

    def change(self, **values):
        with self.engine.begin() as connection:
            connection.execute(sa.update(lease.TABLE).values(**values))

    def expire(self):
        self.change(lease_until=columns.ahead(-1))

    def overtake(self):
        """As another run does, once the lease has run out."""
        self.change(
            holder='other/2', generation=lease.TABLE.c.generation + 1, lease_until=columns.ahead(30)
        )


class TestTaking(LeaseTestCase):
    def test_it_is_held_for_the_block_and_free_after_it(self):
        with self.lease().held() as held:
            row = self.row()
            self.assertEqual(('host/1', 1, False), (row.holder, row.generation, row.is_free))
            self.assertEqual(('host/1', 1), (held.holder, held.generation))
            left = (row.lease_until - datetime.datetime.now(datetime.UTC)).total_seconds()
            self.assertAlmostEqual(30, left, delta=5)
        self.assertEqual(
            (None, 1, True), (self.row().holder, self.row().generation, self.row().is_free)
        )

    def test_it_is_free_after_a_block_that_failed(self):
        def fail():
            with self.lease().held():
                raise KeyError

        self.assertRaises(KeyError, fail)
        self.assertTrue(self.row().is_free)

    def test_each_taking_raises_the_generation(self):
        for expected in (1, 2, 3):
            with self.lease().held() as held:
                self.assertEqual(expected, held.generation)

    def test_the_refusal_names_the_holder_and_until_when_and_ends_with_7(self):
        with self.lease('host-a/1234').held():
            until = self.row().lease_until
            error = self.assertRaises(errors.LeaseHeld, self.lease('host-b/1').held().__enter__)
        self.assertIn('host-a/1234', error.message)
        self.assertIn(until.isoformat(sep=' ', timespec='seconds'), error.message)
        self.assertEqual(('SCHEMA_LEASE_HELD', 7), (error.code, error.exit_code))
        self.assertEqual([], self.clock.slept)

    def test_a_dead_runs_lease_is_taken_once_it_has_run_out(self):
        with self.lease('dead/1').held():
            self.expire()
            with self.lease('alive/2').held() as held:
                self.assertEqual(2, held.generation)
                self.assertEqual('alive/2', self.row().holder)
            self.change(holder='third/3', generation=3, lease_until=columns.ahead(30))
        self.assertEqual(
            'third/3', self.row().holder
        )  # the first one's end gives back only what is its own

    def test_it_is_waited_for_and_who_holds_it_is_told_at_each_look(self):
        seen = []
        clock = WaitingClock(lambda: self.expire() if len(seen) == 3 else None)
        with (
            self.lease('first/1').held(),
            self.lease('second/2', clock).held(
                wait_seconds=60, waiting=lambda *said: seen.append(said)
            ),
        ):
            self.assertEqual('second/2', self.row().holder)
        self.assertEqual([('first/1', 60.0), ('first/1', 59.0), ('first/1', 58.0)], seen)

    def test_waiting_ends_with_the_refusal_and_not_later_than_asked(self):
        with self.lease('first/1').held():
            self.assertRaises(
                errors.LeaseHeld, self.lease('second/2').held(wait_seconds=3.5).__enter__
            )
        self.assertEqual([1, 1, 1, 0.5], self.clock.slept)

    def test_a_name_longer_than_its_column_is_cut(self):
        with self.lease('h' * 300).held():
            self.assertEqual('h' * 255, self.row().holder)

    def test_what_the_database_forbids_is_its_own_error_and_at_once(self):
        with self.lease().held():
            pass
        (self.folder / 'db.sqlite').chmod(0o400)
        read_only = self.connect(f'sqlite:///file:{self.folder}/db.sqlite?mode=ro&uri=true')
        self.assertRaises(
            sa.exc.OperationalError,
            lease.Lease(read_only, 'host/1', clock=self.clock).held().__enter__,
        )
        self.assertEqual([], self.clock.slept)

    def test_no_connection_stays_taken_and_none_keeps_its_short_waits(self):
        before = self.busy_timeout()
        with self.lease().held():
            pass
        self.assertEqual(before, self.busy_timeout())

    def busy_timeout(self):
        with self.engine.connect() as connection:
            return connection.exec_driver_sql('PRAGMA busy_timeout').scalar_one()

    def test_of_8_threads_on_a_fresh_file_one_at_a_time_holds_it(self):
        inside, most = [], []
        barrier = threading.Barrier(8)

        def run(number):
            barrier.wait(30)
            with lease.Lease(
                self.engine, f'host/{number}', uniform=lambda low, _high: low / 10
            ).held(wait_seconds=60):
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual([1] * 8, most)
        self.assertEqual(8, self.row().generation)


class TestSettling(LeaseTestCase):
    """`make`, which several runs do at the same time on a fresh database."""

    def setUp(self):
        super().setUp()
        self.locked = sa.exc.OperationalError('m', {}, pymysql.err.OperationalError(1205, 'locked'))
        self.other = sa.exc.OperationalError('m', {}, pymysql.err.OperationalError(1050, 'exists'))

    def settle(self, *outcomes, uniform=middle):
        """The number of tries: each meets the next outcome, None is none, the last one stays."""
        left, tries = list(outcomes), []

        def make():
            tries.append('try')
            self.assertLess(len(tries), 10, 'it never ends')
            outcome = left.pop(0) if len(left) > 1 else left[0]
            if outcome is not None:
                raise outcome

        taking = lease.Lease(self.engine, 'host/1', clock=self.clock, uniform=uniform)
        with self.engine.connect() as connection:
            self.raised = None
            try:
                taking._settled(connection, make)
            except sa.exc.OperationalError as error:
                self.raised = error
        return len(tries)

    def test_what_is_done_is_done_once(self):
        self.assertEqual((1, None, []), (self.settle(None), self.raised, self.clock.slept))

    def test_an_error_has_one_more_look_behind_it(self):
        self.assertEqual((2, None), (self.settle(self.other, None), self.raised))
        self.assertEqual([(0.01 + 0.1) / 2], self.clock.slept)
        self.assertEqual((2, self.other), (self.settle(self.other, self.other, None), self.raised))

    def test_a_time_out_of_a_lock_does_not_count_as_that_look_and_does_not_give_another(self):
        self.assertEqual(
            (4, None), (self.settle(self.locked, self.other, self.locked, None), self.raised)
        )
        self.assertEqual(
            (3, self.other), (self.settle(self.other, self.locked, self.other, None), self.raised)
        )

    def test_time_outs_of_locks_are_borne_for_so_many_seconds_and_not_longer(self):
        half = lease._SETTLE_SECONDS / 2
        self.assertEqual(
            (4, self.locked),
            (self.settle(self.locked, uniform=lambda _low, _high: half), self.raised),
            'what ends in that very instant is tried once more',
        )
        self.assertEqual([half] * 3, self.clock.slept)


class TestTakingUnderLocks(LeaseTestCase):
    """Another transaction holds the whole file, once the row is there."""

    def setUp(self):
        super().setUp()
        with self.lease().held():
            pass
        self.other = sqlite3.connect(self.folder / 'db.sqlite', isolation_level=None)
        self.addCleanup(self.other.close)
        self.other.execute('BEGIN EXCLUSIVE')

    def take(self, clock, wait_seconds=0, uniform=middle):
        taking = lease.Lease(self.engine, 'host/1', clock=clock, uniform=uniform)
        with self.engine.connect() as connection:
            connection.exec_driver_sql('PRAGMA busy_timeout = 0')
            connection.rollback()
            return taking._take(connection, wait_seconds, lambda _holder, _left: None).generation

    def test_it_is_tried_again_until_they_are_gone(self):
        clock = WaitingClock(self.other.rollback)
        self.assertEqual(2, self.take(clock))
        self.assertEqual([(0.01 + 0.1) / 2], clock.slept)

    def test_they_are_borne_as_long_as_the_lease_is_waited_for_and_no_less_than_so_many_seconds(
        self,
    ):
        half = lease._SETTLE_SECONDS / 2
        for wait_seconds, looks in ((0, 3), (4 * half, 5)):
            clock = WaitingClock()
            error = self.assertRaises(
                sa.exc.OperationalError, self.take, clock, wait_seconds, lambda _low, _high: half
            )
            self.assertIn('locked', str(error))
            self.assertEqual([half] * looks, clock.slept)


class TestHolding(LeaseTestCase):
    def test_ours_passes(self):
        with self.lease().held() as held:
            held.check()

    def test_an_overtaken_run_is_told_and_cannot_renew(self):
        with self.lease().held() as held:
            self.overtake()
            error = self.assertRaises(errors.MigrationLeaseLost, held.check)
            self.assertIn('another run', error.message)
            self.assertIn('host/1', error.message)
            self.assertFalse(held.renew())
            self.assertRaises(errors.MigrationLeaseLost, held.check)
        self.assertEqual(('other/2', 2), (self.row().holder, self.row().generation))

    def test_a_lease_whose_row_is_gone_is_lost(self):
        with self.lease().held() as held:
            with self.engine.begin() as connection:
                connection.execute(sa.delete(lease.TABLE))
            self.assertRaises(errors.MigrationLeaseLost, held.check)

    def test_a_run_that_slept_too_long_has_it_again_where_nobody_took_it(self):
        with self.lease().held() as held:
            self.expire()
            self.clock.pass_time(100)
            held.check()
            self.assertFalse(self.row().is_free)

    def test_a_run_that_slept_too_long_is_told_where_another_took_it(self):
        with self.lease().held() as held:
            self.overtake()
            self.clock.pass_time(100)
            self.assertRaises(errors.MigrationLeaseLost, held.check)

    def test_a_database_that_cannot_be_asked_is_believed_for_the_leases_length_and_no_longer(self):
        with self.lease().held() as held:
            with self.engine.begin() as connection:
                connection.exec_driver_sql('ALTER TABLE upgrade_schema_lease RENAME TO away')
            held.check()
            self.clock.pass_time(20)
            held.check()
            self.clock.pass_time(10)
            error = self.assertRaises(errors.MigrationLeaseLost, held.check)
            self.assertIn('could not be renewed for 30 s', error.message)

    def test_a_check_renews_it_after_a_third_of_its_length_and_not_before(self):
        with self.lease().held() as held:
            until = self.row().lease_until
            self.clock.pass_time(9.5)
            held.check()
            self.assertEqual(until, self.row().lease_until)
            self.change(lease_until=columns.ahead(0))
            self.clock.pass_time(0.5)
            held.check()
            self.assertGreater(self.row().lease_until, until - datetime.timedelta(seconds=1))

    def test_the_length_counts_from_the_last_renewal(self):
        with self.lease().held() as held:
            self.clock.pass_time(20)
            held.check()
            with self.engine.begin() as connection:
                connection.exec_driver_sql('ALTER TABLE upgrade_schema_lease RENAME TO away')
            self.clock.pass_time(20)
            held.check()
            self.clock.pass_time(10)
            self.assertRaises(errors.MigrationLeaseLost, held.check)

    def test_the_block_is_left_when_the_thread_has_ended(self):
        done, left = [], threading.Event()

        class Renewing(lease.Held):
            def _keep(self, ended):
                ended.wait(30)
                done.append(left.wait(0.2))

        with self.engine.connect() as connection:
            with Renewing(connection, 'host/1', 1, 30, self.clock).renewed():
                self.assertEqual([], done)
            left.set()
            self.assertEqual([False], done)

    def test_a_thread_renews_it_beyond_its_length(self):
        with lease.Lease(self.engine, 'host/1', seconds=0.3).held():
            wanted = self.row().lease_until + datetime.timedelta(seconds=0.6)
            wait_until(lambda: self.row().lease_until >= wanted, 20)
            self.assertGreaterEqual(self.row().lease_until, wanted)
        self.assertEqual(
            [], [thread for thread in threading.enumerate() if thread.name == 'schema-lease']
        )


class TestInMemory(LeaseTestCase):
    def test_oslo_dbs_single_connection_is_left_to_the_run(self):
        self.engine = self.connect('sqlite://')
        with self.lease().held() as held:
            with self.engine.begin() as connection:
                connection.exec_driver_sql('CREATE TABLE t (i INTEGER)')
                connection.exec_driver_sql('INSERT INTO t VALUES (1)')
                self.clock.pass_time(1000)
                held.check()
                self.assertEqual(
                    [],
                    [thread for thread in threading.enumerate() if thread.name == 'schema-lease'],
                )
            with self.engine.connect() as connection:
                self.assertEqual(
                    1, connection.exec_driver_sql('SELECT count(*) FROM t').scalar_one()
                )
        self.assertTrue(self.row().is_free)

    def test_sqlalchemys_own_pool_of_one_per_thread_works_too(self):
        self.engine = sa.create_engine('sqlite://')
        self.addCleanup(self.engine.dispose)
        with self.lease().held() as held:
            held.check()
        self.assertTrue(self.row().is_free)
