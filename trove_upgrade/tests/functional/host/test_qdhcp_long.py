# SPDX-License-Identifier: Apache-2.0
"""Namespaces of Neutron's DHCP agent, by themselves: on this host and on a network node, for two
networks that have the same addresses.
"""

import contextlib
import pathlib
import subprocess

from lab.hypervisor.groups.rules import PortRules
from lab.hypervisor.host import LabHost
from lab.hypervisor.netns import connect_in
from lab.servers import DhcpPort
from trove_upgrade.tests.functional.host import test_lab_guests, test_old_guests_long
from trove_upgrade.tests.functional.host.port_rules import OUT, Rules, allowed, enforce

NEAR, FAR = (
    '3f2a9c10-0000-4000-8000-00000000000a',
    '3f2a9c10-0000-4000-8000-00000000000b',
)
DHCP_ADDRESS = '10.0.0.2'
DROPPED_SECONDS = 1.0


class QdhcpCase(test_old_guests_long.OldGuestCase):
    def guest_of(self, network_id, name):
        return self.guest(
            self.former,
            name=name,
            network_id=network_id,
            user_data=b'',
            injected_files=self.files(),
        )

    def dhcp_port(self, network_id):
        return DhcpPort(
            network_id=network_id,
            port_id='7e57ab1e-dead-4000-8000-000000000001',
            mac='fa:16:3e:00:00:02',
            address=DHCP_ADDRESS,
            prefix_length=24,
            gateway='10.0.0.1',
        )


class QdhcpTest(QdhcpCase):
    def setUp(self):
        super().setUp()
        self.near, self.far = self.guest_of(NEAR, 'near'), self.guest_of(FAR, 'far')

    def boot_node(self):
        return self.host.boot_node(
            'network-node',
            self.former.path,
            init=self.former.init,
            authorized_key=self.key.with_suffix('.pub').read_text().strip(),
        )

    def on_node(self, node, command):
        argv = ['ssh', *self.ssh_options(), f'root@{node.address}', command]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout.strip()

    def host_key(self, guest):
        return self.shell(guest, 'cut -d" " -f2 /etc/ssh/ssh_host_ed25519_key.pub')

    def scan(self, namespace):
        return (
            f'ip netns exec {namespace} ssh-keyscan -t ed25519 {test_lab_guests.ADDRESS} '
            '2> /dev/null | cut -d" " -f3'
        )

    def test_a_guest_is_reached_from_the_namespace_on_this_host(self):
        name = self.host.fabric.plug_dhcp(self.dhcp_port(NEAR))

        self.assertEqual(f'qdhcp-{NEAR}', name)
        shown = subprocess.run(
            ['ip', 'netns', 'exec', name, 'ip', '-brief', 'address'],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        self.assertRegex(shown, rf'tap7e57ab1e-de@\S+ +UP +{DHCP_ADDRESS}/24')
        found = subprocess.run(
            ['/bin/sh', '-c', self.scan(name)], capture_output=True, text=True, check=True
        )
        self.assertEqual(self.host_key(self.near), found.stdout.strip())

    def test_a_node_shows_and_reaches_its_own_network_alone(self):
        near = self.host.fabric.plug_dhcp(self.dhcp_port(NEAR))
        node = self.boot_node()
        far = self.host.fabric.plug_dhcp(self.dhcp_port(FAR), node.server)

        listed = self.on_node(node, 'ip netns list | cut -d" " -f1')
        self.assertEqual(f'qdhcp-{FAR}', listed)
        here = subprocess.run(
            ['ip', 'netns', 'list'], capture_output=True, text=True, check=True
        ).stdout
        self.assertIn(near, here)
        self.assertNotIn(far, here)
        self.assertEqual(self.host_key(self.far), self.on_node(node, self.scan(far)))
        self.assertNotEqual(self.host_key(self.near), self.host_key(self.far))

    def test_it_is_made_anew_in_place_and_goes_with_its_network(self):
        self.host.fabric.plug_dhcp(self.dhcp_port(NEAR))
        name = self.host.fabric.plug_dhcp(self.dhcp_port(NEAR))

        self.near.destroy()
        self.host.fabric.remove(NEAR)

        listed = subprocess.run(
            ['ip', 'netns', 'list'], capture_output=True, text=True, check=True
        ).stdout
        self.assertNotIn(name, listed)


class ClosedPortTest(QdhcpCase):
    """A guest's real sshd behind a group of its own, as a bridge opens and closes it."""

    def setUp(self):
        super().setUp()
        self.host = LabHost.open(self.host.directory, security_groups=True)
        self.rules = Rules()
        self.guest_of(NEAR, 'near')
        self.namespace = self.host.fabric.plug_dhcp(self.dhcp_port(NEAR))
        enforce(self, self.host, self.rules)

    def set_rules(self, *rules):
        [port] = self.host.guests.get('near').ports
        self.rules.of_port[NEAR, port.mac] = PortRules(rules=(OUT, *rules))

    def greets(self, namespace):
        """Whether the sshd answers; a refusal would be an error of this test."""
        place, target = pathlib.Path('/run/netns', namespace), (test_lab_guests.ADDRESS, 22)
        with (
            contextlib.suppress(TimeoutError),
            connect_in(place, target, DROPPED_SECONDS) as connection,
        ):
            return connection.recv(100).startswith(b'SSH-2.0')
        return False

    def test_it_is_open_for_the_namespace_of_the_bridge_alone_and_only_meanwhile(self):
        gateway = self.host.fabric.network_namespace(NEAR)
        self.set_rules()
        seen = self.rules.reads
        self.wait_until(lambda: self.rules.reads > seen + 1, 'the rules')
        self.assertFalse(self.greets(self.namespace))

        self.set_rules(allowed(22, f'{DHCP_ADDRESS}/32'))
        self.wait_until(lambda: self.greets(self.namespace), 'the port to be open')
        self.assertFalse(self.greets(gateway))

        self.set_rules()
        self.wait_until(lambda: not self.greets(self.namespace), 'the port to be closed')
        self.assertFalse(self.greets(gateway))
