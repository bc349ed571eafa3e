# SPDX-License-Identifier: Apache-2.0

import pathlib
import socket

import alembic.command
import fixtures
import sqlalchemy as sa
from oslo_upgradecheck import upgradecheck

from trove_upgrade.cmd import status
from trove_upgrade.cmd.status import schema
from trove_upgrade.conf import compute as compute_conf
from trove_upgrade.conf import database as database_conf
from trove_upgrade.db import engine, errors, models, trove_tables
from trove_upgrade.db.migrations.chain import MAIN
from trove_upgrade.rpc import broker, transport
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.api import stage
from trove_upgrade.tests.unit.cmd.status import rows
from trove_upgrade.tests.unit.db.test_services import register_as_aurora

_ALL = set(models.METADATA.tables) | set(trove_tables.METADATA.tables)


class TestChecks(base.TestCase):
    def file(self, text):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'file.yaml')
        path.write_text(text, encoding='utf-8')
        return str(path)

    def check(self, name, *, connection=None, **overrides):
        conf = stage.private_conf(**overrides)
        database_conf.register_connection_opts(conf)
        conf.set_override('connection', connection, group='database')
        compute_conf.register_credentials(conf)
        return rows.run(status.Checks(conf), name)

    def assert_failure(self, result, text):
        self.assertEqual(upgradecheck.Code.FAILURE, result.code)
        self.assertIn(text, result.details)

    def test_tables_that_are_missing_name_the_command_that_makes_them(self):
        self.assertEqual(upgradecheck.Code.SUCCESS, schema.tables_result(_ALL, 'a server').code)
        self.assert_failure(
            schema.tables_result(_ALL - set(models.METADATA.tables), 'a server'), errors.MAKE_TABLES
        )
        self.assert_failure(
            schema.tables_result(_ALL - {'instance_upgrades'}, 'a server'),
            'trove-upgrade-manage db expand',
        )
        self.assert_failure(schema.tables_result(_ALL - {'datastores'}, 'a server'), 'datastores')

    def test_a_database_that_no_service_takes(self):
        self.assert_failure(self.check('database'), 'it is not set')
        self.assert_failure(self.check('database', connection='sqlite://'), 'it is SQLite')

    def test_a_database_that_is_down_is_told_at_once(self):
        self.assert_failure(
            self.check('database', connection='mysql+pymysql://u:p@127.0.0.1:1/trove'),
            'cannot be reached',
        )

    def test_the_tables_of_a_database(self):
        path = self.useFixture(fixtures.TempDir()).path
        self.useFixture(database.SampleDatabase(f'sqlite:///{path}/x.db', sample=False))
        found = schema.tables_result(schema.table_names(f'sqlite:///{path}/x.db'), 'sqlite')
        self.assertEqual(upgradecheck.Code.SUCCESS, found.code)
        self.assertIn('sqlite and has our', found.details)

    def test_a_taskmanager_that_was_not_seen_lately_is_a_warning(self):
        url = f'sqlite:///{self.useFixture(fixtures.TempDir()).path}/x.db'
        self.assertEqual(
            upgradecheck.Code.WARNING, self.check('taskmanager', connection=url).code, 'no table'
        )
        db = self.useFixture(database.SampleDatabase(url, sample=False))
        db.repositories.services.register('host-1', 'trove-upgrade-api', '1.0')
        self.assertIn('No taskmanager was seen', self.check('taskmanager', connection=url).details)
        db.repositories.services.register('host-1', 'trove-upgrade-taskmanager', '1.0')
        self.assertEqual(upgradecheck.Code.SUCCESS, self.check('taskmanager', connection=url).code)
        db.pass_time(61)
        self.assertIn('No taskmanager was seen', self.check('taskmanager', connection=url).details)

    def sample_url(self):
        return f'sqlite:///{self.useFixture(fixtures.TempDir()).path}/x.db'

    def migrated(self, *targets):
        """A database at those revisions."""
        url = self.sample_url()
        db = engine.Database.from_url(url)
        self.addCleanup(db.dispose)
        with db.engine.connect() as connection:
            for target in targets:
                alembic.command.upgrade(MAIN.config(connection=connection), target)
            connection.commit()
        return url

    def test_a_database_of_this_release_is_fine(self):
        self.assertEqual(
            upgradecheck.Code.SUCCESS,
            self.check('schema', connection=self.migrated('expand@head', 'contract@head')).code,
        )

    def test_a_database_of_an_earlier_release_must_be_expanded(self):
        found = self.check(
            'schema', connection=self.migrated('aurora_expand01', 'aurora_contract01')
        )
        self.assert_failure(found, 'trove-upgrade-manage db expand')
        self.assertIn('aurora_expand01', found.details)

    def test_an_empty_database_gets_the_advice_that_every_other_place_gives(self):
        self.assert_failure(self.check('schema', connection=self.sample_url()), errors.MAKE_TABLES)

    def test_a_database_of_the_release_below_may_be_worked_on_before_the_expand(self):
        for versions in (
            ('borealis_expand01', 'borealis_contract01'),
            ('borealis_expand01', 'aurora_contract01'),
        ):
            found = self.check('schema', connection=self.migrated(*versions))
            self.assertEqual(upgradecheck.Code.WARNING, found.code, found.details)
            for said in (
                'borealis_expand01',
                'trove-upgrade-manage db expand',
                'without what it adds',
            ):
                self.assertIn(said, found.details)

    def test_what_is_left_after_the_expand_is_a_warning(self):
        found = self.check('schema', connection=self.migrated('expand@head', 'aurora_contract01'))
        self.assertEqual(upgradecheck.Code.WARNING, found.code)
        self.assertIn('trove-upgrade-manage db contract', found.details)

    def test_a_database_of_a_later_release_is_a_failure(self):
        url = self.migrated('expand@head', 'contract@head')
        db = engine.Database.from_url(url)
        self.addCleanup(db.dispose)
        with db.write() as connection:
            connection.execute(
                sa.text(f"INSERT INTO {MAIN.version_table} VALUES ('zodiac_expand01')")
            )
        self.assert_failure(self.check('schema', connection=url), 'zodiac_expand01')

    def test_a_schema_that_cannot_be_read_points_to_the_database(self):
        for name in ('schema', 'services'):
            found = self.check(name, connection='mysql+pymysql://u:p@127.0.0.1:1/trove')
            self.assertEqual(upgradecheck.Code.WARNING, found.code)
            self.assertIn('check of the database', found.details)

    def test_services_of_an_earlier_release_are_named(self):
        url = self.sample_url()
        self.assertEqual(
            upgradecheck.Code.SUCCESS, self.check('services', connection=url).code, 'no table'
        )
        db = self.useFixture(database.SampleDatabase(url, sample=False))
        db.repositories.services.register('host-1', 'trove-upgrade-api', '1.0')
        self.assertEqual(upgradecheck.Code.SUCCESS, self.check('services', connection=url).code)
        register_as_aurora(db, host='host-2', registration='r-2')
        found = self.check('services', connection=url)
        self.assertEqual(upgradecheck.Code.WARNING, found.code)
        self.assertIn('r-2 (taskmanager aurora 1.0 on host-2', found.details)

    def transport(self, url, guest_url=None):
        conf = stage.private_conf()
        transport.get_transport(conf)
        conf.set_override('transport_url', url)
        conf.set_override('guest_transport_url', guest_url, 'trove_upgrade')
        return rows.run(status.Checks(conf), 'transport')

    def test_a_transport_in_memory_has_no_broker(self):
        self.assertEqual(upgradecheck.Code.SUCCESS, self.transport('fake://').code)

    def test_a_broker_that_is_down_is_named_without_its_password(self):
        found = self.transport('rabbit://user:s3cret@127.0.0.1:1,user:s3cret@127.0.0.1:2/v')
        self.assert_failure(found, '127.0.0.1:1: ')
        self.assertIn('127.0.0.1:2: ', found.details)
        self.assertNotIn('s3cret', found.details)

    def test_the_worse_of_two_places_counts_and_is_named(self):
        away = 'rabbit://user:s3cret@127.0.0.1:1/v'
        for urls, option in (
            (('fake://', away), '[trove_upgrade] guest_transport_url'),
            ((away, 'fake://'), '[DEFAULT] transport_url'),
        ):
            found = self.transport(*urls)
            self.assert_failure(found, f'No message broker of {option} lets us in: 127.0.0.1:1: ')
            self.assertNotIn('s3cret', found.details)
        self.assertEqual(upgradecheck.Code.SUCCESS, self.transport('fake://', 'fake:///other').code)
        self.assert_failure(
            self.transport('fake://', 'rabbit://u:s3cret@h:port/'),
            '[trove_upgrade] guest_transport_url is wrong',
        )

    def test_a_broker_that_says_nothing_is_not_waited_for_longer_than_told(self):
        with socket.create_server(('127.0.0.1', 0)) as listener:
            conf = stage.private_conf()
            transport.get_transport(conf)
            conf.set_override(
                'transport_url', f'rabbit://u:p@127.0.0.1:{listener.getsockname()[1]}/'
            )
            (found,) = broker.ask(conf, 0.2)
        self.assertIn('timed out', found.error)

    def test_a_transport_url_that_is_none_is_not_repeated(self):
        for url in ('s3cret', 's3cret://', 'rabbit://u:s3cret@h:port/'):
            found = self.transport(url)
            self.assert_failure(found, 'transport_url')
            if url != 's3cret://':  # there the driver's name is what has to be mended
                self.assertNotIn('s3cret', found.details)

    def test_rules_that_cannot_be_read(self):
        self.assertEqual(upgradecheck.Code.SUCCESS, self.check('version_rules').code)
        self.assert_failure(
            self.check('version_rules', version_rules_file=self.file('[]')), 'mapping'
        )

    def test_a_policy_file_with_a_rule_that_does_not_exist(self):
        known = self.file('"trove_upgrade:instances:upgrade": "rule:trove_upgrade:admin"')
        self.assertEqual(upgradecheck.Code.SUCCESS, self.check('policy', policy_file=known).code)
        unknown = self.check(
            'policy', policy_file=self.file('"trove_upgrade:instance:upgrade": "role:admin"')
        )
        self.assertEqual(upgradecheck.Code.WARNING, unknown.code)
        self.assertIn('trove_upgrade:instance:upgrade', unknown.details)

    def test_a_policy_file_that_cannot_be_read(self):
        self.assert_failure(self.check('policy', policy_file=self.file('[')), 'policy_file')

    def test_a_service_user_that_is_not_there(self):
        self.assert_failure(
            self.check('service_credentials'), 'auth_url, username, password, project_name'
        )
