# SPDX-License-Identifier: Apache-2.0
"""Each error that the API answers, as the released clients show it: as libraries, and as the two
commands.

A route whose handler raises it stands in the real application, which trove-upgrade-api's server
serves on loopback; the commands find it by a Keystone of a few lines.
"""

import json
import pathlib
import re
import string
import subprocess
import sys
import textwrap
import threading

import openstack.connection
import openstack.exceptions
import requests
import webtest
from keystoneauth1 import session, token_endpoint
from oslo_db import exception as db_exception
from troveclient.apiclient import exceptions as client_exceptions
from troveclient.v1 import client as trove_client

from trove_upgrade.api import app, application, errors, policies
from trove_upgrade.api.call import json_response
from trove_upgrade.api.routes import Route, RouteMap
from trove_upgrade.cmd import api as api_command
from trove_upgrade.domain import exceptions
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.api import stage

ROOT = pathlib.Path(__file__).resolve().parents[4]
_CODES_PAGE = ROOT / 'doc' / 'source' / 'reference' / 'errors.rst'


def _kinds(parent):
    for kind in parent.__subclasses__():
        yield kind
        yield from _kinds(kind)


def _made(kind):
    return kind(
        **{
            name: f'some {name}'
            for _, name, _, _ in string.Formatter().parse(kind.template)
            if name
        }
    )


def _errors():
    plain = [
        _made(kind)
        for kind in [
            *_kinds(errors.RequestError),
            *_kinds(exceptions.InstanceBusy),
            *errors.STATUSES,
            *(kind for parent in errors.STATUSES for kind in _kinds(parent)),
        ]
    ]
    return {
        **{error.code: error for error in plain},
        'INTERNAL_ERROR': RuntimeError('of ours'),
        'no-connection': db_exception.DBConnectionError(),
        'foreign': errors.BodyInvalid(
            where='datastore_version', found="'10.11-größer-数据库-\U0001f40b'", wanted='another'
        ),
        'long': errors.BodyInvalid(
            where='datastore_version',
            found='a sentence without an end, ' * 10000,
            wanted='a shorter one',
        ),
        'lines': errors.BodyInvalid(
            where='datastore_version', found='"a\nb" <b>&amp;</b> 100%s {x}', wanted='one line'
        ),
    }


ERRORS = _errors()


def _fail(_call, instance_id):
    raise ERRORS[instance_id].with_traceback(None)


def _show(call, instance_id):
    if call.query('fail'):
        raise ERRORS[instance_id].with_traceback(None)
    return json_response(200, {'instance': {'id': instance_id, 'name': instance_id, 'links': []}})


#: Many runs of a command in one process; a line of JSON for each.
_COMMANDS = textwrap.dedent("""
    import contextlib, io, json, os, sys, warnings
    warnings.simplefilter('ignore')
    from openstackclient import shell as openstack_shell
    from troveclient import shell as trove_shell

    def trove(name):
        sys.argv = ['trove', 'upgrade', name, '11.8.6']
        trove_shell.main()

    def openstack(name):
        sys.exit(openstack_shell.main(['database', 'instance', 'upgrade', name, '11.8.6']))

    run = {'trove': trove, 'openstack': openstack}[os.environ['PROGRAM']]
    for name in os.environ['NAMES'].split():
        written, code = io.StringIO(), 0
        with contextlib.redirect_stderr(written), contextlib.redirect_stdout(written):
            try:
                run(name)
            except SystemExit as end:
                code = end.code
        print(json.dumps([name, code, written.getvalue()]), flush=True)
""")


def keystone(base, api):
    """An application at `base` that gives the one token, and a catalog that leads to the API at
    `api`.
    """
    endpoint = {
        'interface': 'public',
        'region': 'RegionOne',
        'region_id': 'RegionOne',
        'id': 'e',
        'url': f'{api}/v1.0/{database.PROJECT}',
    }
    domain = {'id': 'default', 'name': 'Default'}
    token = {
        'methods': ['password'],
        'expires_at': '2999-01-01T00:00:00.000000Z',
        'issued_at': '2026-01-01T00:00:00.000000Z',
        'user': {'id': 'u', 'name': 'u', 'domain': domain},
        'roles': [{'id': 'r', 'name': 'member'}],
        'project': {'id': database.PROJECT, 'name': 'p', 'domain': domain},
        'catalog': [{'type': 'database', 'name': 'trove', 'id': 's', 'endpoints': [endpoint]}],
    }
    version = {
        'id': 'v3.14',
        'status': 'stable',
        'links': [{'rel': 'self', 'href': f'{base}/v3/'}],
        'media-types': [],
    }

    def application(environ, start_response):
        asked = environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
        start_response(
            '201 Created' if asked else '200 OK',
            [('Content-Type', 'application/json'), ('X-Subject-Token', stage.token())],
        )
        return [json.dumps({'token': token} if asked else {'version': version}).encode()]

    return application


def without_ids(text):
    return re.sub(r'req-[0-9a-f-]{36}', 'ID', text)


