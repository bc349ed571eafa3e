# SPDX-License-Identifier: Apache-2.0
import pathlib
import time

import fixtures
import webtest
from oslo_db import exception as db_exc

from trove_upgrade.api import app, health
from trove_upgrade.domain.bounded import Bounded
from trove_upgrade.tests.unit import base

_ETC = pathlib.Path(__file__).parents[4] / 'etc' / 'trove-upgrade'
_AWAY = 'mysql+pymysql://trove:secret@127.0.0.1:1/trove'


class TestObstacle(base.TestCase):
    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))

    def obstacle(self, error=None):
        def ask():
            if error is not None:
                raise error

        return health.obstacle_of(Bounded('The database', ask, time.monotonic, wait_seconds=30))

    def test_a_database_that_answers_is_none(self):
        self.assertIsNone(self.obstacle())
        self.assertEqual('', self.log.output)

    def test_one_that_is_away_is_told_by_its_code_alone(self):
        found = self.obstacle(db_exc.DBConnectionError(OSError('10.0.0.5 is away')))
        self.assertEqual('The database does not serve: DATABASE_ERROR.', found)
        self.assertIn('10.0.0.5', self.log.output)

    def test_a_fault_of_ours_is_told_by_its_code_too(self):
        found = self.obstacle(RuntimeError('secret'))
        self.assertEqual('The database does not serve: INTERNAL_ERROR.', found)


class TestHealthcheck(base.TestCase):
    """oslo.middleware's application with the backend of the paste file that we ship."""

    def served(self):
        local = {}
        text = (_ETC / 'api-paste.ini').read_text().split('[app:healthcheck]')[1].split('[')[0]
        for line in text.splitlines():
            name, equals, value = line.partition(' = ')
            if equals and not name.startswith('#') and name != 'paste.app_factory':
                local[name] = value
        self.assertEqual({'backends': 'trove_upgrade_database'}, local)
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'trove-upgrade.conf')
        path.write_text(f'[database]\nconnection = {_AWAY}\n')
        local.update(oslo_config_project='trove-upgrade', oslo_config_file=str(path))
        return webtest.TestApp(app.healthcheck_factory({}, **local), lint=False)

    def test_without_its_database_the_api_is_unhealthy_and_names_no_address(self):
        self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))
        served = self.served()
        for answer in ('text/plain', 'application/json', 'text/html'):
            found = served.get('/healthcheck', headers={'Accept': answer}, expect_errors=True)
            self.assertEqual(503, found.status_int)
            self.assertIn('DATABASE_ERROR', found.text)
            self.assertNotIn('127.0.0.1', found.text)
            self.assertNotIn('secret', found.text)
        self.assertEqual(503, served.head('/healthcheck', expect_errors=True).status_int)
