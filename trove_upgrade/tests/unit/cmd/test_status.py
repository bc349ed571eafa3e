# SPDX-License-Identifier: Apache-2.0

import pathlib

import fixtures
from oslo_upgradecheck import upgradecheck

from trove_upgrade.cmd import status
from trove_upgrade.conf import compute as compute_conf
from trove_upgrade.conf import database as database_conf
from trove_upgrade.db import models, trove_tables
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.api import stage

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
        return getattr(status.Checks(conf), f'check_{name}')()

    def assert_failure(self, result, text):
        self.assertEqual(upgradecheck.Code.FAILURE, result.code)
        self.assertIn(text, result.details)

    def test_tables_that_are_missing_name_the_command_that_makes_them(self):
        self.assertEqual(upgradecheck.Code.SUCCESS, status.missing_tables(_ALL).code)
        self.assert_failure(status.missing_tables(_ALL - {'instance_upgrades'}), 'trove-upgrade-manage db sync')
        self.assert_failure(status.missing_tables(_ALL - {'datastores'}), 'datastores')

    def test_a_database_that_no_service_takes(self):
        self.assert_failure(self.check('database'), 'it is not set')
        self.assert_failure(self.check('database', connection='sqlite://'), 'it is SQLite')

    def test_a_database_that_is_down_is_told_at_once(self):
        self.assert_failure(self.check('database', connection='mysql+pymysql://u:p@127.0.0.1:1/trove'), 'cannot be asked')

    def test_the_tables_of_a_database(self):
        path = self.useFixture(fixtures.TempDir()).path
        self.useFixture(database.SampleDatabase(f'sqlite:///{path}/x.db', sample=False))
        self.assertEqual(upgradecheck.Code.SUCCESS, status.missing_tables(status.table_names(f'sqlite:///{path}/x.db')).code)

    def test_a_taskmanager_that_was_not_seen_lately_is_a_warning(self):
        url = f'sqlite:///{self.useFixture(fixtures.TempDir()).path}/x.db'
        self.assertEqual(upgradecheck.Code.WARNING, self.check('taskmanager', connection=url).code, 'no table')
        db = self.useFixture(database.SampleDatabase(url, sample=False))
        db.repositories.services.register('host-1', 'trove-upgrade-api', '1.0')
        self.assertIn('No taskmanager was seen', self.check('taskmanager', connection=url).details)
        db.repositories.services.register('host-1', 'trove-upgrade-taskmanager', '1.0')
        self.assertEqual(upgradecheck.Code.SUCCESS, self.check('taskmanager', connection=url).code)
        db.pass_time(61)
        self.assertIn('No taskmanager was seen', self.check('taskmanager', connection=url).details)

    def test_rules_that_cannot_be_read(self):
        self.assertEqual(upgradecheck.Code.SUCCESS, self.check('version_rules').code)
        self.assert_failure(self.check('version_rules', version_rules_file=self.file('[]')), 'mapping')

    def test_a_policy_file_with_a_rule_that_does_not_exist(self):
        known = self.file('"trove_upgrade:instances:upgrade": "rule:trove_upgrade:admin"')
        self.assertEqual(upgradecheck.Code.SUCCESS, self.check('policy', policy_file=known).code)
        unknown = self.check('policy', policy_file=self.file('"trove_upgrade:instance:upgrade": "role:admin"'))
        self.assertEqual(upgradecheck.Code.WARNING, unknown.code)
        self.assertIn('trove_upgrade:instance:upgrade', unknown.details)

    def test_a_policy_file_that_cannot_be_read(self):
        self.assert_failure(self.check('policy', policy_file=self.file('[')), 'policy_file')

    def test_a_service_user_that_is_not_there(self):
        self.assert_failure(self.check('service_credentials'), 'auth_url, username, password, project_name')