class ClientErrorsCase(stage.ApiTestCase):
    def new_app(self, **changes):
        made = self.new_services(**changes)
        table = {
            '/{project_id}/instances/{instance_id}': {
                'GET': Route(_show, policies.instances.SHOW),
                'PATCH': Route(_fail, policies.instances.UPGRADE),
            }
        }
        self.api = app.RequestId(
            stage.FakeAuth(application.Application(lambda: made, RouteMap(table)))
        )
        return webtest.TestApp(self.api, lint=False)

    def setUp(self):
        super().setUp()
        self.base = self.served(self.serve)
        self.keystone = keystone(self.base, self.base)
        self.endpoint = f'{self.base}/v1.0/{database.PROJECT}'
        self.wanted = {}
        for name in ERRORS:
            answer = self.ask('PATCH', f'/instances/{name}', {})
            fault = self.fault(answer)
            self.wanted[name] = answer.status_int, without_ids(fault['message'])
            self.assertTrue(fault['message'].endswith(f'({fault["error_code"]})'), fault)

    def served(self, application):
        """The address at which `application` is served until the test ends."""
        server = api_command.new_server(application, '127.0.0.1', 0)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        self.addCleanup(thread.join, 10)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f'http://127.0.0.1:{server.server_port}'

    def serve(self, environ, start_response):
        path = environ['PATH_INFO']
        if not path.startswith('/v1.0/'):
            return self.keystone(environ, start_response)
        environ['SCRIPT_NAME'], environ['PATH_INFO'] = '/v1.0', path.removeprefix('/v1.0')
        return self.api(environ, start_response)

    def session(self):
        made = session.Session(auth=token_endpoint.Token(self.endpoint, stage.token()))
        self.addCleanup(made.session.close)
        return made

    def commands(self, program, names):
        env = {
            'PATH': '/usr/bin:/bin',
            'HOME': '/nonexistent',
            'LANG': 'C.UTF-8',
            'PROGRAM': program,
            'NAMES': ' '.join(names),
            'no_proxy': '127.0.0.1',
            'OS_AUTH_URL': f'{self.base}/v3',
            'OS_USERNAME': 'u',
            'OS_PASSWORD': 'p',
            'OS_PROJECT_NAME': 'p',
            'OS_USER_DOMAIN_ID': 'default',
            'OS_PROJECT_DOMAIN_ID': 'default',
            'OS_REGION_NAME': 'RegionOne',
        }
        done = subprocess.run(
            [sys.executable, '-c', _COMMANDS],
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]


class TestLibraries(ClientErrorsCase):
    def test_every_code_and_status_of_the_page_is_among_them(self):
        documented = {
            (code, int(status))
            for code, status in re.findall(
                r'``(\w+)``\n     - API (\d{3})', _CODES_PAGE.read_text('utf-8')
            )
        }
        answered = {(name, status) for name, (status, _) in self.wanted.items() if name.isupper()}
        self.assertEqual(documented, answered)

    def test_python_troveclient_raises_the_error_of_its_status_with_our_sentence_and_code(self):
        client = trove_client.Client(session=self.session(), endpoint_override=self.endpoint)
        for name, (status, message) in self.wanted.items():
            error = self.assertRaises(
                client_exceptions.HttpError, client.instances.upgrade, name, '11.8.6'
            )
            self.assertEqual(
                (status, client_exceptions._code_map[status]),
                (error.http_status, type(error)),
                name,
            )
            self.assertEqual(f'{message} (HTTP {status}) (Request-ID: ID)', without_ids(str(error)))

    def test_an_answer_arrives_although_the_body_of_its_request_was_not_read(self):
        def application(_environ, start_response):
            start_response('401 Unauthorized', [('Content-Type', 'text/plain')])
            return [b'x' * 2_000_000]

        base = self.served(application)
        for _ in range(20):
            answer = requests.patch(base, data=b'x' * 100_000, timeout=60)
            self.assertEqual((401, 2_000_000), (answer.status_code, len(answer.content)))

    def test_openstacksdk_raises_one_with_our_sentence_and_code(self):
        database_api = openstack.connection.Connection(session=self.session()).database
        for name, (status, message) in self.wanted.items():
            for answer in (
                database_api.get(f'/instances/{name}?fail=1'),
                database_api.patch(f'/instances/{name}', json={}),
            ):
                error = self.assertRaises(
                    openstack.exceptions.HttpException,
                    openstack.exceptions.raise_from_response,
                    answer,
                )
                self.assertEqual(
                    (status, message), (error.status_code, without_ids(error.details)), name
                )
                self.assertIn(message, without_ids(str(error)))

    def test_no_answer_has_a_header_that_python_troveclient_dies_of(self):
        for name in ERRORS:
            self.assertNotIn('Retry-After', self.ask('PATCH', f'/instances/{name}', {}).headers)

    def test_a_body_is_json_of_ascii_and_one_object_in_an_object_whatever_was_found(self):
        for name in ERRORS:
            answer = self.ask('PATCH', f'/instances/{name}', {})
            self.assertEqual(
                ('application/json', True, 1),
                (answer.content_type, answer.body.isascii(), len(answer.json)),
            )
            self.assertEqual({'code', 'message', 'error_code'}, set(self.fault(answer)))
