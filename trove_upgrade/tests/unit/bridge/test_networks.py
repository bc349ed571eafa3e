# SPDX-License-Identifier: Apache-2.0
"""From each tenant network, what guests need is reached, or the report names what is not."""

import socket

from trove_upgrade.bridge.preconditions.networks import Networks, Service
from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.reach.ports import Reachability
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.bridge.guests import Chooser
from trove_upgrade.tests.unit.bridge.test_openings import a_port
from trove_upgrade.tests.unit.db.test_bridge_runs import listed

BROKER = Service(what='broker', host='broker', port=5672)


class TestNetworks(base.TestCase):
    def setUp(self):
        super().setUp()
        self.answers = {'192.0.2.1': Reachability(reached=True, found='connected')}
        self.names = {'broker': ['192.0.2.1']}
        self.chooser = Chooser('net-1', 'net-2')
        self.chooser.reaches = self.reaches

    def reaches(self, address, port, seconds):
        answer = self.answers[address]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def resolve(self, host):
        if host not in self.names:
            raise socket.gaierror(-2, 'Name or service not known')
        return self.names[host]

    def look(self, *services):
        instances = [
            self.on('net-1'),
            self.on('net-1'),
            self.on('net-2'),
        ]
        networks = Networks(chooser=self.chooser, services=services, resolve=self.resolve)
        return list(networks.look(instances))

    def on(self, network_id):
        one = listed('i')
        return one.__class__(**{**vars(one), 'ports': (a_port(network_id=network_id),)})

    def test_each_network_is_tried_once(self):
        found = self.look(BROKER)
        self.assertEqual(['network net-1', 'network net-2'], [one.name for one in found])
        self.assertEqual({'ok'}, {one.outcome for one in found})

    def test_a_service_behind_several_addresses_is_reached_by_one(self):
        self.names['broker'] = ['192.0.2.9', '192.0.2.1']
        self.answers['192.0.2.9'] = Reachability(reached=False, found='no answer within 5 s')
        self.assertEqual({'ok'}, {one.outcome for one in self.look(BROKER)})

    def test_what_is_not_reached_names_the_route_and_each_address(self):
        self.answers['192.0.2.1'] = Reachability(reached=False, found='refused')
        first = self.look(BROKER)[0]
        self.assertEqual(('refused', 'BRIDGE_SERVICE_UNREACHABLE'), (first.outcome, first.code))
        for word in ('broker broker:5672', '192.0.2.1: refused', 'qdhcp-net-1'):
            self.assertIn(word, first.message)

    def test_what_cannot_be_tried_is_not_called_unreachable(self):
        self.answers['192.0.2.1'] = errors.RelayFailed(route='x', found='no python3')
        self.assertEqual({'unknown'}, {one.outcome for one in self.look(BROKER)})
        self.names = {}
        self.assertEqual({'unknown'}, {one.outcome for one in self.look(BROKER)})

    def test_a_network_that_no_route_leads_into_is_refused(self):
        self.chooser.network_ids = ('net-2',)
        first, second = self.look()
        self.assertEqual(
            ('refused', 'REACH_NO_ROUTE', 'ok'), (first.outcome, first.code, second.outcome)
        )
