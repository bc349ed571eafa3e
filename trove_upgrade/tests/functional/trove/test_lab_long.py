# SPDX-License-Identifier: Apache-2.0
"""Real Trove as the lab brings it up: beside whatever runs on the cloud, on a port and a database
of its own.
"""

import json
import urllib.error
import urllib.request

from lab import rest
from lab.cloud import Cloud
from lab.layout import Layout
from lab.services import mariadb, trove, trove_deployment
from lab.trove import schema
from lab.trove.side import TroveSide
from trove_upgrade.tests import base

PORT = 18781
DATABASE = 'trove_lab'


class TroveLabTest(base.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cloud = Cloud(Layout.from_environ())
        cls.cloud.create_database(DATABASE)
        cls.before = trove_deployment.load(cls.cloud.settings())
        cls.side = TroveSide.of(cls.cloud)
        cls.side.stop()
        cls.side.start(server='uwsgi', with_filter=False, database=DATABASE, port=PORT, processes=1)

    @classmethod
    def tearDownClass(cls):
        cls.side.remove()
        if cls.before is not None:
            cls.before.save(cls.cloud.settings())
            cls.side.start()
        super().tearDownClass()

    def get(self, path, token=None):
        """(status, text)"""
        request = urllib.request.Request(
            f'{self.side.url}{path}', headers={'X-Auth-Token': token} if token else {}
        )
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                request, timeout=60
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def assert_answers(self):
        user = self.cloud.handle().users['admin']
        session = rest.Session.of(user)
        project = session.request('GET', f'{user.auth_url}/projects?name={user.project_name}')[
            'projects'
        ][0]['id']
        self.assertEqual(401, self.get(f'/v1.0/{project}/instances')[0])
        status, text = self.get(f'/v1.0/{project}/instances', session.token())
        self.assertEqual((200, {'instances': []}), (status, json.loads(text)))
        flavors = json.loads(self.get(f'/v1.0/{project}/flavors', session.token())[1])['flavors']
        self.assertIn('trove.small', [flavor['name'] for flavor in flavors])

    def test_trove_answers_under_each_of_the_three_servers(self):
        for server in trove_deployment.SERVERS:
            self.side.restart_api(server=server)
            self.assert_answers()

    def test_a_killed_taskmanager_comes_back(self):
        self.side.taskmanager.kill()
        self.assertFalse(self.side.taskmanager.running)
        self.side.taskmanager.start()
        self.assertTrue(self.side.taskmanager.running)

    def test_the_cloud_knows_its_processes(self):
        names = {status.name for status in self.cloud.status() if status.running}
        self.assertLessEqual({trove.API, trove.CONDUCTOR, trove.TASKMANAGER}, names)
        self.cloud.stop_process(trove.CONDUCTOR)
        self.cloud.restart(trove.CONDUCTOR)
        self.assertTrue(self.side.conductor.running)

    def test_the_tables_are_those_of_troves_own_migrations(self):
        before = schema.dump(self.side.settings, DATABASE)
        self.side.manage('db_sync')  # finds nothing to do
        self.assertEqual(before, schema.dump(self.side.settings, DATABASE))
        rows = mariadb.execute(
            self.side.settings, f'SELECT version_num FROM {DATABASE}.alembic_version;'
        )
        self.assertEqual(1, len(rows))
