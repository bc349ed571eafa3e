# SPDX-License-Identifier: Apache-2.0
import uuid

from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.reach.choice import Chassis, RouteChooser, Routing
from trove_upgrade.bridge.reach.direct import DirectRoute
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.bridge.reach.streams import Place, lost

NETWORK = str(uuid.UUID(int=7))
DHCP, METADATA = f'qdhcp-{NETWORK}', f'ovnmeta-{NETWORK}'


class TestChoice(base.TestCase):
    def choose(self, *nodes, local=None, chassis='compute-1', **routing):
        chooser = RouteChooser(
            Routing(**routing), local or Place('on this host'), [Chassis(*node) for node in nodes]
        )
        return chooser.choose(NETWORK, chassis)

    def test_a_routed_network_is_reached_directly_and_no_host_is_asked(self):
        local = Place('on this host', namespaces=[DHCP])
        found = self.choose(local=local, direct_network_ids=frozenset([NETWORK]))
        self.assertIsInstance(found.route, DirectRoute)
        self.assertEqual([], local.looks)

    def test_this_host_comes_before_the_nodes_and_these_in_their_order(self):
        one, two = (Place(f'on node-{number}', namespaces=[DHCP]) for number in (1, 2))
        here = self.choose((one, None), local=Place('on this host', namespaces=[DHCP]))
        self.assertEqual(f'through {DHCP} on this host', here.route.name)
        there = self.choose((Place(), None), (two, None), (one, None))
        self.assertEqual(f'through {DHCP} on node-2', there.route.name)
        self.assertEqual(
            [f'{DHCP} on this host', f'{DHCP} on node-1'], [one.where for one in there.tried]
        )

    def test_the_metadata_namespace_serves_the_guests_of_its_chassis_alone(self):
        node = Place(namespaces=[METADATA])
        found = self.choose((node, 'compute-1'))
        self.assertEqual(f'through {METADATA} on node-1', found.route.name)

        for name, chassis in (('compute-1', 'compute-2'), (None, 'compute-1'), ('compute-1', None)):
            self.assertRaises(errors.NoRoute, self.choose, (node, name), chassis=chassis)

    def test_a_metadata_namespace_of_this_host_is_used_too(self):
        local = Place('on this host', namespaces=[METADATA])
        found = self.choose(local=local, local_chassis='compute-1')
        self.assertEqual(f'through {METADATA} on this host', found.route.name)

    def test_the_dhcp_agents_namespace_is_preferred_wherever_it_is(self):
        local = Place('on this host', namespaces=[METADATA])
        node = Place(namespaces=[DHCP])
        found = self.choose((node, None), local=local, local_chassis='compute-1')
        self.assertEqual(f'through {DHCP} on node-1', found.route.name)

    def test_a_node_that_cannot_be_asked_is_passed_over_and_reported(self):
        found = self.choose((Place(error=lost()), None), (Place('on n3', [DHCP]), None))
        self.assertEqual(f'through {DHCP} on n3', found.route.name)
        self.assertIn('was lost', found.tried[1].found)

    def test_no_route_names_all_that_was_tried(self):
        found = self.assertRaises(
            errors.NoRoute, self.choose, (Place(error=lost()), None), (Place('on n3'), 'compute-3')
        )
        for words in (
            f'{DHCP} on this host: there is no such namespace',
            'was lost',
            'the guest is on compute-1, not on compute-3',
            'the host is not configured as a chassis',
        ):
            self.assertIn(words, found.message)

    def test_namespaces_of_this_host_can_be_left_out(self):
        local = Place('on this host', namespaces=[DHCP])
        found = self.assertRaises(errors.NoRoute, self.choose, local=local, local_namespaces=False)
        self.assertIn('no host is configured', found.message)
        self.assertEqual([], local.looks)

    def test_what_is_no_id_of_a_network_is_refused(self):
        chooser = RouteChooser(Routing(), Place(), [])
        self.assertRaises(errors.NamespaceRefused, chooser.choose, '../../etc', None)
