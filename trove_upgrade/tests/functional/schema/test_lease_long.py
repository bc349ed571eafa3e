# SPDX-License-Identifier: Apache-2.0
"""Who changes the schema where many want to, and what a table that is held does to it: real
servers, killed and stopped processes.
"""

import collections
import concurrent.futures
import os
import signal
import subprocess
import sys
import threading
import time

import sqlalchemy as sa

from trove_upgrade.db import engine, errors
from trove_upgrade.db.migrations import lease, lock_waits
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases
from trove_upgrade.waiting import wait_until

_DEADLINE_SECONDS = 60

#: A run in a process of its own: takes the lease, says so, waits for a line, and says what a check
#: finds.
_RUN = """
import sys
from trove_upgrade.db import engine, errors
from trove_upgrade.db.migrations import lease
with lease.Lease(engine.Database.from_url(sys.argv[1]).engine, sys.argv[2], \
seconds=float(sys.argv[3])).held() as held:
    print('held', flush=True)
    sys.stdin.readline()
    try:
        held.check()
    except errors.MigrationLeaseLost as error:
        print(error.code, flush=True)
    else:
        print('ours', flush=True)
"""


class Run:
    """That process."""

    def __init__(self, test, url, holder, seconds):
        self.process = subprocess.Popen(
            [sys.executable, '-W', 'ignore', '-c', _RUN, url, holder, str(seconds)],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        test.addCleanup(self.process.communicate)
        test.addCleanup(self.process.kill)
        test.assertEqual('held', self.line())

    def line(self):
        return self.process.stdout.readline().strip()

    def finding(self):
        self.process.stdin.write('\n')
        self.process.stdin.flush()
        return self.line()

    def send(self, number):
        self.process.send_signal(number)
        if number == signal.SIGSTOP:
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)


class OnARealServer(databases.OneServer):
    """The cases that a driver decides, too."""

    def setUp(self):
        super().setUp()
        self.url = self.server.create()
        self.engine = self.connect()

    def connect(self):
        """As a process of its own does."""
        database = engine.Database.from_url(self.url)
        self.addCleanup(database.dispose)
        return database.engine

    def lease(self, holder='host/1', **options):
        return lease.Lease(self.engine, holder, **options)

    def row(self):
        with self.engine.connect() as connection:
            return lease.read(connection)

    def wait_until(self, condition):
        self.assertTrue(wait_until(condition, _DEADLINE_SECONDS))

    def together(self, count, call):
        """`call(lease)` in that many threads with an engine each; the results, errors of ours among
        them.
        """
        barrier = threading.Barrier(count)
        leases = [lease.Lease(self.connect(), f'host/{number}') for number in range(count)]

        def one(mine):
            mine._engine.connect().close()  # the server's part of connecting is done
            barrier.wait(_DEADLINE_SECONDS)
            try:
                return call(mine)
            except errors.LeaseHeld as error:
                return error

        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, leases))

    def test_of_16_on_a_fresh_database_one_has_it_and_15_are_told_who(self):
        for _ in range(2):  # the race for the table is lost in several ways
            self.url = self.server.create()
            self.engine = self.connect()
            refused = threading.Semaphore(0)

            def run(mine, refused=refused):
                try:
                    with mine.held() as held:
                        for _ in range(15):
                            self.assertTrue(refused.acquire(timeout=_DEADLINE_SECONDS))
                        held.check()
                        return held
                except errors.LeaseHeld:
                    refused.release()
                    raise

            results = self.together(16, run)
            self.assertEqual(
                {'Held': 1, 'LeaseHeld': 15},
                collections.Counter(type(result).__name__ for result in results),
            )
            winner = next(result for result in results if isinstance(result, lease.Held))
            self.assertEqual(
                {winner.holder},
                {result.facts['holder'] for result in results if result is not winner},
            )
            self.assertTrue(self.row().is_free)

    def test_a_connection_that_is_cut_is_made_anew(self):
        with self.lease(seconds=3).held() as held:
            until = self.row().lease_until
            self.engine.dispose()
            self.cut_all()
            held.check()
            self.wait_until(lambda: self.row().lease_until > until)
            held.check()
        self.assertTrue(self.row().is_free)

    def cut_all(self):
        """Every session of the database, at the server."""
        admin = sa.create_engine(self.server.admin_url, isolation_level='AUTOCOMMIT')
        self.addCleanup(admin.dispose)
        name = sa.make_url(self.url).database
        with admin.connect() as connection:
            for number in (
                connection.execute(sa.text(self.sessions), {'name': name}).scalars().all()
            ):
                connection.exec_driver_sql(self.cut.format(number))

    def test_ddl_behind_an_open_transaction_gives_up_and_the_service_goes_on(self):
        self.make_table()
        with self.engine.connect() as reader, self.engine.connect() as connection:
            before = lock_waits._read(connection)
            reader.exec_driver_sql('SELECT * FROM t')  # and stays open
            with lock_waits.short_lock_waits(connection, 1):
                for _ in range(2):  # the limit outlives a rollback
                    began_at = time.monotonic()
                    error = self.assertRaises(
                        lease.DATABASE_ERRORS,
                        connection.exec_driver_sql,
                        'ALTER TABLE t ADD COLUMN j INTEGER',
                    )
                    connection.rollback()
                    self.assertTrue(lock_waits.is_lock_timeout(error), error)
                    self.assertLess(time.monotonic() - began_at, 10)
                with self.engine.connect() as another:
                    self.assertEqual([], another.exec_driver_sql('SELECT i FROM t').all())
            self.assertEqual(before, lock_waits._read(connection))

    def test_ddl_is_tried_again_until_the_transaction_has_ended(self):
        self.make_table()
        said = []
        with self.engine.connect() as reader, self.engine.connect() as connection:
            reader.exec_driver_sql('SELECT * FROM t')

            def report(line):
                said.append(line)
                if len(said) == 2:
                    reader.rollback()

            def alter():
                connection.exec_driver_sql('ALTER TABLE t ADD COLUMN j INTEGER')
                connection.commit()

            with lock_waits.short_lock_waits(connection, 1):
                lock_waits.Retry(lock_waits.Backoff(first_seconds=0.1)).run(
                    'Revision x', alter, rollback=connection.rollback, report=report
                )
        self.assertEqual(2, len(said))
        self.assertEqual(
            ['i', 'j'], [column['name'] for column in sa.inspect(self.engine).get_columns('t')]
        )

    def test_the_victim_of_a_deadlock_is_known(self):
        self.make_table()
        with self.engine.begin() as connection:
            connection.exec_driver_sql('INSERT INTO t VALUES (1), (2)')
        barrier = threading.Barrier(2)

        def cross(first, second):
            with self.engine.connect() as connection:
                try:
                    connection.exec_driver_sql(f'UPDATE t SET i = i WHERE i = {first}')
                    barrier.wait(_DEADLINE_SECONDS)
                    connection.exec_driver_sql(f'UPDATE t SET i = i WHERE i = {second}')
                except lease.DATABASE_ERRORS as error:
                    return lock_waits.is_lock_timeout(error)

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(cross, (1, 2), (2, 1)))
        self.assertEqual(1, results.count(True), results)

    def make_table(self):
        with self.engine.begin() as connection:
            connection.exec_driver_sql('CREATE TABLE t (i INTEGER PRIMARY KEY)')


