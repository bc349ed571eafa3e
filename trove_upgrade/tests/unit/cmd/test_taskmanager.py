# SPDX-License-Identifier: Apache-2.0
"""The start of a taskmanager: what it cannot work with is refused in one line with a code."""

import pathlib
import socket
import subprocess
import sys
import urllib.request

import fixtures
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.clients import session
from trove_upgrade.conf import database as database_conf
from trove_upgrade.conf import fault
from trove_upgrade.db import engine, errors
from trove_upgrade.rpc import transport
from trove_upgrade.sealing import at_rest
from trove_upgrade.taskmanager import exposition, service
from trove_upgrade.tests.unit import base, database

_SECRET = 's3cret-XYZ'
_PROGRAM = 'import sys; from trove_upgrade.cmd import taskmanager; sys.exit(taskmanager.main())'
_BESIDE = {'guest_topic_prefix': 'trove-upgrade-guest.', 'write_service_status': 'false'}


class StartTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.sections = {
            'DEFAULT': {'transport_url': f'rabbit://u:{_SECRET}@127.0.0.1:1/'},
            'database': {'connection': f'mysql+pymysql://u:{_SECRET}@127.0.0.1:1/trove'},
            'service_credentials': {
                'auth_url': 'http://127.0.0.1:1/v3',
                'username': 'u',
                'password': _SECRET,
                'project_name': 's',
            },
            'trove_upgrade': {'guest_key_encryption_keys': at_rest.generate()},
        }

    def file(self):
        path = self.folder / 'trove.conf'
        path.write_text(
            '\n'.join(
                line
                for name, options in self.sections.items()
                for line in (f'[{name}]', *(f'{key} = {value}' for key, value in options.items()))
            )
        )
        return path

    def conf(self):
        conf = cfg.ConfigOpts()
        our_conf.register_opts(conf)
        database_conf.register_connection_opts(conf)
        conf(args=['--config-file', str(self.file())], project='trove-upgrade', prog=service.BINARY)
        return conf

    def refused(self, kind, act):
        error = self.assertRaises(kind, act, self.conf())
        self.assertNotIn(_SECRET, str(error))
        return str(error)


