# SPDX-License-Identifier: Apache-2.0
"""Which errors a run waits for, and how they are told."""

import psycopg
import pymysql
import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.cmd.bridge.runners import is_outage
from trove_upgrade.db import faults
from trove_upgrade.db.engine import Database
from trove_upgrade.domain.database_service import DatabaseServiceUnavailable
from trove_upgrade.domain.exceptions import ComputeUnavailable
from trove_upgrade.domain.network import NetworkUnavailable
from trove_upgrade.tests.unit import base

_STATEMENT = 'UPDATE upgrade_bridge_members SET cause=%s'
_VALUE = 'words of a guest'


def of_mysql(number, text='text', kind=pymysql.err.OperationalError):
    wrapped = sa.exc.OperationalError(_STATEMENT, [_VALUE], kind(number, text))
    return db_exc.DBError(wrapped)


def of_postgresql(state):
    return sa.exc.DBAPIError(_STATEMENT, [_VALUE], psycopg.errors.lookup(state)('text'))


class TestOutages(base.TestCase):
    def test_a_service_that_gives_no_answer_is_one(self):
        for error in (
            NetworkUnavailable(what='ports', found='503'),
            ComputeUnavailable(what='servers', found='503'),
            DatabaseServiceUnavailable(what='instances', found='503'),
        ):
            self.assertTrue(is_outage(error), error)

    def test_so_is_a_database_that_is_away_full_busy_or_read_only(self):
        for error in (
            db_exc.DBConnectionError(),
            db_exc.DBDeadlock(),
            sa.exc.TimeoutError('QueuePool limit of size 5 overflow 50 reached'),
            of_mysql(1040, 'Too many connections'),
            of_mysql(1047, 'WSREP has not yet prepared node for application use'),
            of_mysql(1053, 'Server shutdown in progress'),
            of_mysql(1290, 'The MariaDB server is running with the --read-only option'),
            of_mysql(1836, 'Running in read-only mode'),
            sa.exc.DBAPIError(_STATEMENT, [], pymysql.err.InterfaceError(0, ''), False, True),
            *map(of_postgresql, ('08006', '25006', '40001', '53300', '57P01', '57P03')),
        ):
            self.assertTrue(is_outage(error), repr(error))

    def test_one_that_refuses_what_was_asked_is_none(self):
        for error in (
            db_exc.DBNonExistentTable('upgrade_bridge_members'),
            db_exc.DBDuplicateEntry(),
            db_exc.DBDataError(),
            db_exc.DBError(),
            sa.exc.InvalidRequestError('text'),
            of_mysql(1021, 'Disk full'),
            of_mysql(1045, 'Access denied'),
            of_mysql(1049, 'Unknown database'),
            of_mysql(1054, "Unknown column 'wave'"),
            of_mysql(1146, "Table 'trove.x' doesn't exist", pymysql.err.ProgrammingError),
            *map(of_postgresql, ('42P01', '42703', '23505', '22001', '53100')),
            ZeroDivisionError(),
        ):
            self.assertFalse(is_outage(error), repr(error))

    def test_a_real_driver_that_finds_no_server_meets_one(self):
        for url in ('mysql+pymysql://u:p@127.0.0.1:1/d', 'postgresql+psycopg2://u:p@127.0.0.1:1/d'):
            database = Database.from_url(url, max_retries=0)
            self.addCleanup(database.dispose)
            try:
                with database.read():
                    self.fail('a server is there')
            except (sa.exc.SQLAlchemyError, db_exc.DBError) as error:
                self.assertTrue(is_outage(error), repr(error))

    def test_it_is_told_with_its_code_and_without_its_statement(self):
        told = faults.words(of_mysql(1047, 'WSREP has not yet prepared node'))
        self.assertTrue(told.startswith('DATABASE_ERROR: The database'), told)
        self.assertIn('WSREP has not yet prepared node (1047)', told)
        for word in ('UPDATE', _VALUE):
            self.assertNotIn(word, told)
        self.assertIn('ZeroDivisionError', faults.words(ZeroDivisionError('x')))
