# SPDX-License-Identifier: Apache-2.0
"""What the tests of commands have in common: users with passwords, what a refusal must look like,
and all that is in a database.
"""

import pathlib
import urllib.parse

import fixtures
import sqlalchemy as sa

from trove_upgrade.db import engine
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases
from trove_upgrade.tests.functional.schema import commands, revision_checks, schemas

#: All of it must be percent-encoded in a URL.
PASSWORD = 'S3cr@t/w:rd%3F'
SECRETS = {PASSWORD, urllib.parse.quote(PASSWORD, safe=''), 'S3cr'}
#: Rows that say who has run what; a run that was refused is recorded, too.
_BOOKS = {'upgrade_schema_lease', 'upgrade_schema_runs'}

READING = (
    ('db', 'version'),
    ('db', 'current'),
    ('db', 'current', '--verbose'),
    ('db', 'check'),
    ('db', 'has_offline_migrations'),
    ('db', 'plan'),
    ('db', 'data', 'list'),
    ('service', 'list'),
    ('upgrade', 'list'),
)
CHANGING = (
    ('db', 'sync'),
    ('db', 'expand'),
    ('db', 'migrate'),
    ('db', 'contract'),
    ('db', 'upgrade'),
    ('db', 'stamp', 'heads'),
    ('db', 'data', 'run'),
)


class CommandsTestCase(base.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        commands.load()

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.commands = commands.Commands(self.folder)

    def database(self, url):
        database = engine.Database.from_url(url)
        self.addCleanup(database.dispose)
        return database

    def ended_with(self, code, ended, *said):
        """It has said this, on either stream, and no password."""
        self.assertEqual(code, ended.code, str(ended))
        text = ended.out + ended.err
        self.assertEqual([], [word for word in said if word not in text], str(ended))
        self.assertEqual([], [secret for secret in SECRETS if secret in text], str(ended))
        self.assertNotIn('Traceback', text)
        return ended

    def refused_with(self, code, ended, *said):
        """One line on stderr, with that in it."""
        self.ended_with(code, ended)
        self.assertEqual(1, len(ended.err.splitlines()), str(ended))
        self.assertEqual([], [word for word in said if word not in ended.err], str(ended))

    def statuses(self, *urls, more=''):
        """Start `trove-upgrade-status upgrade check` for each; call what is returned for what they
        found.

        On a host without a broker it fails in any case, with 2.
        """
        started = [
            self.commands.script(url, 'upgrade', 'check', program=commands.STATUS, more=more)
            for url in urls
        ]
        return lambda: [
            self.ended_with(2, self.commands.finish(one), '| Check: Database') for one in started
        ]

    def everything(self, url):
        """Schema and rows."""
        found = self.database(url)
        with found.engine.connect() as connection:
            names = sorted(set(sa.inspect(connection).get_table_names()) - _BOOKS)
            rows = {
                name: sorted(map(repr, connection.exec_driver_sql(f'SELECT * FROM {name}')))
                for name in names
            }
        dumped = schemas.dump(found.engine), rows
        found.dispose()
        return dumped

    def insert_as_aurora(self, url, *ids):
        """Upgrades with steps that must be migrated."""
        with self.database(url).write() as connection:
            for upgrade_id in ids:
                revision_checks.insert_as_aurora(connection, upgrade_id)


class OnAServer(databases.OneServer):
    """One server with users for the class."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server.create_user('trove', PASSWORD.replace('%', '%%'), cls.all_rights)
        cls.server.create_user('reader', PASSWORD.replace('%', '%%'), cls.reading_rights)

    def create(self):
        """An empty database that each user may use as the rights say; the URL of the user
        `trove`.
        """
        self.admin_url = self.server.create()
        return self.url_of('trove')

    def url_of(self, user):
        return self.server.url_of(self.admin_url, user, urllib.parse.quote(PASSWORD, safe=''))


class OnMariaDB(OnAServer):
    server_class = databases.MariaDBWithUsers
    all_rights, reading_rights = 'ALL PRIVILEGES', 'SELECT'


class OnPostgreSQL(OnAServer):
    server_class = databases.PostgreSQLWithUsers
    all_rights, reading_rights = 'postgres', 'pg_read_all_data'
