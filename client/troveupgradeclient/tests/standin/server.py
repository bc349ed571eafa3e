# SPDX-License-Identifier: Apache-2.0
"""The application on loopback, in a thread."""

import socketserver
import threading
from wsgiref import simple_server

import fixtures

from troveupgradeclient.tests.standin.application import Application, Release
from troveupgradeclient.tests.standin.world import World


class _Handler(simple_server.WSGIRequestHandler):
    protocol_version = 'HTTP/1.0'

    def log_message(self, *_arguments):
        """Nothing: a test that passes is silent."""


class _Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True


class StandIn(fixtures.Fixture):
    """The service, a Trove around it and a Keystone, from here to the end of the test."""

    def __init__(self, release=Release.NEWEST):
        super().__init__()
        self.world = World()
        self.application = Application(self.world, release)

    def _setUp(self):
        server = simple_server.make_server(
            '127.0.0.1', 0, self.application, server_class=_Server, handler_class=_Handler
        )
        self.application.base = self.base = f'http://127.0.0.1:{server.server_port}'
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        self.addCleanup(thread.join, 10)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)

    @property
    def environment(self):
        """Variables by which the openstack command finds it."""
        return {
            'OS_AUTH_URL': f'{self.base}/v3',
            'OS_USERNAME': 'demo',
            'OS_PASSWORD': 'p',
            'OS_PROJECT_NAME': 'demo',
            'OS_USER_DOMAIN_ID': 'default',
            'OS_PROJECT_DOMAIN_ID': 'default',
            'OS_REGION_NAME': 'RegionOne',
            'no_proxy': '127.0.0.1',
        }
