# SPDX-License-Identifier: Apache-2.0
import ipaddress
import pathlib
import tempfile

from lab.hypervisor.errors import GuestNotRunning
from lab.hypervisor.host import LabHost
from lab.hypervisor.node import ends
from lab.servers import DhcpPort, Network
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.lab import fakes

PORT = DhcpPort(
    network_id='0c5cbe34-0b0e-4a1c-bd19-7d5e3f0f6a11',
    port_id='7e57ab1e-dead-4000-8000-000000000001',
    mac='fa:16:3e:00:00:02',
    address='10.0.0.2',
    prefix_length=24,
    gateway='10.0.0.1',
)
NAME = f'qdhcp-{PORT.network_id}'


class Node:
    """A network node that remembers what was run on it."""

    id = 'node'

    def __init__(self, pid):
        self.pid = pid
        self.ran = []

    def exec(self, argv, **_options):
        self.ran.append(' '.join(argv))


class DhcpNamespaceTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.commands = fakes.Commands()
        directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.host = LabHost.open(directory, commands=self.commands)
        self.host.fabric.ensure(Network(PORT.network_id, '10.0.0.1', 24))
        self.commands.ran.clear()

    def test_it_has_the_name_the_address_and_the_interface_that_an_agent_gives_it(self):
        self.assertEqual(NAME, self.host.fabric.plug_dhcp(PORT))

        [link] = [line for line in self.commands.ran if 'type veth' in line]
        self.assertIn(
            f'name tap7e57ab1e-de address fa:16:3e:00:00:02 netns /run/netns/{NAME}', link
        )
        self.assertIn(f'ip -n {NAME} addr add 10.0.0.2/24 dev tap7e57ab1e-de', self.commands.ran)
        self.assertIn(f'ip -n {NAME} route replace default via 10.0.0.1', self.commands.ran)

    def test_its_port_has_no_name_of_a_guest_s_and_fits_the_kernel(self):
        self.host.fabric.plug_dhcp(PORT)

        [link] = [line for line in self.commands.ran if 'type veth' in line]
        name = link.split()[5]
        self.assertLessEqual(len(name), 15)
        self.assertFalse(name.startswith('v'))

    def test_on_a_node_nothing_of_it_is_named_on_this_host(self):
        node = Node(pid=4711)

        self.host.fabric.plug_dhcp(PORT, node)

        self.assertIn(f'ip netns add {NAME}', node.ran)
        self.assertEqual([], self.commands.ran_beginning(f'ip -n {NAME}'))
        [link] = [line for line in self.commands.ran if 'type veth' in line]
        self.assertIn(f'netns /proc/4711/root/run/netns/{NAME}', link)

    def test_a_node_that_does_not_run_has_none(self):
        self.assertRaises(GuestNotRunning, self.host.fabric.plug_dhcp, PORT, Node(pid=None))

    def test_a_removed_network_leaves_no_record_of_it(self):
        self.host.fabric.plug_dhcp(PORT)

        self.host.fabric.remove(PORT.network_id)

        self.assertEqual([], list((self.host.directory / 'networks').iterdir()))


class NodeTest(base.TestCase):
    def test_a_cable_has_two_addresses_of_one_small_network(self):
        here, there = ends('/var/tmp/lab/node')

        network = ipaddress.ip_network(f'{here}/30', strict=False)
        self.assertEqual([here, there], list(network.hosts()))
        self.assertTrue(network.subnet_of(ipaddress.ip_network('198.18.0.0/15')))

    def test_two_labs_on_one_machine_share_no_cable(self):
        self.assertNotEqual(ends('/one/node'), ends('/other/node'))
