# SPDX-License-Identifier: Apache-2.0
"""A direct route's connection is one for short words: each is sent at once."""

import socket

from trove_upgrade.bridge.reach.direct import DirectRoute
from trove_upgrade.tests.unit import base


class TestDirectRoute(base.TestCase):
    def test_no_word_waits_for_the_acknowledgement_of_the_one_before(self):
        server = self.enterContext(socket.create_server(('127.0.0.1', 0)))
        connection = DirectRoute().connect('127.0.0.1', server.getsockname()[1], 5)
        self.addCleanup(connection.close)
        self.assertTrue(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
