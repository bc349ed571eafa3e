# SPDX-License-Identifier: Apache-2.0
"""The schema on real servers: one that was led there in steps, killed on the way, or printed for an
administrator, is always the same.
"""

import os
import pathlib
import signal
import subprocess
import sys
import threading

import fixtures
import sqlalchemy as sa
from oslo_db.sqlalchemy import test_migrations

from trove_upgrade.clock import SystemClock
from trove_upgrade.db import engine, errors, models
from trove_upgrade.db.migrations import lease, offline, runner
from trove_upgrade.db.migrations.chain import MAIN, STANDALONE, release_of
from trove_upgrade.db.migrations.position import Phase
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases
from trove_upgrade.tests.functional.schema import revision_checks, schemas
from trove_upgrade.waiting import wait_until

TOOL = pathlib.Path(sys.executable).with_name('trove-upgrade-manage')
_WRITES = ('CREATE', 'ALTER', 'DROP', 'INSERT', 'UPDATE', 'DELETE')


class OnSqlite:
    """SQLite in a file."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self._count = 0

    def create(self):
        self._count += 1
        return f'sqlite:///{self.folder}/{self._count}.sqlite'


class OnAServer(databases.OneServer):
    """One server for the class, one database for each test."""

    def create(self):
        return self.server.create()


class OnMariaDB(OnAServer):
    server_class = databases.MariaDB


class OnPostgreSQL(OnAServer):
    server_class = databases.PostgreSQL


class SchemaTestCase(base.TestCase):
    def connect(self, url=None):
        database = engine.Database.from_url(url or self.create())
        self.addCleanup(database.dispose)
        return database

    def check(self, database, revision):
        with database.write() as connection:
            getattr(revision_checks, f'check_{revision}')(connection)


class EveryWay(test_migrations.ModelsMigrationsSync):
    """What holds on each engine."""

    # oslo.db's own case: what the models say and what the migrations make are the same
    def get_engine(self):
        self._models = getattr(self, '_models', None) or self.connect()
        return self._models.engine

    def get_metadata(self):
        return models.METADATA

    def db_sync(self, engine):
        runner.Runner(engine).sync()

    def include_object(self, thing, name, kind, _reflected, _compare_to):
        return not (
            kind == 'table' and name in {'alembic_version_trove_upgrade', 'upgrade_schema_lease'}
        )

    def test_a_walk_up_with_data_at_every_revision(self):
        database = self.connect()
        run = runner.Runner(database.engine)
        for one in MAIN.revisions('expand'):
            run.expand(one.revision)
            self.check(database, one.revision)
        self.assertIs(Phase.MIGRATE, run.position().next)
        self.assertIs(Phase.CONTRACT, run.migrate().next)
        for one in MAIN.revisions('contract'):
            run.contract(one.revision)
            self.check(database, one.revision)
        self.assertIsNone(run.position().next)
        self.assertEqual(schemas.NEWEST, run.version())

    def test_release_by_release_with_data_at_every_revision(self):
        database = self.connect()
        run = runner.Runner(database.engine)
        for release in MAIN.releases():
            run.expand(release)
            self.check_release(database, 'expand', release)
            run.sync(release)
            self.check_release(database, 'contract', release)
        self.assertEqual(schemas.NEWEST, run.version())

    def check_release(self, database, branch, release):
        for one in MAIN.revisions(branch):
            if release_of(one.revision) == release:
                self.check(database, one.revision)

    def test_what_is_printed_is_what_is_run(self):
        printed, online = self.connect(), self.connect()
        script = offline.sql(MAIN, MAIN.branches, None, online.engine.dialect.name)
        script += offline.sql(STANDALONE, STANDALONE.branches, None, online.engine.dialect.name)
        with printed.write() as connection:
            for statement in script.replace('--', '\n--').split(';\n'):
                if any(line and not line.startswith('--') for line in statement.splitlines()):
                    connection.exec_driver_sql(
                        statement.replace('%', '%%') if '%' in statement else statement
                    )
        runner.Runner(online.engine).sync(standalone=True)
        self.assertEqual(schemas.dump(online.engine), schemas.dump(printed.engine))
        self.assertEqual(
            runner.Runner(online.engine).position(), runner.Runner(printed.engine).position()
        )
        runner.Runner(printed.engine).sync(standalone=True)


class EveryServer:
    """What needs more than one connection."""

    def test_a_long_transaction_delays_the_revision_and_no_query_waits_behind_it(self):
        database = self.connect()
        run = runner.Runner(database.engine)
        run.sync('aurora')
        said = []
        with database.engine.connect() as reader, database.engine.connect() as query:
            reader.execute(
                sa.text('SELECT COUNT(*) FROM instance_upgrades')
            ).all()  # its transaction stays open
            patient = runner.Runner(
                database.engine, say=said.append, options=runner.Options(lock_seconds=1)
            )
            thread = threading.Thread(target=patient.expand)
            thread.start()
            slowest = 0.0
            clock = SystemClock()
            while not any('again in' in line for line in said):
                began = clock.monotonic()
                query.execute(sa.text('SELECT COUNT(*) FROM instance_upgrades')).all()
                query.rollback()
                slowest = max(slowest, clock.monotonic() - began)
                self.assertTrue(
                    thread.is_alive() or said, 'the revision did not wait for the reader'
                )
            reader.rollback()
            thread.join(60)
        self.assertFalse(thread.is_alive())
        self.assertLess(
            slowest, 10.0
        )  # a bound for being stuck; the time itself is measured in benchmarks/
        self.assertEqual(schemas.EXPANDED, run.version())

    def test_an_older_service_that_comes_while_the_contract_waits_for_a_lock_is_seen(self):
        database = self.connect()
        run = runner.Runner(database.engine)
        run.sync('aurora')
        with database.write() as connection:
            revision_checks.insert_as_aurora(connection, 'of-aurora')
        run.expand()
        run.migrate()
        said, refused = [], []
        patient = runner.Runner(
            database.engine, say=said.append, options=runner.Options(lock_seconds=1)
        )

        def contract():
            try:
                patient.contract()
            except errors.OlderServices as error:
                refused.append(error)

        with database.engine.connect() as reader:
            reader.execute(
                sa.text('SELECT COUNT(*) FROM instance_upgrades')
            ).all()  # its transaction stays open
            thread = threading.Thread(target=contract)
            thread.start()
            waits = wait_until(
                lambda: any('again in' in line for line in said), 60, interval_seconds=0.01
            )
            self.assertTrue(waits, 'the contract did not wait for the reader')
            with database.write() as connection:
                connection.execute(
                    sa.text(
                        "INSERT INTO upgrade_services VALUES ('ctl1', "
                        "'trove-upgrade-taskmanager', 'r', '1.0', '2026-01-01 00:00:00', "
                        "'2026-01-01 00:00:00')"
                    )
                )
                connection.execute(
                    sa.text(
                        "UPDATE instance_upgrades SET steps = '[]', updated_at = '2026-02-02 "
                        "00:00:00'"
                    )
                )
        thread.join(60)
        self.assertEqual(['ctl1'], [error.message.partition(' on ')[2][:4] for error in refused])
        with database.read() as connection:
            self.assertEqual(
                '[]',
                connection.execute(sa.text('SELECT steps FROM instance_upgrades')).scalar_one(),
            )


class AtOnce:
    """Many that begin at the same moment; they keep two cores busy for half a minute."""

    def test_of_16_that_sync_a_fresh_database_at_once_one_does_it_and_none_fails(self):
        url = self.create()
        configuration = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'c.conf')
        configuration.write_text(f'[database]\nconnection = {url}\n')
        started = [
            subprocess.Popen(
                [str(TOOL), '--config-file', str(configuration), 'db', 'sync', '--wait', '2'],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(16)
        ]
        ended = [(process.communicate(timeout=300), process.returncode) for process in started]
        codes = [code for _, code in ended]
        self.assertLessEqual(
            set(codes), {0, 7}, [text for text, code in ended if code not in {0, 7}]
        )
        did = [text for (text, _), _ in ended if 'borealis_expand01 has been run' in text]
        self.assertEqual(1, len(did), ended)
        self.assertIsNone(runner.Runner(self.connect(url).engine).position().next)


class Killed:
    """A run that is killed: on a server, whose client can die within a transaction."""

    def test_killed_at_every_statement_it_ends_at_the_same_schema(self):
        expected = self._finished(self.create())
        url, number = self.create(), 0
        while not self._dies_at(url, number):
            self._expire_lease(url)
            self.assertEqual(expected, self._finished(url), f'killed after statement {number}')
            url, number = self.create(), number + 1
        self.assertGreater(number, 30)

    def _finished(self, url):
        """Led to the end, with aurora's data on the way where the kill came before; what it looks
        like then.
        """
        database = self.connect(url)
        run = runner.Runner(database.engine)
        run.sync()
        dumped = schemas.dump(database.engine)
        database.dispose()
        return dumped, run.version()

    def _expire_lease(self, url):
        database = self.connect(url)
        with database.write() as connection:
            if sa.inspect(connection).has_table(lease.TABLE.name):
                connection.execute(sa.update(lease.TABLE).values(holder=None, lease_until=None))
        database.dispose()

    def _dies_at(self, url, number):
        """A run of ours in a child that is killed after that many writing statements; True if it
        came to its end first.
        """
        child = os.fork()
        if child == 0:
            try:
                self._sync_and_die(url, number)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        self.assertIn(
            status, {0, signal.SIGKILL}, f'the run of statement {number} failed by itself'
        )
        return status == 0

    @staticmethod
    def _sync_and_die(url, number):
        database = engine.Database.from_url(url)
        seen = 0

        def count(_connection, _cursor, statement, *_rest):
            nonlocal seen
            if statement.lstrip().upper().startswith(_WRITES):
                seen += 1
                if seen > number:
                    os.kill(os.getpid(), signal.SIGKILL)

        sa.event.listen(database.engine, 'after_cursor_execute', count)
        run = runner.Runner(database.engine)
        run.sync('aurora')
        with database.engine.begin() as connection:
            if not connection.execute(
                sa.text('SELECT COUNT(*) FROM instance_upgrades')
            ).scalar_one():
                revision_checks.insert_as_aurora(connection, 'of-aurora')
        run.sync()
        os._exit(0)


class TestSqlite(EveryWay, OnSqlite, SchemaTestCase):
    pass


class TestMariaDB(EveryWay, EveryServer, AtOnce, OnMariaDB, SchemaTestCase):
    pass


class TestPostgreSQL(EveryWay, EveryServer, OnPostgreSQL, SchemaTestCase):
    pass
