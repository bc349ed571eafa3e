# SPDX-License-Identifier: Apache-2.0
"""A network node that cannot be reached holds up no more than its first guest."""

import pathlib

import fixtures
import paramiko

from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.reach.known_hosts import KnownHosts
from trove_upgrade.bridge.reach.logins import Login
from trove_upgrade.bridge.reach.network_node import NetworkNode, NodeAddress
from trove_upgrade.bridge.reach.session import Limits
from trove_upgrade.tests import base

NAMESPACE = 'qdhcp-11111111-2222-4333-8444-555555555555'


class Swallowing:
    """Route that takes the whole time-out of each connection."""

    name = 'directly'

    def __init__(self):
        self.tried, self.seconds = 0, 0.0

    def connect(self, address, port, timeout_seconds):
        self.tried += 1
        self.seconds += timeout_seconds
        raise errors.TimedOut(
            address=address,
            port=port,
            route=self.name,
            phase='connection',
            seconds=timeout_seconds,
            source='the bridge',
        )

    def monotonic(self):
        return self.seconds


class TestNodeThatIsDown(base.TestCase):
    def test_it_is_not_tried_for_each_network_anew_and_then_again(self):
        route, key = Swallowing(), paramiko.ECDSAKey.generate()
        known_hosts = pathlib.Path(self.useFixture(fixtures.TempDir()).join('known_hosts'))
        known_hosts.write_text(f'network-1 {key.get_name()} {key.get_base64()}\n')
        node = NetworkNode(
            NodeAddress(host='network-1', port=22, login=Login(user='root')),
            KnownHosts(known_hosts),
            limits=Limits(),
            clock=route,
            route=route,
        )
        self.addCleanup(node.close)
        for _ in range(50):
            self.assertRaises(errors.TimedOut, node.has, NAMESPACE)
        self.assertRaises(errors.TimedOut, lambda: node.host)
        self.assertEqual(1, route.tried)
        route.seconds += 60
        self.assertRaises(errors.TimedOut, node.has, NAMESPACE)
        self.assertEqual(2, route.tried)
