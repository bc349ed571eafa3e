# SPDX-License-Identifier: Apache-2.0
"""Faults of real drivers, as errors with a code and a remedy."""

import contextlib
import logging
import socket
import struct
import threading

import fixtures
import psycopg
import pymysql
import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import exception as db_exc

from trove_upgrade.db import engine, errors, faults, installation
from trove_upgrade.tests.unit import base

#: By a driver, SQLAlchemy or oslo.db; or by us, for a URL.
_RAISED = (sa.exc.SQLAlchemyError, db_exc.DBError, errors.DatabaseRefused)


def mysql_error(number):
    """As the server's first packet."""
    said = b'\xff' + struct.pack('<H', number) + b'text'
    return struct.pack('<I', len(said))[:3] + b'\0' + said


def postgresql_error(state, text):
    """As the answer to the start of a session."""
    said = f'SFATAL\0VFATAL\0C{state}\0M{text}\0\0'.encode()
    return b'E' + struct.pack('>I', len(said) + 4) + said


class Refusing(fixtures.Fixture):
    """A server that gives every connection what `answer` makes of it, and ends it."""

    def __init__(self, answer):
        super().__init__()
        self._answer = answer

    def _setUp(self):
        self._listening = socket.create_server(('127.0.0.1', 0))
        self.port = self._listening.getsockname()[1]
        serving = threading.Thread(target=self._serve, daemon=True)
        serving.start()
        self.addCleanup(serving.join)
        self.addCleanup(self._listening.close)
        self.addCleanup(self._listening.shutdown, socket.SHUT_RDWR)

    def _serve(self):
        with contextlib.suppress(OSError):  # the end
            while True:
                found, _ = self._listening.accept()
                with found, contextlib.suppress(ConnectionError):
                    found.sendall(self._answer(found))


