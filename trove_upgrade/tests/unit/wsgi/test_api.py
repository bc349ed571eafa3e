# SPDX-License-Identifier: Apache-2.0
"""The module that a WSGI server loads, in a process of its own: loading it chooses the threading
model for a whole process.
"""

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
    answers = {path: app.get(path, expect_errors=True) for path in ('/', '/v1.0/', '/healthcheck', \
'/v1.0/p/instances', '/x')}
    from oslo_service import backend
    print(json.dumps({
        'statuses': {path: answer.status_int for path, answer in answers.items()}, \
'root': answers['/'].json, 'v1': answers['/v1.0/'].json,
        'ids': [answers['/v1.0/p/instances'].headers.get(name) for name in \
('x-compute-request-id', 'x-openstack-request-id')],
        'threads': len([one for one in threading.enumerate() if one.name != 'bounded']), \
'backend': backend.get_backend_type().name, \
'eventlet': bool(sys.modules.get('eventlet'))}))
""")


_FILTER = textwrap.dedent("""
    import json, os, sys, threading
    from oslo_config import cfg
    cfg.CONF([], project='trove', \
default_config_files=[os.environ['OS_TROVE_UPGRADE_CONFIG_FILES']])
    import paste.deploy, webtest

    def trove(environ, start_response):
        start_response('203 Trove', [('Content-Type', 'text/plain')])
        return [environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))]

    ini = os.environ['OS_TROVE_UPGRADE_CONFIG_FILES'] + '.ini'
    open(ini, 'w').write('[filter:trove_upgrade]\\nuse = egg:trove-upgrade#upgrade\\n')
    app = webtest.TestApp(paste.deploy.loadfilter('config:' + ini, name='trove_upgrade')(trove), \
lint=False)
    known = {'keystone.token_info': {'token': {}}, 'HTTP_X_IDENTITY_STATUS': 'Confirmed', \
'HTTP_X_PROJECT_ID': 'p', 'HTTP_X_ROLES': 'member'}
    path, upgrade = '/p/instances/' + 'i' * 36, json.dumps({'instance': {'datastore_version': '1'}})
    handed_on = app.patch_json(path, {'instance': {'name': 'x'}})
    print(json.dumps({
        'handed_on': [handed_on.status_int, handed_on.text], 'without_token': app.patch(path, \
upgrade, expect_errors=True).status_int,
        'threads': threading.active_count(), 'monkey_patched': 'eventlet' in sys.modules and \
sys.modules['eventlet'] is None,
        'trove_imported': 'trove' in sys.modules, 'claimed': app.get('/p/upgrades', \
extra_environ=known, expect_errors=True).status_int}))
""")


class ProcessTestCase(base.TestCase):
    def load(self, connection, program=_PROGRAM):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'trove-upgrade.conf')
        path.write_text(_CONFIGURATION.format(connection=connection), encoding='utf-8')
        return subprocess.run(
            [sys.executable, '-c', program],
            env={**os.environ, 'OS_TROVE_UPGRADE_CONFIG_FILES': str(path)},
            timeout=120,
            capture_output=True,
            text=True,
            check=False,
        )


class TestApplication(ProcessTestCase):
    def test_it_answers_what_needs_no_token_and_nothing_else(self):
        """Its database is away: it is not healthy, and has looked in a thread of its own."""
        done = self.load('mysql+pymysql://u:p@127.0.0.1:1/trove')
        self.assertEqual(0, done.returncode, done.stderr)
        found = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual(
            {'/': 200, '/v1.0/': 200, '/healthcheck': 503, '/v1.0/p/instances': 401, '/x': 404},
            found['statuses'],
        )
        self.assertEqual(['v1.0'], [each['id'] for each in found['root']['versions']])
        self.assertEqual('CURRENT', found['v1']['version']['status'])
        self.assertEqual(1, len(set(found['ids'])))
        self.assertTrue(found['ids'][0].startswith('req-'))
        self.assertEqual(
            (1, 'THREADING', False), (found['threads'], found['backend'], found['eventlet'])
        )

    def test_sqlite_is_refused_with_a_reason(self):
        done = self.load('sqlite:///trove.db')
        self.assertNotEqual(0, done.returncode)
        self.assertIn('it is SQLite', done.stdout + done.stderr)


class TestFilterInTrovesProcess(ProcessTestCase):
    def test_it_loads_by_its_entry_point_and_changes_nothing_of_the_process(self):
        done = self.load('sqlite://', _FILTER)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        found = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual([203, '{"instance": {"name": "x"}}'], found['handed_on'])
        self.assertEqual(
            (401, 1, False, False),
            (
                found['without_token'],
                found['threads'],
                found['monkey_patched'],
                found['trove_imported'],
            ),
        )
        self.assertEqual(
            500,
            found['claimed'],
            'a database that we cannot use fails our requests, and nothing else',
        )
