# SPDX-License-Identifier: Apache-2.0
import http.server
import io
import json
import threading

from lab import errors, rest
from trove_upgrade.tests.unit import base


class _Handler(http.server.BaseHTTPRequestHandler):
    """Keystone, and a service that takes its tokens; what was asked is kept."""

    protocol_version = 'HTTP/1.1'

    def answer(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        status, headers, content = self.server.answers.get(self.path, (404, {}, b''))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(content)))
        self.send_header('Connection', 'close')  # as the cloud's services do
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def do_PUT(self):
        self.answer()

    def do_DELETE(self):
        self.answer()

    def log_message(self, *_args):
        pass


class RestTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
        thread = threading.Thread(target=self.server.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(self.server.shutdown)
        self.server.seen = []
        token = {'token': {'expires_at': '2099-01-01T00:00:00Z', 'methods': ['password']}}
        self.server.answers = {
            '/v3/auth/tokens': (201, {'X-Subject-Token': 'secret'}, json.dumps(token).encode()),
            '/things': (200, {}, b'{"things": [1]}'),
            '/empty': (204, {}, b''),
            '/refused': (409, {}, b'{"conflict": "there is one already"}'),
        }
        self.url = f'http://127.0.0.1:{self.server.server_address[1]}'
        self.session = rest.Session(f'{self.url}/v3', 'demo', 'password', 'demo')

    def test_answers_are_parsed_and_the_token_is_taken_once(self):
        for _ in range(2):
            self.assertEqual(
                {'things': [1]}, self.session.request('GET', f'{self.url}/things', {'a': 'b'})
            )
        self.assertIsNone(self.session.request('DELETE', f'{self.url}/empty'))

        login, *requests = self.server.seen
        self.assertEqual('/v3/auth/tokens', login[1])
        self.assertEqual(
            [('/things', 'secret'), ('/things', 'secret'), ('/empty', 'secret')],
            [(path, headers['X-Auth-Token']) for _, path, headers, _ in requests],
        )
        self.assertEqual({'a': 'b'}, json.loads(requests[0][3]))

    def test_no_thread_of_a_service_is_held(self):
        self.session.request('GET', f'{self.url}/things')

        self.assertEqual(
            {'close'}, {headers['Connection'].lower() for _, _, headers, _ in self.server.seen}
        )

    def test_a_file_is_sent_as_it_is(self):
        self.session.upload(f'{self.url}/empty', io.BytesIO(b'\x00\xff'), 10)

        method, _path, headers, body = self.server.seen[-1]
        self.assertEqual(
            ('PUT', 'application/octet-stream', b'\x00\xff'),
            (method, headers['Content-Type'], body),
        )

    def test_a_refusal_is_told_with_what_the_service_said(self):
        error = self.assertRaises(
            errors.CommandFailed, self.session.request, 'POST', f'{self.url}/refused'
        )

        self.assertIn('answered with 409', str(error))
        self.assertIn('there is one already', str(error))

    def test_a_service_that_is_not_there_and_a_login_that_fails_are_told(self):
        for session, url in (
            (self.session, 'http://127.0.0.1:1/things'),
            (rest.Session('http://127.0.0.1:1/v3', 'demo', 'password', 'demo'), self.url),
        ):
            self.assertRaises(errors.CommandFailed, session.request, 'GET', url)
