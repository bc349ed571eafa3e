# SPDX-License-Identifier: Apache-2.0
"""Statements that a connection sends to a real MariaDB, as the server's own log has them."""

import sqlalchemy as sa
import webtest

from trove_upgrade.api import application, policies, services
from trove_upgrade.api.filter import UpgradeFilter
from trove_upgrade.db import round_trips, trove_tables
from trove_upgrade.domain import exceptions, versions
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases, real_database
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.api import stage

_names = sa.select(trove_tables.datastores.c.name)
_renamed = sa.update(trove_tables.datastores).values(default_version_id='another')


_PING_BYTES = 5  #: a packet's header, and COM_PING; the server logs none


class LoggingMariaDB(databases.MariaDB):
    """Logs all that it is asked in a table of its own."""

    options = (*databases.MariaDB.options, '--general-log', '--log-output=TABLE')


class LoggedCase(real_database.RealDatabase):
    """`sent(call)` is what the connections of the test's database have sent meanwhile."""

    server_class = LoggingMariaDB

    def sent(self, call):
        admin = sa.create_engine(self.server.admin_url, isolation_level='AUTOCOMMIT')
        self.addCleanup(admin.dispose)
        with admin.connect() as connection:
            connection.exec_driver_sql('TRUNCATE mysql.general_log')
            call()
            rows = connection.exec_driver_sql(
                'SELECT command_type, argument FROM mysql.general_log '
                'WHERE thread_id <> connection_id()'
            ).all()
        return [argument.split(None, 1)[0] if kind == 'Query' else kind for kind, argument in rows]


class TestRoundTrips(LoggedCase, base.TestCase):
    def setUp(self):
        super().setUp()
        self.read()  # the first logs in

    def read(self):
        with self.migrated.read() as connection:
            return connection.execute(_names).scalars().all()

    def write(self):
        with self.migrated.write() as connection:
            connection.execute(_renamed)

    def default_versions(self):
        return {row.default_version_id for row in self.db.rows(trove_tables.datastores)}

    def test_a_statement_that_reads_is_the_only_one(self):
        self.assertEqual(['SELECT'], self.sent(self.read))

    def test_a_write_is_one_transaction_and_nothing_else(self):
        self.assertEqual(['BEGIN', 'UPDATE', 'COMMIT'], self.sent(self.write))
        self.assertEqual({'another'}, self.default_versions())

    def test_an_error_takes_back_what_was_written_before_it(self):
        def fail():
            with self.migrated.write() as connection:
                connection.execute(_renamed)
                raise exceptions.InstanceNotFound(instance_id='x')

        def failed():
            self.assertRaises(exceptions.InstanceNotFound, fail)

        self.assertEqual(['BEGIN', 'UPDATE', 'ROLLBACK'], self.sent(failed))
        self.assertNotIn('another', self.default_versions())

    def test_a_write_among_reads_of_one_connection_is_a_transaction_of_its_own(self):
        def mixed():
            with self.migrated.one_connection():
                self.read()
                self.write()
                self.read()

        self.assertEqual(['SELECT', 'BEGIN', 'UPDATE', 'COMMIT', 'SELECT'], self.sent(mixed))

    def test_what_was_read_holds_nothing_up(self):
        with self.migrated.read() as connection:
            connection.execute(_names).all()
            self.server.ask(
                'SET lock_wait_timeout = 1',
                f'ALTER TABLE {self.migrated.engine.url.database}.datastores '
                "COMMENT 'changed meanwhile'",
            )

    def test_a_connection_of_the_engine_itself_has_a_transaction(self):
        self.read()
        with self.migrated.engine.connect() as connection:
            connection.execute(_renamed)
        self.assertNotIn('another', self.default_versions())
        self.assertEqual(['SELECT'], self.sent(self.read)[-1:])

    def bytes_of_a_use(self, trusted_seconds):
        """How many the server receives from one use of a connection to the next."""
        made = sa.create_engine(self.server.admin_url, pool_pre_ping=True)
        self.addCleanup(made.dispose)
        round_trips.save(made, trusted_seconds=trusted_seconds)

        def received():
            with made.connect() as connection:
                query = "SHOW SESSION STATUS LIKE 'Bytes_received'"
                return int(round_trips.taken(connection).exec_driver_sql(query).one()[1])

        received()  # the first logs in
        first = received()
        return received() - first

    def test_a_connection_that_was_silent_for_long_is_tried_first(self):
        self.assertEqual(_PING_BYTES, self.bytes_of_a_use(0) - self.bytes_of_a_use(3600))

    def test_a_connection_that_the_server_has_ended_is_made_anew(self):
        with self.migrated.read() as connection:
            known = connection.exec_driver_sql('SELECT connection_id()').scalar_one()
        self.server.ask(f'KILL {known}')
        self.assertEqual(['mariadb', 'mysql'], sorted(self.read()))

    def test_a_restart_of_the_server_is_no_error(self):
        self.server.stop()
        self.server.start()
        self.assertEqual(['mariadb', 'mysql'], sorted(self.read()))


class TestPatch(LoggedCase, base.TestCase):
    """Answers that one PATCH waits for, beside Trove."""

    def setUp(self):
        super().setUp()
        conf = stage.private_conf()
        made = services.Services(
            repos=self.repos,
            taskmanager=stage.FakeTaskManager(),
            servers=None,
            rules=versions.Rules.load(),
            enforcer=policies.new_enforcer(conf),
            settings=services.Settings(
                page_size=20, max_body_bytes=65536, public_endpoint=None, region='RegionOne'
            ),
        )
        ours = application.Application(lambda: made)
        self.app = webtest.TestApp(
            stage.FakeAuth(UpgradeFilter(lambda _environ, _start: [], ours, lambda: 65536)),
            lint=False,
        )

    def patch(self, instance_id, status):
        self.app.patch_json(
            f'/{database.PROJECT}/instances/{instance_id}',
            {'instance': {'datastore_version': '11.8.6'}},
            headers={'X-Auth-Token': stage.token()},
            status=status,
        )

    def test_one_that_is_accepted_waits_for_seven_answers(self):
        self.patch(self.db.add_instance(server_id='warm'), 202)
        asked = self.db.add_instance(server_id='asked')
        self.assertEqual(
            ['SELECT', 'BEGIN', 'UPDATE', 'SELECT', 'INSERT', 'INSERT', 'COMMIT'],
            self.sent(lambda: self.patch(asked, 202)),
        )
