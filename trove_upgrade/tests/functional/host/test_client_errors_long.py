# SPDX-License-Identifier: Apache-2.0
"""Errors of the API as the two commands print them, and those of trove-upgrade-api as it is started
while Keystone is away.
"""

import pathlib
import subprocess
import sys

import fixtures
import requests
from troveclient.apiclient import exceptions as client_exceptions
from troveclient.v1 import client as trove_client

from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.api.test_client_errors import ClientErrorsCase, keystone, without_ids


class TestCommands(ClientErrorsCase):
    def assert_shown(self, program, as_printed):
        of_each_status = {status: name for name, (status, _) in self.wanted.items()}
        names = sorted({*of_each_status.values(), 'foreign', 'lines'})
        shown = self.commands(program, names)
        self.assertEqual(names, [name for name, _, _ in shown])
        for name, code, text in shown:
            status, message = self.wanted[name]
            self.assertEqual(1, code, text)
            self.assertIn(
                as_printed(f'{message} (HTTP {status}) (Request-ID: ID)'), without_ids(text)
            )
            self.assertNotIn('Traceback', text)

    def test_trove_prints_our_sentence_and_code(self):
        self.assert_shown(
            'trove', lambda line: f'ERROR: {line.encode()}'
        )  # its own way with text under Python 3

    def test_openstack_prints_our_sentence_and_code(self):
        self.assert_shown('openstack', lambda line: line)


_CONFIGURATION = """
[DEFAULT]
log_file = {folder}/api.log
transport_url = rabbit://u:p@127.0.0.1:1/
[database]
connection = mysql+pymysql://u:p@127.0.0.1:1/trove
[keystone_authtoken]
auth_type = password
auth_url = http://127.0.0.1:1/v3
www_authenticate_uri = http://127.0.0.1:1/v3
http_request_max_retries = 0
username = trove
password = p
project_name = service
user_domain_name = Default
project_domain_name = Default
[trove_upgrade]
bind_host = 127.0.0.1
bind_port = 0
"""


class TestPipeline(ClientErrorsCase):
    """trove-upgrade-api as it is started, with the paste file that we ship, and Keystone away."""

    def setUp(self):
        super().setUp()
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        path = folder / 'trove-upgrade.conf'
        path.write_text(_CONFIGURATION.format(folder=folder))
        code = 'import sys; from trove_upgrade.cmd import scripts; sys.exit(scripts.api())'
        self.process = subprocess.Popen(
            [sys.executable, '-W', 'ignore', '-c', code, '--config-file', str(path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.wait, 60)
        self.addCleanup(self.process.terminate)
        self.api_base = (
            self.process.stdout.readline().removeprefix('Listening on ').strip().rstrip('/')
        )
        self.keystone = keystone(self.base, self.api_base)
        self.endpoint = f'{self.api_base}/v1.0/{database.PROJECT}'

    def assert_answers(self, headers, status, code):
        answer = requests.get(f'{self.endpoint}/upgrades', headers=headers, timeout=60)
        [fault] = answer.json().values()
        self.assertEqual(
            (status, status, code),
            (answer.status_code, fault['code'], fault['error_code']),
            answer.text,
        )
        self.assertTrue(fault['message'].endswith(f'({code})'), answer.text)
        self.assertTrue(answer.headers['x-compute-request-id'].startswith('req-'))
        return answer

    def test_answers_of_the_token_middleware_have_our_form_and_their_headers(self):
        self.assert_answers({'X-Auth-Token': 'unknown'}, 503, 'SERVICE_UNAVAILABLE')
        answer = self.assert_answers({}, 401, 'NOT_AUTHENTICATED')
        self.assertEqual('Keystone uri="http://127.0.0.1:1/v3"', answer.headers['WWW-Authenticate'])

    def test_the_health_check_needs_no_token_and_keeps_its_own_form(self):
        answer = requests.get(f'{self.api_base}/healthcheck', timeout=60)
        self.assertEqual(
            (503, 'The database does not serve: DATABASE_ERROR.', 'text/plain'),
            (answer.status_code, answer.text, answer.headers['Content-Type'].partition(';')[0]),
        )

    def test_the_clients_print_a_sentence_and_a_code(self):
        client = trove_client.Client(session=self.session(), endpoint_override=self.endpoint)
        error = self.assertRaises(
            client_exceptions.HttpError, client.instances.upgrade, 'name', '11.8.6'
        )
        self.assert_sentence(str(error))
        for program in ('trove', 'openstack'):
            [(_, code, text)] = self.commands(program, ['name'])
            self.assertEqual(1, code, text)
            self.assert_sentence(text)

    def assert_sentence(self, text):
        self.assertIn('Try again in some seconds', text)
        self.assertIn('(SERVICE_UNAVAILABLE) (HTTP 503)', text)
        self.assertNotIn('<', text)
