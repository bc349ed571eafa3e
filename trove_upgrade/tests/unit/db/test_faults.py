# SPDX-License-Identifier: Apache-2.0
"""Faults of real drivers, as errors with a code and a remedy."""
import logging

import fixtures
import pymysql
import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import exception as db_exc

from trove_upgrade.db import engine, errors, faults, installation
from trove_upgrade.tests.unit import base

#: By a driver, SQLAlchemy or oslo.db; or by us, for a URL.
_RAISED = (sa.exc.SQLAlchemyError, db_exc.DBError, errors.DatabaseRefused)


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
            logging.getLogger('oslo_db.sqlalchemy.exc_filters').warning('DBAPIError exception wrapped.', exc_info=error)
        self.assertNotIn('upgrade_services', log.output)
        self.assertIn('of_others', log.output)

    def test_a_table_of_ours_wants_db_sync_and_one_of_troves_wants_trove(self):
        for table, advice in (('upgrade_services', errors.MAKE_TABLES), ('instances', errors.FIND_TROVES_TABLES), ('strange', errors.MAKE_TABLES)):
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
        for url in ('mysql+pymysql://u:s3cret@127.0.0.1:1/d', 'postgresql+psycopg2://u:s3cret@127.0.0.1:1/d'):
            found = self.explained(url)
            self.assertIs(errors.DatabaseUnreachable, type(found))
            self.assertNotIn('s3cret', found.message)
        self.assertIsInstance(self.explained('postgresql+psycopg2://u:s3cret@127.0.0.1:1/d?none=s3cret'), errors.AccessRefused)
        self.assertIsInstance(self.explained('mysql+pymysql://u:s3cret@127.0.0.1:1/d?ssl_ca=/does/not/exist'), errors.DatabaseRefused)

    def test_what_is_neither_the_databases_nor_the_configurations_has_no_code(self):
        self.assertIsNone(faults.explain(ZeroDivisionError()))
        self.assertEqual('CONFIGURATION_INVALID', faults.explain(cfg.NoSuchOptError('secret')).code)
        self.assertNotIn('secret', faults.explain(cfg.NoSuchOptError('secret')).message)
        self.assertIn('ZeroDivisionError', faults.line(ZeroDivisionError('x')))


class TestInstallation(base.TestCase):

    def test_the_api_alone_refuses_a_real_troves_database_and_no_other(self):
        for tables in ({'instances', 'alembic_version'}, {'instances', 'migrate_version'}):
            error = self.assertRaises(errors.TrovesDatabase, installation.refuse_troves, tables, 'The API', installation.USE_FILTER)
            self.assertIn('Put the filter into the pipeline', error.message)
        for tables in (set(), {'instances'}, {'alembic_version'}):
            installation.refuse_troves(tables, 'The API', installation.USE_FILTER)
