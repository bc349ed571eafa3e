# SPDX-License-Identifier: Apache-2.0
"""The module that a WSGI server loads, in a process of its own: loading it chooses the threading model for a whole process."""
import json
import os
import pathlib
import subprocess
import sys
import textwrap

import fixtures

from trove_upgrade.tests.unit import base

_CONFIGURATION = """
[DEFAULT]
transport_url = rabbit://guest:guest@127.0.0.1:1/
[database]
connection = {connection}
[keystone_authtoken]
auth_type = password
auth_url = http://127.0.0.1:1/v3
www_authenticate_uri = http://127.0.0.1:1/v3
username = trove
password = secret
project_name = service
user_domain_name = Default
project_domain_name = Default
"""

_PROGRAM = textwrap.dedent("""
    import json, sys, threading
    sys.argv = ['uwsgi', '--module', 'x']
    from trove_upgrade.wsgi import api
    import webtest
    app = webtest.TestApp(api.application)
    answers = {path: app.get(path, expect_errors=True) for path in ('/', '/v1.0/', '/healthcheck', '/v1.0/p/instances', '/x')}
    from oslo_service import backend
    print(json.dumps({
        'statuses': {path: answer.status_int for path, answer in answers.items()}, 'root': answers['/'].json, 'v1': answers['/v1.0/'].json,
        'ids': [answers['/v1.0/p/instances'].headers.get(name) for name in ('x-compute-request-id', 'x-openstack-request-id')],
        'threads': threading.active_count(), 'backend': backend.get_backend_type().name, 'eventlet': bool(sys.modules.get('eventlet'))}))
""")


class TestApplication(base.TestCase):

    def load(self, connection):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'trove-upgrade.conf')
        path.write_text(_CONFIGURATION.format(connection=connection), encoding='utf-8')
        return subprocess.run([sys.executable, '-c', _PROGRAM], env={**os.environ, 'OS_TROVE_UPGRADE_CONFIG_FILES': str(path)}, timeout=120,
                              capture_output=True, text=True, check=False)

    def test_it_answers_what_needs_no_token_and_nothing_else(self):
        done = self.load('mysql+pymysql://u:p@127.0.0.1:1/trove')
        self.assertEqual(0, done.returncode, done.stderr)
        found = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual({'/': 200, '/v1.0/': 200, '/healthcheck': 200, '/v1.0/p/instances': 401, '/x': 404}, found['statuses'])
        self.assertEqual(['v1.0'], [each['id'] for each in found['root']['versions']])
        self.assertEqual('CURRENT', found['v1']['version']['status'])
        self.assertEqual(1, len(set(found['ids'])))
        self.assertTrue(found['ids'][0].startswith('req-'))
        self.assertEqual((1, 'THREADING', False), (found['threads'], found['backend'], found['eventlet']))

    def test_sqlite_is_refused_with_a_reason(self):
        done = self.load('sqlite:///trove.db')
        self.assertNotEqual(0, done.returncode)
        self.assertIn('it is SQLite', done.stdout + done.stderr)