class TestConfiguration(StartTestCase):
    def test_a_service_user_without_a_password_ends_the_program_in_one_line(self):
        del self.sections['service_credentials']['password']
        done = subprocess.run(
            [sys.executable, '-c', _PROGRAM, '--config-file', str(self.file())],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        self.assertEqual((1, ''), (done.returncode, done.stdout), done.stderr)
        self.assertRegex(
            done.stderr,
            r'\AERROR SERVICE_CREDENTIALS_INCOMPLETE: [^\n]*password is not set\. '
            r'Set in [^\n]*\n\Z',
        )

    def test_a_configuration_that_is_right_is_composed(self):
        self.assertIsNotNone(service.compose(self.conf()))

    def test_what_a_login_needs(self):
        for option in ('auth_url', 'username', 'password', 'project_name'):
            kept = self.sections['service_credentials'].pop(option)
            self.assertIn(option, self.refused(session.CredentialsIncomplete, service.compose))
            self.sections['service_credentials'][option] = kept

    def test_a_value_that_cannot_be_read(self):
        self.sections['service_credentials']['password'] = f'a${_SECRET}'
        self.assertIn('"$$"', self.refused(fault.ConfigurationInvalid, service.compose))

    def test_a_broker_that_cannot_be_asked(self):
        for url in (
            'x',
            'kafka://host:1/',
            f'none://u:{_SECRET}@host/',
            f'rabbit://u:{_SECRET}@host:port/',
        ):
            self.sections['DEFAULT']['transport_url'] = url
            self.assertIn(
                'transport_url', self.refused(transport.TransportInvalid, service.compose)
            )
        self.sections['DEFAULT']['transport_url'] = 'fake://'
        self.sections['trove_upgrade'] = {
            **self.sections.get('trove_upgrade', {}),
            'guest_transport_url': f'rabbit://u:{_SECRET}@host:port/',
        }
        self.assertIn(
            '[trove_upgrade] guest_transport_url',
            self.refused(transport.TransportInvalid, service.compose),
        )


class TestDatabase(StartTestCase):
    def tables(self, *names):
        url = f'sqlite:///{self.folder}/trove.db?timeout=60'
        self.sections['database']['connection'] = url
        found = engine.Database.from_url(url)
        self.addCleanup(found.dispose)
        with found.write() as connection:
            for name in names:
                connection.exec_driver_sql(f'CREATE TABLE {name} (id INTEGER)')

    def test_options_of_an_installation_alone_are_refused_where_a_real_trove_is(self):
        self.tables('instances', 'alembic_version')
        del self.sections['trove_upgrade']
        said = self.refused(errors.TrovesDatabase, service.require_installation)
        for words in (
            'section [trove_upgrade] is missing',
            'trove.conf',
            'guest_topic_prefix = trove-upgrade-guest.',
            'write_service_status = false',
        ):
            self.assertIn(words, said)
        self.assertEqual('CONFIGURED_ALONE', errors.TrovesDatabase.code)

    def test_each_of_them_alone_is_refused(self):
        self.tables('instances', 'migrate_version')
        for name, wrong in (
            ('guest_topic_prefix', 'guestagent.'),
            ('write_service_status', 'true'),
        ):
            self.sections['trove_upgrade'] = {**_BESIDE, name: wrong}
            said = self.refused(errors.TrovesDatabase, service.require_installation)
            self.assertIn(f'{name} is', said)
            self.assertNotIn('is missing in', said)

    def test_right_options_beside_trove_come_to_the_tables(self):
        self.tables('instances', 'alembic_version')
        self.sections['trove_upgrade'] = _BESIDE
        self.assertIn(
            errors.MAKE_TABLES, self.refused(errors.SchemaMissing, service.require_installation)
        )

    def test_a_database_with_all_tables_is_taken(self):
        self.tables()
        self.useFixture(
            database.SampleDatabase(self.sections['database']['connection'], sample=False)
        )
        service.require_installation(self.conf())

    def test_tables_of_an_earlier_release_want_the_expand(self):
        self.tables()
        db = self.useFixture(
            database.SampleDatabase(self.sections['database']['connection'], sample=False)
        )
        with db.database.write() as connection:
            connection.exec_driver_sql('DROP TABLE instance_upgrade_steps')
        self.assertIn('db expand', self.refused(errors.SchemaMissing, service.require_installation))

    def test_a_database_that_is_away_is_no_refusal(self):
        self.assertIn(
            'cannot be reached',
            self.refused(errors.DatabaseUnreachable, service.require_installation),
        )


class TestFigures(StartTestCase):
    def test_they_are_served_where_the_operator_wants_them_and_nowhere_else(self):
        self.assertIsNone(service.compose(self.conf())._exposition)
        self.sections['trove_upgrade']['metrics_bind'] = '127.0.0.1:0'
        made = service.compose(self.conf())
        self.addCleanup(made._exposition.close)
        address = f'http://127.0.0.1:{made._exposition.port}/metrics'
        with urllib.request.urlopen(address, timeout=30) as answer:
            text = answer.read().decode()
        self.assertIn('trove_upgrade_lease_takeovers_total 0.0', text)
        self.assertIn('trove_upgrade_database_up 0.0', text)
        self.assertNotIn(_SECRET, text)

    def test_an_address_that_is_taken_ends_the_start(self):
        taken = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(taken.close)
        self.sections['trove_upgrade']['metrics_bind'] = f'127.0.0.1:{taken.getsockname()[1]}'
        message = self.refused(exposition.MetricsAddressUnusable, service.compose)
        self.assertIn('metrics_bind', message)

    def test_what_is_no_address_is_refused_when_it_is_read(self):
        for text in ('9778', '127.0.0.1', '::1:9778', 'a b:1', '[::1]'):
            self.sections['trove_upgrade']['metrics_bind'] = text
            self.assertRaises(cfg.ConfigFileValueError, service.compose, self.conf())
