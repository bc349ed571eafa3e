# SPDX-License-Identifier: Apache-2.0
import http.client
import http.server
import json
import threading

from lab import service_proxy
from trove_upgrade.tests.unit import base


class _Nova(http.server.BaseHTTPRequestHandler):
    """Says what it was asked."""

    protocol_version = 'HTTP/1.1'

    def _answer(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        self.server.seen.append((self.command, self.path, body))
        text = json.dumps(
            {'method': self.command, 'path': self.path, 'token': self.headers.get('X-Auth-Token')}
        ).encode()
        self.send_response(202 if self.command == 'POST' else 200)
        self.send_header('X-Compute-Request-Id', 'req-1')
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(text)

    do_GET = do_POST = do_HEAD = _answer  # noqa: N815  the base class looks for these names

    def log_message(self, *_args):
        pass


class ProxyTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.nova = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Nova)
        self.nova.seen = []
        self.proxy = service_proxy.Proxy(0, self.nova.server_port, service='Nova')
        for server in (self.nova, self.proxy):
            thread = threading.Thread(
                target=server.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True
            )
            thread.start()
            self.addCleanup(thread.join)
            self.addCleanup(server.server_close)
            self.addCleanup(server.shutdown)
        self.addCleanup(self.proxy.closing.set)

    def ask(self, method, path, body=None, timeout=20):
        connection = http.client.HTTPConnection(
            '127.0.0.1', self.proxy.server_port, timeout=timeout
        )
        try:
            connection.request(
                method,
                path,
                body=json.dumps(body) if body is not None else None,
                headers={'X-Auth-Token': 'secret'},
            )
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None, answer.headers
        finally:
            connection.close()

    def fault(self, **fault):
        self.assertEqual(201, self.ask('POST', '/__faults', fault)[0])

    def test_without_faults_everything_is_handed_on(self):
        status, body, headers = self.ask('POST', '/v2.1/servers/1/action?x=1', {'rebuild': {}})
        self.assertEqual(202, status)
        self.assertEqual(
            {'method': 'POST', 'path': '/v2.1/servers/1/action?x=1', 'token': 'secret'}, body
        )
        self.assertEqual('req-1', headers['X-Compute-Request-Id'])
        self.assertEqual(b'{"rebuild": {}}', self.nova.seen[0][2])

    def test_a_head_request_has_no_body(self):
        self.assertEqual((200, None), self.ask('HEAD', '/v2.1')[:2])

    def test_a_cinder_without_volumes_answers_beside_nova(self):
        found = self.ask('GET', f'{service_proxy.VOLUMES}/0123/volumes/detail?name=trove-1')
        self.assertEqual((200, {'volumes': []}), found[:2])
        self.assertEqual([], self.nova.seen)

    def test_a_refusal_never_reaches_nova(self):
        self.fault(action='refuse', method='POST', path='/action$', status=503)
        self.assertEqual(503, self.ask('POST', '/v2.1/servers/1/action', {})[0])
        self.assertEqual([], self.nova.seen)

    def test_a_fault_ends_after_its_count(self):
        self.fault(action='refuse', path='/servers', count=2)
        self.assertEqual([503, 503, 200], [self.ask('GET', '/v2.1/servers')[0] for _ in range(3)])

    def test_a_fault_without_end_is_ended_by_hand(self):
        self.fault(action='refuse', count=-1)
        self.assertEqual([503, 503], [self.ask('GET', '/')[0] for _ in range(2)])
        self.ask('DELETE', '/__faults')
        self.assertEqual(200, self.ask('GET', '/')[0])

    def test_only_matching_requests_are_met(self):
        self.fault(action='refuse', method='POST', path='/servers/1/', body='rebuild')
        self.assertEqual(200, self.ask('GET', '/servers/1/action')[0])
        self.assertEqual(202, self.ask('POST', '/servers/2/action', {'rebuild': {}})[0])
        self.assertEqual(202, self.ask('POST', '/servers/1/action', {'reboot': {}})[0])
        self.assertEqual(503, self.ask('POST', '/servers/1/action', {'rebuild': {}})[0])

    def test_an_accepted_request_can_look_like_a_failure(self):
        self.fault(action='accept_then_status', status=502)
        self.assertEqual(502, self.ask('POST', '/servers/1/action', {})[0])
        self.assertEqual(1, len(self.nova.seen))

    def test_an_answer_can_be_lost_after_nova_has_acted(self):
        self.fault(action='drop_answer', seconds=0)
        self.assertRaises(http.client.RemoteDisconnected, self.ask, 'POST', '/servers/1/action', {})
        self.assertEqual(1, len(self.nova.seen))

    def test_a_held_request_times_out_at_the_caller_and_never_arrives(self):
        self.fault(action='hold')
        self.assertRaises(TimeoutError, self.ask, 'GET', '/servers', timeout=0.2)
        self.assertEqual([], self.nova.seen)

    def test_a_delayed_request_arrives(self):
        self.fault(action='delay', seconds=0.05)
        self.assertEqual(200, self.ask('GET', '/servers')[0])

    def test_requests_are_counted_by_method_and_path(self):
        for method, path in (
            ('GET', '/servers/1'),
            ('POST', '/servers/1/action'),
            ('GET', '/images'),
        ):
            self.ask(method, path)
        found = self.ask('GET', '/__requests?method=GET&path=servers')[1]
        self.assertEqual(1, found['count'])
        self.ask('DELETE', '/__requests')
        self.assertEqual(0, self.ask('GET', '/__requests')[1]['count'])

    def test_an_unknown_action_is_refused(self):
        status, body, _headers = self.ask('POST', '/__faults', {'action': 'explode'})
        self.assertEqual(400, status)
        self.assertIn('refuse', body['message'])

    def test_unknown_fields_and_broken_patterns_are_refused(self):
        self.assertEqual(400, self.ask('POST', '/__faults', {'action': 'refuse', 'often': 3})[0])
        self.assertEqual(400, self.ask('POST', '/__faults', {'action': 'refuse', 'path': '('})[0])

    def test_what_is_left_can_be_seen(self):
        self.fault(action='refuse', path='/never', count=5)
        self.assertEqual(
            [('refuse', '/never', 5)],
            [
                (fault['action'], fault['path'], fault['count'])
                for fault in self.ask('GET', '/__faults')[1]['faults']
            ],
        )

    def test_a_nova_that_is_down_is_a_bad_gateway(self):
        self.nova.shutdown()
        self.nova.server_close()
        self.assertEqual(502, self.ask('GET', '/servers')[0])
