# SPDX-License-Identifier: Apache-2.0
"""A stand-in on loopback for Keystone, Nova, Glance, Neutron and Trove: real HTTP, so that
time-outs, 409 and 5xx are the real ones.
"""

import base64
import json
import socket
import threading
import wsgiref.simple_server

import fixtures
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.conf import compute as compute_conf

SERVER = '11111111-1111-4111-8111-111111111111'
USER_DATA = b'#cloud-config\n{}\n'
#: Seconds for a client that waits for an answer that does not come: a login before it must have
#: time enough on a busy machine too.
IMPATIENT = 3.0


class _Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *args):
        pass


class Cloud(fixtures.Fixture):
    """`answers` maps (method, path) to (status, body), with headers after that, to 'hang', or to a
    callable that makes one of the query; what is not there is answered from `server`.
    """

    def _setUp(self):
        self.requests = []
        self._headers = []
        self.answers = {}
        self.version = '2.93'
        self.actions = []
        self.events = {}
        self.hang = threading.Event()
        self.server = {
            'id': SERVER,
            'name': 'db1',
            'tenant_id': 'p1',
            'status': 'ACTIVE',
            'OS-EXT-STS:task_state': None,
            'image': {'id': 'image-1'},
            'locked': False,
            'metadata': {'kept': 'yes'},
            'OS-EXT-SRV-ATTR:user_data': base64.b64encode(USER_DATA).decode(),
            'host_status': 'UP',
            'OS-EXT-SRV-ATTR:host': 'c1',
            'flavor': {'ram': 512, 'disk': 4, 'vcpus': 1},
            'addresses': {
                'net': [
                    {'addr': '10.0.0.3', 'OS-EXT-IPS:type': 'fixed'},
                    {'addr': '192.0.2.7', 'OS-EXT-IPS:type': 'floating'},
                ]
            },
        }
        self.images = [
            {
                'id': 'image-2',
                'name': 'new',
                'status': 'active',
                'min_disk': 1,
                'min_ram': 256,
                'size': 5,
            }
        ]
        self._httpd = wsgiref.simple_server.make_server(
            '127.0.0.1', 0, self._app, handler_class=_Quiet
        )
        self.url = f'http://127.0.0.1:{self._httpd.server_port}'
        thread = threading.Thread(target=self._httpd.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        self.addCleanup(self._end, thread)

    def _end(self, thread):
        self.hang.set()
        self._httpd.shutdown()
        thread.join(10)
        self._httpd.server_close()

    def shows_nics(self):
        """The server has one NIC, whose hardware address is with each of its addresses."""
        for entry in self.server['addresses']['net']:
            entry['OS-EXT-IPS-MAC:mac_addr'] = 'fa:16:3e:00:00:01'

    def conf(self, **options):
        conf = cfg.ConfigOpts()
        our_conf.register_opts(conf)
        compute_conf.register_credentials(conf)
        conf(args=[])
        for name, value in {
            'auth_url': f'{self.url}/v3',
            'username': 'u',
            'password': 'p',
            'project_name': 's',
        }.items():
            conf.set_override(name, value, 'service_credentials')
        for name, value in options.items():
            conf.set_override(name, value, 'trove_upgrade')
        return conf

    def asked(self, method, path):
        return [body for verb, where, body in self.requests if (verb, where) == (method, path)]

    def headers(self, method, path, name):
        """The values of a header of the requests."""
        key = f'HTTP_{name.upper().replace("-", "_")}'
        return [
            environ.get(key)
            for verb, where, environ in self._headers
            if (verb, where) == (method, path)
        ]

    def queries(self, method, path):
        """The query of each request."""
        return [
            environ['QUERY_STRING']
            for verb, where, environ in self._headers
            if (verb, where) == (method, path)
        ]

    def _app(self, environ, start_response):
        method, path = environ['REQUEST_METHOD'], environ['PATH_INFO']
        length = int(environ.get('CONTENT_LENGTH') or 0)
        body = json.loads(environ['wsgi.input'].read(length)) if length else None
        self.requests.append((method, path, body))
        self._headers.append((method, path, environ))
        answer = self.answers.get((method, path))
        if callable(answer):
            answer = answer(environ['QUERY_STRING'])
        version = (environ.get('HTTP_OPENSTACK_API_VERSION') or 'compute 2.1').split()[-1]
        headers = [('Content-Type', 'application/json')]
        if answer == 'hang':
            self.hang.wait(60)
            answer = (500, {})
        if answer is None:
            after = 'marker=' in environ['QUERY_STRING']
            answer = self._normal(method, path, headers, version, after)
        status, document, *more = answer
        headers += [pair for each in more for pair in each.items()]
        start_response(f'{status} x', headers)
        if document is None or isinstance(document, bytes):
            return [document or b'']
        return [json.dumps(document).encode()]

    def _shown(self, version):
        """As Nova: user data from microversion 2.3 on, the sizes of the flavor from 2.47 on."""
        minor = int(version.partition('.')[2])
        hidden = {'OS-EXT-SRV-ATTR:user_data'} if minor < 3 else set()
        return {
            **{name: value for name, value in self.server.items() if name not in hidden},
            **({'flavor': {'id': '6'}} if minor < 47 else {}),
        }

    def _normal(self, method, path, headers, version, after=False):
        endpoint = {'region_id': 'R', 'region': 'R', 'interface': 'internal', 'id': 'e'}
        if path == '/v3/auth/tokens':
            headers.append(('X-Subject-Token', 'token'))
            catalog = [
                {
                    'type': kind,
                    'name': kind,
                    'id': kind,
                    'endpoints': [{**endpoint, 'url': self.url + where}],
                }
                for kind, where in (
                    ('compute', '/v2.1'),
                    ('image', ''),
                    ('network', ''),
                    ('database', '/v1.0/s'),
                )
            ]
            return 201, {
                'token': {
                    'catalog': catalog,
                    'methods': ['password'],
                    'expires_at': '2099-01-01T00:00:00.000000Z',
                    'issued_at': '2026-01-01T00:00:00.000000Z',
                    'user': {'id': 'u', 'name': 'u', 'domain': {'id': 'd', 'name': 'd'}},
                    'project': {'id': 's', 'name': 's', 'domain': {'id': 'd', 'name': 'd'}},
                    'roles': [],
                }
            }
        if path in {'/v3', '/v3/'}:
            return 200, {
                'version': {
                    'id': 'v3.14',
                    'status': 'stable',
                    'links': [{'rel': 'self', 'href': f'{self.url}/v3'}],
                }
            }
        routes = {
            '/': {
                'versions': [
                    {
                        'id': 'v2.0',
                        'status': 'CURRENT',
                        'links': [{'rel': 'self', 'href': f'{self.url}/v2.0/'}],
                    }
                ]
            },
            '/v2.1': {
                'version': {
                    'id': 'v2.1',
                    'version': self.version,
                    'min_version': '2.1',
                    'status': 'CURRENT',
                    'links': [],
                }
            },
            f'/v2.1/servers/{SERVER}': {'server': self._shown(version)},
            f'/v2.1/servers/{SERVER}/action': {'server': self.server},
            f'/v2.1/servers/{SERVER}/os-instance-actions': {'instanceActions': self.actions},
            '/v2.1/servers/detail': {'servers': [] if after else [self.server]},
            '/v2.1/limits': {'limits': {'rate': [], 'absolute': {'maxServerMeta': 128}}},
            '/v2/images': {'images': self.images},
            '/v2/images/image-2': self.images[0] if self.images else None,
        }
        routes['/v2.1/'] = routes['/v2.1']
        for request_id, events in self.events.items():
            action = next(action for action in self.actions if action['request_id'] == request_id)
            routes[f'/v2.1/servers/{SERVER}/os-instance-actions/{request_id}'] = {
                'instanceAction': {**action, 'events': events}
            }
        if path in routes:
            return (202 if method == 'POST' else 200), routes[path]
        return 404, {'itemNotFound': {'code': 404, 'message': 'no such thing'}}

    def action(
        self, request_id, *events, action='rebuild', start='2026-01-01T00:00:00', message=None
    ):
        """A recorded instance action; its events are (name, result)."""
        self.actions.append(
            {
                'action': action,
                'request_id': request_id,
                'start_time': start,
                'message': message,
                'instance_uuid': SERVER,
            }
        )
        self.events[request_id] = [{'event': name, 'result': result} for name, result in events]


def unused_url():
    """An address where nothing listens."""
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return f'http://127.0.0.1:{found.getsockname()[1]}/v3'
