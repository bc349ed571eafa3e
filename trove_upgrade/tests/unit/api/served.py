# SPDX-License-Identifier: Apache-2.0
"""The API over loopback, by the server of trove-upgrade-api."""

import re
import threading

import fixtures
from keystoneauth1 import session, token_endpoint

from trove_upgrade.cmd import api as api_command
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.api import stage

_BARE_TIME = re.compile(r'\d{4}-\d\d-\d\dT[\d:.]+')


def with_zones(answered):
    """An answer with the times as our client has them: with the zone that the API leaves out."""
    if isinstance(answered, dict):
        return {name: with_zones(value) for name, value in answered.items()}
    if isinstance(answered, list):
        return [with_zones(each) for each in answered]
    is_time = isinstance(answered, str) and _BARE_TIME.fullmatch(answered)
    return f'{answered}Z' if is_time else answered


class ServedApiTestCase(stage.ApiTestCase):
    """Clients speak to a real socket; whom the token names is told by the roles."""

    def database_url(self):
        return f'sqlite:///{self.useFixture(fixtures.TempDir()).path}/api.db?timeout=60'

    def setUp(self):
        super().setUp()
        server = api_command.new_server(self.app.app, '127.0.0.1', 0)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        self.addCleanup(thread.join, 10)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.endpoint = f'http://127.0.0.1:{server.server_address[1]}/{database.PROJECT}'

    def session(self, roles):
        auth = token_endpoint.Token(self.endpoint, stage.token(roles))
        keystone = session.Session(auth=auth)
        self.addCleanup(keystone.session.close)
        return keystone