class TestFaults(base.TestCase):
    def explained(self, url, statement='SELECT 1'):
        database = engine.Database.from_url(url, max_retries=0)
        self.addCleanup(database.dispose)
        error = self.assertRaises(_RAISED, self.run_in, database, statement)
        return faults.explain(error, url)

    def run_in(self, database, statement):
        with database.read() as connection:
            connection.exec_driver_sql(statement)

    def test_a_table_of_ours_that_is_missing_is_not_logged_by_oslo_db_and_one_of_others_is(self):
        faults.log_once()
        faults.log_once()
        log = self.useFixture(fixtures.FakeLogger(name='oslo_db', level=logging.WARNING))
        for table in ('upgrade_services', 'of_others'):
            error = pymysql.err.ProgrammingError(1146, f"Table 'trove.{table}' doesn't exist")
            logging.getLogger('oslo_db.sqlalchemy.exc_filters').warning(
                'DBAPIError exception wrapped.', exc_info=error
            )
        self.assertNotIn('upgrade_services', log.output)
        self.assertIn('of_others', log.output)

    def test_a_table_of_ours_wants_db_sync_and_one_of_troves_wants_trove(self):
        for table, advice in (
            ('upgrade_services', errors.MAKE_TABLES),
            ('instances', errors.FIND_TROVES_TABLES),
            ('strange', errors.MAKE_TABLES),
        ):
            found = self.explained('sqlite://', f'SELECT * FROM {table}')
            self.assertIsInstance(found, errors.SchemaMissing)
            self.assertIn(table, found.message)
            self.assertIn(advice, found.message)

    def test_a_column_that_is_not_there_wants_the_expand(self):
        found = self.explained('sqlite://', 'SELECT none FROM sqlite_master')
        self.assertIsInstance(found, errors.SchemaMissing)
        self.assertIn(errors.EXPAND_TABLES, found.message)

    def test_a_statement_that_is_refused(self):
        self.assertIsInstance(self.explained('sqlite://', 'SELECT FROM'), errors.StatementRefused)

    def test_a_server_that_is_away_is_an_outage_and_an_option_that_is_wrong_is_none(self):
        for url in (
            'mysql+pymysql://u:s3cret@127.0.0.1:1/d',
            'postgresql+psycopg2://u:s3cret@127.0.0.1:1/d',
        ):
            found = self.explained(url)
            self.assertIs(errors.DatabaseUnreachable, type(found))
            self.assertNotIn('s3cret', found.message)
        self.assertIsInstance(
            self.explained('postgresql+psycopg2://u:s3cret@127.0.0.1:1/d?none=s3cret'),
            errors.AccessRefused,
        )
        self.assertIsInstance(
            self.explained('mysql+pymysql://u:s3cret@127.0.0.1:1/d?ssl_ca=/does/not/exist'),
            errors.DatabaseRefused,
        )

    def asked_of(self, url):
        """How a statement and the look at the tables end."""
        database = engine.Database.from_url(url, max_retries=0)
        self.addCleanup(database.dispose)
        for ask in (
            lambda: self.run_in(database, 'SELECT 1'),
            lambda: installation.table_names(database),
        ):
            yield type(faults.explain(self.assertRaises(_RAISED, ask), url))

    def test_a_server_that_is_full_or_ends_is_an_outage_at_the_connect(self):
        for number in (1040, 1053, 1129, 1203, 1226):
            server = self.useFixture(Refusing(lambda _: mysql_error(number)))  # noqa: B023 - asked in this round alone
            self.assertEqual(
                [errors.DatabaseUnreachable] * 2,
                list(self.asked_of(f'mysql+pymysql://u:p@127.0.0.1:{server.port}/d')),
                number,
            )
        for state, text in (
            ('53300', 'sorry, too many clients already'),
            ('57P03', 'Das Datenbanksystem startet'),
        ):
            server = self.useFixture(
                Refusing(lambda found: found.recv(4096) and postgresql_error(state, text))  # noqa: B023
            )
            for driver in ('psycopg2', 'psycopg'):
                url = f'postgresql+{driver}://u:p@127.0.0.1:{server.port}/d?sslmode=disable&gssencmode=disable'
                self.assertEqual([errors.DatabaseUnreachable] * 2, list(self.asked_of(url)), state)

    def test_a_server_that_refuses_the_user_is_none(self):
        server = self.useFixture(Refusing(lambda _: mysql_error(1130)))
        self.assertEqual(
            [errors.AccessRefused] * 2,
            list(self.asked_of(f'mysql+pymysql://u:p@127.0.0.1:{server.port}/d')),
        )

    def test_so_is_one_that_ends_amid_a_statement(self):
        drivers = [pymysql.err.OperationalError(number, 'text') for number in (1053, 1203, 1927)]
        drivers += [
            psycopg.errors.lookup(state)('text')
            for state in ('53300', '57P01', '57P02', '57P03', '08006')
        ]
        for driver in drivers:
            found = faults.explain(sa.exc.OperationalError('SELECT 1', {}, driver))
            self.assertIs(errors.DatabaseUnreachable, type(found), driver)
        full = sa.exc.TimeoutError('QueuePool limit of size 5 overflow 50 reached')
        self.assertIsInstance(faults.explain(full), errors.DatabaseUnreachable)

    def test_a_full_disk_and_a_lock_are_none(self):
        for driver in (
            pymysql.err.OperationalError(1021, 'Disk full'),
            psycopg.errors.lookup('53100')('full'),
            psycopg.errors.lookup('55P03')('held'),
        ):
            for statement in ('SELECT 1', None):
                self.assertIs(
                    errors.StatementRefused,
                    type(faults.explain(sa.exc.OperationalError(statement, {}, driver))),
                    driver,
                )

    def test_what_is_neither_the_databases_nor_the_configurations_has_no_code(self):
        self.assertIsNone(faults.explain(ZeroDivisionError()))
        self.assertEqual('CONFIGURATION_INVALID', faults.explain(cfg.NoSuchOptError('secret')).code)
        self.assertNotIn('secret', faults.explain(cfg.NoSuchOptError('secret')).message)
        self.assertIn('ZeroDivisionError', faults.line(ZeroDivisionError('x')))


class TestInstallation(base.TestCase):
    def test_the_api_alone_refuses_a_real_troves_database_and_no_other(self):
        for tables in ({'instances', 'alembic_version'}, {'instances', 'migrate_version'}):
            error = self.assertRaises(
                errors.TrovesDatabase,
                installation.refuse_troves,
                tables,
                'The API',
                installation.USE_FILTER,
            )
            self.assertIn('Put the filter into the pipeline', error.message)
        for tables in (set(), {'instances'}, {'alembic_version'}):
            installation.refuse_troves(tables, 'The API', installation.USE_FILTER)
