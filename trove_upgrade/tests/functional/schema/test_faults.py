# SPDX-License-Identifier: Apache-2.0
"""Services on databases that they cannot work with: real servers, real processes."""

import contextlib
import subprocess
import sys

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import engine, errors, faults, installation
from trove_upgrade.sealing import at_rest
from trove_upgrade.tests.functional.schema.command_cases import (
    PASSWORD,
    CommandsTestCase,
    OnMariaDB,
    OnPostgreSQL,
)
from trove_upgrade.tests.functional.waiting import Waiting

#: By a driver, SQLAlchemy or oslo.db.
_RAISED = (sa.exc.SQLAlchemyError, db_exc.DBError)
_SECONDS = 120
_TASKMANAGER = 'import sys; from trove_upgrade.cmd import taskmanager; sys.exit(taskmanager.main())'
_CONF = """
[DEFAULT]
transport_url = rabbit://u:p@127.0.0.1:1/
[database]
connection = {url}
[service_credentials]
auth_url = http://127.0.0.1:1/v3
username = u
password = p
project_name = s
[trove_upgrade]
guest_key_encryption_keys = {key}
"""


class Faults(Waiting):
    """What holds on each server."""

    def explained(self, url, statement='SELECT 1'):
        database = engine.Database.from_url(url, max_retries=0)
        self.addCleanup(database.dispose)
        found = faults.explain(self.assertRaises(_RAISED, self.run_in, database, statement), url)
        self.assertNotIn(PASSWORD, found.message)
        return found

    def run_in(self, database, statement):
        with database.read() as connection:
            connection.exec_driver_sql(statement)

    def test_each_fault_of_the_server_has_its_kind_and_its_remedy(self):
        url = self.create()
        parts = sa.make_url(url)
        self.assertIn(
            errors.MAKE_TABLES, self.explained(url, 'SELECT * FROM upgrade_services').message
        )
        self.assertIn(
            errors.FIND_TROVES_TABLES, self.explained(url, 'SELECT * FROM instances').message
        )
        with self.database(url).write() as connection:
            connection.exec_driver_sql('CREATE TABLE one (id INTEGER)')
        self.assertIn(
            errors.EXPAND_TABLES, self.explained(url, 'SELECT none_such FROM one').message
        )
        self.assertIsInstance(self.explained(url, 'SELECT FROM WHERE'), errors.StatementRefused)
        for wrong in (
            parts.set(password=f'{PASSWORD}x').render_as_string(hide_password=False),
            url.replace(parts.database, 'none_such'),
        ):
            self.assertIsInstance(self.explained(wrong), errors.AccessRefused)

    def test_a_server_that_is_full_is_waited_for_however_it_is_asked(self):
        url = self.create()
        self.server.limit_connections('trove', 1)
        self.addCleanup(self.server.limit_connections, 'trove', None)
        holding = self.database(url)
        with holding.read():
            self.assertIs(errors.DatabaseUnreachable, type(self.explained(url)))
            other = engine.Database.from_url(url, max_retries=0)
            self.addCleanup(other.dispose)
            met = self.assertRaises(_RAISED, installation.table_names, other)
            self.assertIs(errors.DatabaseUnreachable, type(faults.explain(met, url)))
        holding.dispose()

        def is_let_in():
            with contextlib.suppress(*_RAISED):
                return installation.table_names(other) == set()

        # the server ends a session a moment after its client has left
        self.wait_until(is_let_in, 'the server to let one in again')

    def taskmanager(self, url):
        path = self.folder / 'taskmanager.conf'
        path.write_text(_CONF.format(url=url.replace('$', '$$'), key=at_rest.generate()))
        done = subprocess.run(
            [sys.executable, '-c', _TASKMANAGER, '--config-file', str(path)],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        self.assertEqual(1, done.returncode, done.stderr)
        self.assertEqual(1, len(done.stderr.splitlines()), done.stderr)
        self.assertNotIn(PASSWORD, done.stderr)
        return done.stderr

    def test_a_taskmanager_ends_at_its_start_with_what_to_do(self):
        url = self.create()
        said = self.taskmanager(url)
        self.assertIn('ERROR SCHEMA_MISSING', said)
        self.assertIn(errors.MAKE_TABLES, said)
        with self.database(url).write() as connection:
            connection.exec_driver_sql('CREATE TABLE instances (id INTEGER)')
            connection.exec_driver_sql('CREATE TABLE alembic_version (id INTEGER)')
        said = self.taskmanager(url)
        self.assertIn('ERROR CONFIGURED_ALONE', said)
        self.assertIn('(section [trove_upgrade])', said)
        wrong = sa.make_url(url).set(password=f'{PASSWORD}x').render_as_string(hide_password=False)
        self.assertIn('ERROR DATABASE_ERROR', self.taskmanager(wrong))


class TestOnMariaDB(Faults, OnMariaDB, CommandsTestCase):
    """On a private MariaDB."""


class TestOnPostgreSQL(Faults, OnPostgreSQL, CommandsTestCase):
    """On a private PostgreSQL."""
