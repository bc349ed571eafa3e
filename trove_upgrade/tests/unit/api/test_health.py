# SPDX-License-Identifier: Apache-2.0
import pathlib
import threading

import fixtures
import webtest
from oslo_db import exception as db_exc

from trove_upgrade.api import app, health
from trove_upgrade.tests.unit import base

_ETC = pathlib.Path(__file__).parents[4] / 'etc' / 'trove-upgrade'
_AWAY = 'mysql+pymysql://trove:secret@127.0.0.1:1/trove'
_SECONDS = 30


class TestProbe(base.TestCase):
    def setUp(self):
        super().setUp()
        self.asked = 0
        self.time = 0.0
        self.error = None
        self.log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))

    def ask(self):
        self.asked += 1
        if self.error is not None:
            raise self.error

    def probe(self, ask=None, wait_seconds=_SECONDS):
        return health.Probe(ask or self.ask, monotonic=lambda: self.time, wait_seconds=wait_seconds)

    def test_a_database_that_answers_is_no_obstacle_and_is_asked_once_in_two_seconds(self):
        probe = self.probe()
        for self.time in (0.0, 1.0, 1.9):
            self.assertIsNone(probe.obstacle())
        self.assertEqual(1, self.asked)
        self.time = 2.1
        self.assertIsNone(probe.obstacle())
        self.assertEqual(2, self.asked)

    def test_one_that_is_away_is_told_by_its_code_alone_and_is_asked_again(self):
        self.error = db_exc.DBConnectionError(OSError('10.0.0.5 is away'))
        probe = self.probe()
        found = probe.obstacle()
        self.assertEqual('The database does not serve: DATABASE_ERROR.', found)
        self.assertIn('10.0.0.5', self.log.output)
        self.error, self.time = None, 3.0
        self.assertIsNone(probe.obstacle())

    def test_a_fault_of_ours_is_told_by_its_code_too(self):
        self.error = RuntimeError('secret')
        self.assertEqual('The database does not serve: INTERNAL_ERROR.', self.probe().obstacle())

    def test_one_that_hangs_is_not_waited_for_and_is_asked_no_second_time_meanwhile(self):
        answers = threading.Event()
        self.addCleanup(answers.set)

        def ask():
            self.asked += 1
            answers.wait(_SECONDS)

        probe = self.probe(ask, wait_seconds=0)
        for _ in range(3):
            self.assertEqual('The database gave no answer in time.', probe.obstacle())
            self.time += 10
        answers.set()
        self.assertIsNone(self.answer(probe))
        self.assertEqual(1, self.asked)

    def answer(self, probe):
        probe._look.ended.wait(_SECONDS)
        return probe.obstacle()


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