class OnEachServer(OnARealServer):
    """The cases that the server decides."""

    def test_16_that_wait_have_it_one_after_the_other(self):
        inside, most = [], []

        def run(mine):
            with mine.held(wait_seconds=_DEADLINE_SECONDS) as held:
                inside.append(held.holder)
                held.check()
                most.append(len(inside))
                inside.remove(held.holder)
                return held.generation

        self.assertEqual(list(range(1, 17)), sorted(self.together(16, run)))
        self.assertEqual([1] * 16, most)

    def test_a_killed_runs_lease_is_taken_over_once_it_has_run_out(self):
        Run(self, self.url, 'killed/1', 1).send(signal.SIGKILL)
        self.assertRaises(errors.LeaseHeld, self.lease('next/2').held().__enter__)
        seen = []
        with self.lease('next/2').held(
            wait_seconds=_DEADLINE_SECONDS, waiting=lambda holder, _left: seen.append(holder)
        ) as held:
            held.check()
            self.assertEqual(('next/2', 2), (self.row().holder, held.generation))
        self.assertEqual({'killed/1'}, set(seen))

    def test_a_run_that_was_stopped_and_overtaken_is_told_and_gives_nothing_back_that_is_anothers(
        self,
    ):
        stopped = Run(self, self.url, 'stopped/1', 1)
        stopped.send(signal.SIGSTOP)
        with self.lease('next/2').held(wait_seconds=_DEADLINE_SECONDS) as held:
            stopped.send(signal.SIGCONT)
            self.assertEqual('SCHEMA_LEASE_LOST', stopped.finding())
            self.assertEqual(0, stopped.process.wait(_DEADLINE_SECONDS))
            held.check()
            self.assertEqual('next/2', self.row().holder)

    def test_a_run_that_was_stopped_and_not_overtaken_goes_on(self):
        stopped = Run(self, self.url, 'stopped/1', 1)
        stopped.send(signal.SIGSTOP)
        self.wait_until(lambda: self.row().is_free)
        stopped.send(signal.SIGCONT)
        self.assertEqual('ours', stopped.finding())

    def test_it_is_kept_beyond_its_length(self):
        with self.lease('first/1', seconds=1).held() as held:
            self.assertRaises(
                errors.LeaseHeld, self.lease('second/2').held(wait_seconds=3).__enter__
            )
            held.check()


class TestMariaDB(OnEachServer, base.TestCase):
    server_class = databases.MariaDB
    sessions = 'SELECT id FROM information_schema.processlist WHERE db = :name'
    cut = 'KILL {}'


class OnPostgreSQL:
    server_class = databases.PostgreSQL
    sessions = 'SELECT pid FROM pg_stat_activity WHERE datname = :name'
    cut = 'SELECT pg_terminate_backend({})'


class TestPostgreSQL(OnPostgreSQL, OnEachServer, base.TestCase):
    def connect(self):
        self.assertIn('+psycopg2:', self.url)
        return super().connect()


class TestPostgreSQLWithPsycopg3(OnPostgreSQL, OnARealServer, base.TestCase):
    def connect(self):
        self.url = self.url.replace('+psycopg2:', '+psycopg:')
        return super().connect()
