# SPDX-License-Identifier: Apache-2.0
import pathlib
import tempfile

from lab.hypervisor.daemons import forwarder_configuration
from lab.hypervisor.network import NetworkFabric
from lab.servers import Network, Port, gateway_of
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.lab import fakes

NETWORK = Network('net-1', '10.0.0.1', 24)
PORT = Port(
    network_id='net-1',
    mac='fa:16:3e:00:00:01',
    address='10.0.0.7',
    prefix_length=24,
    gateway='10.0.0.1',
)


class NetworkFabricTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.commands = fakes.Commands()
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.fabric = NetworkFabric(
            self.directory / 'networks', self.commands, broker=('127.0.0.1', 25672)
        )

    def test_the_host_s_own_namespace_gets_no_interface(self):
        self.fabric.ensure(NETWORK)
        self.fabric.attach('guest-1', [PORT])

        for line in self.commands.ran_beginning('ip '):
            self.assertTrue(line.startswith(('ip netns ', 'ip -n ')), line)

    def test_a_network_without_a_broker_has_no_forwarder(self):
        NetworkFabric(self.directory / 'other', self.commands, broker=None).ensure(NETWORK)

        self.assertEqual([], self.commands.ran_beginning('haproxy'))

    def test_what_a_guest_is_shown_goes_with_it(self):
        self.fabric.ensure(NETWORK)
        self.fabric.publish([PORT], b'user data', '{}')
        self.fabric.attach('guest-1', [PORT])
        shown = self.directory / 'networks/net-1/metadata/10.0.0.7'
        self.assertEqual(b'user data', (shown / 'user_data').read_bytes())

        self.fabric.detach('guest-1')

        self.assertFalse(shown.exists())

    def test_interface_names_fit_into_the_kernel_s_fifteen_characters(self):
        self.fabric.attach('0c5cbe34-0b0e-4a1c-bd19-7d5e3f0f6a11', [PORT])

        [line] = [line for line in self.commands.ran if 'type veth' in line]
        self.assertLessEqual(len(line.split()[5]), 15)

    def test_two_labs_on_one_machine_share_no_names(self):
        other = NetworkFabric(self.directory / 'other', self.commands, broker=None)

        self.assertNotEqual(
            self.fabric.network_namespace('net-1'), other.network_namespace('net-1')
        )

    def test_a_removed_network_leaves_no_files_and_may_be_removed_again(self):
        self.fabric.ensure(NETWORK)

        self.fabric.remove('net-1')
        self.fabric.remove('net-1')

        self.assertEqual([], list((self.directory / 'networks').iterdir()))


class AddressTest(base.TestCase):
    def test_a_subnet_s_gateway_is_its_own_or_its_first_address(self):
        self.assertEqual('10.0.0.254', gateway_of('10.0.0.0/24', '10.0.0.254'))
        self.assertEqual('10.0.0.1', gateway_of('10.0.0.0/24', None))

    def test_the_forwarder_outlasts_amqp_heartbeats(self):
        configuration = forwarder_configuration('10.0.0.1', 'space', ('127.0.0.1', 5672))

        self.assertIn('timeout client 1h', configuration)
        self.assertIn('timeout server 1h', configuration)
