# SPDX-License-Identifier: Apache-2.0
"""Nova's answers have the servers of a fleet in them, in the form that the product reads."""

import http.client
import http.server
import json
import threading
import types

from trove_upgrade.clients import nova_servers
from trove_upgrade.domain.compute import ShownNic
from trove_upgrade.tests.fleet.nova_view import NovaView, ShownServer
from trove_upgrade.tests.unit import base

OWN = {'id': 'own', 'status': 'ACTIVE', 'tenant_id': 'p', 'addresses': {}}
FLEET = ShownServer(
    id='11111111-2222-3333-4444-555555555555',
    name='fleet-000',
    project_id='p',
    hypervisor='compute-00',
    mac='fa:16:3e:00:00:01',
    address='10.60.0.10',
)


class _Nova(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = json.dumps({'servers': [OWN], 'path': self.path}).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_args):
        pass


class TestNovaView(base.TestCase):
    def setUp(self):
        super().setUp()
        nova = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Nova)
        thread = threading.Thread(
            target=nova.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True
        )
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(nova.server_close)
        self.addCleanup(nova.shutdown)
        self.view = NovaView(nova.server_port, [FLEET])
        self.view.serve()
        self.addCleanup(self.view.end)

    def asked(self, path):
        connection = http.client.HTTPConnection('127.0.0.1', self.view.port, timeout=20)
        self.addCleanup(connection.close)
        connection.request('GET', path)
        return json.loads(connection.getresponse().read())

    def ids(self, query):
        return [one['id'] for one in self.asked(f'/v2.1/servers/detail?{query}')['servers']]

    def test_a_list_has_them_once_behind_novas_own(self):
        self.assertEqual(['own', FLEET.id], self.ids('all_tenants=1'))
        self.assertEqual([], self.ids(f'all_tenants=1&marker={FLEET.id}'))
        self.assertEqual(['own'], self.ids('all_tenants=1&marker=own'))

    def test_each_is_shown_as_the_product_reads_it(self):
        shown = self.asked(f'/v2.1/servers/{FLEET.id}')['server']
        found = nova_servers._as_server(types.SimpleNamespace(**shown))
        self.assertEqual(
            ('ACTIVE', 'p', 'compute-00', (ShownNic(FLEET.mac, FLEET.address),)),
            (found.status, found.project_id, found.hypervisor, found.nics),
        )

    def test_nova_answers_for_all_others(self):
        path = '/v2.1/servers/99999999-2222-3333-4444-555555555555'
        self.assertEqual(path, self.asked(path)['path'])
