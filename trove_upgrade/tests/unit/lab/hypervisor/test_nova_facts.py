# SPDX-License-Identifier: Apache-2.0
import base64
import types

from lab.hypervisor import nova_facts
from lab.hypervisor.volume import GIB
from lab.servers import Network, Port
from trove_upgrade.tests.unit import base


def vif(cidr, address, gateway):
    return {
        'address': 'fa:16:3e:00:00:01',
        'network': {
            'id': 'net-1',
            'subnets': [
                {
                    'cidr': cidr,
                    'gateway': {'address': gateway} if gateway else None,
                    'ips': [{'address': address}],
                }
            ],
        },
    }


class NovaFactsTest(base.TestCase):
    def test_a_port_has_the_address_that_neutron_gave_it(self):
        found = nova_facts.ports_of([vif('10.0.0.0/24', '10.0.0.7', '10.0.0.1')])

        self.assertEqual(
            [
                (
                    Network('net-1', '10.0.0.1', 24),
                    Port(
                        network_id='net-1',
                        mac='fa:16:3e:00:00:01',
                        address='10.0.0.7',
                        prefix_length=24,
                        gateway='10.0.0.1',
                    ),
                )
            ],
            found,
        )

    def test_a_subnet_without_a_gateway_still_has_a_place_for_the_broker(self):
        [(network, port)] = nova_facts.ports_of([vif('10.9.0.0/16', '10.9.0.7', None)])

        self.assertEqual('10.9.0.1', network.gateway)
        self.assertIsNone(port.gateway)

    def test_ports_with_only_ipv6_are_left_out(self):
        self.assertEqual([], nova_facts.ports_of([vif('fd00::/64', 'fd00::7', 'fd00::1')]))

    def test_the_volume_is_as_large_as_the_metadata_or_the_flavor_say(self):
        self.assertEqual(5 * GIB, nova_facts.volume_bytes(3, {nova_facts.VOLUME_SIZE_KEY: '5'}))
        self.assertEqual(3 * GIB, nova_facts.volume_bytes(3, {}))
        self.assertEqual(nova_facts.DEFAULT_VOLUME_GB * GIB, nova_facts.volume_bytes(0, {}))

    def test_user_data_comes_out_of_its_base64(self):
        self.assertEqual(
            b'#cloud-config\n',
            nova_facts.user_data_of(base64.b64encode(b'#cloud-config\n').decode()),
        )
        self.assertEqual(b'', nova_facts.user_data_of(None))

    def test_the_image_says_what_its_process_1_is(self):
        self.assertEqual('systemd', nova_facts.init_of({'image_lab_init': 'systemd'}))
        self.assertEqual('tini', nova_facts.init_of({}))

    def test_the_image_says_whether_its_guest_runs_containers_and_formats_its_volume(self):
        self.assertTrue(nova_facts.runs_containers({'image_lab_docker': 'true'}))
        self.assertFalse(nova_facts.runs_containers({}))
        self.assertTrue(nova_facts.wants_raw_volume({'image_lab_volume': 'raw'}))
        self.assertFalse(nova_facts.wants_raw_volume({}))

    def test_a_server_with_a_key_pair_is_told_its_public_key(self):
        instance = types.SimpleNamespace(
            uuid='s1',
            display_name='db',
            metadata={'a': 'b'},
            key_data='ssh-ed25519 AAAA operators\n',
        )
        told = nova_facts.meta_data_of(instance, 'image-1')
        self.assertEqual(['ssh-ed25519 AAAA operators'], told['public-keys'])
        self.assertEqual({'a': 'b'}, told['openstack']['meta'])

        instance.key_data = None
        self.assertNotIn('public-keys', nova_facts.meta_data_of(instance, 'image-1'))
