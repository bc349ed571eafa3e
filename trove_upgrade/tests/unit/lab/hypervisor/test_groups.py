# SPDX-License-Identifier: Apache-2.0
import pathlib
import tempfile

from lab import errors
from lab.hypervisor.groups import guard, neutron, ruleset
from lab.hypervisor.groups.rules import Direction, PortRules, Rule
from lab.hypervisor.network import NetworkFabric, PluggedPort
from lab.servers import Network, Port
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.lab import fakes

SSH = Rule(
    direction=Direction.INGRESS, protocol='tcp', port_min=22, port_max=22, remotes=('10.0.0.2/32',)
)
PLUGGED = PluggedPort(namespace='ns', device='v0-abc', network_id='net-1', mac='fa:16')


def port(mac, *groups, addresses=(), **more):
    return {
        'network_id': 'net-1',
        'mac_address': mac,
        'security_groups': list(groups),
        'fixed_ips': [{'ip_address': address} for address in addresses],
        **more,
    }


def rule(group, **more):
    return {
        'security_group_id': group,
        'direction': 'ingress',
        'ethertype': 'IPv4',
        'protocol': None,
        'port_range_min': None,
        'port_range_max': None,
        'remote_ip_prefix': None,
        'remote_group_id': None,
        **more,
    }


class RulesTest(base.TestCase):
    def test_a_port_has_the_rules_of_all_its_groups_each_once(self):
        ssh = {
            'protocol': 'tcp',
            'port_range_min': 22,
            'port_range_max': 22,
            'remote_ip_prefix': '10.0.0.2/32',
        }
        rules = [rule('a', **ssh), rule('b', **ssh), rule('b', direction='egress'), rule('c')]

        found = neutron.rules_of([port('one', 'a', 'b')], rules)

        self.assertEqual({SSH, Rule(direction=Direction.EGRESS)}, set(found['net-1', 'one'].rules))
        self.assertEqual(2, len(found['net-1', 'one'].rules))

    def test_a_remote_group_is_the_addresses_of_its_members_of_that_family(self):
        ports = [
            port('one', 'a', addresses=('10.0.0.7', 'fd00::7')),
            port('two', 'b', addresses=('10.0.0.8',)),
            port('three', 'b', allowed_address_pairs=[{'ip_address': '10.0.1.0/24'}]),
        ]

        found = neutron.rules_of(ports, [rule('a', remote_group_id='b')])

        [only] = found['net-1', 'one'].rules
        self.assertEqual(('10.0.0.8', '10.0.1.0/24'), only.remotes)

    def test_a_remote_group_without_members_lets_nothing_through(self):
        found = neutron.rules_of([port('one', 'a')], [rule('a', remote_group_id='none')])

        [only] = found['net-1', 'one'].rules
        self.assertEqual((), only.remotes)
        self.assertNotIn('goto allow_in', ruleset.script('v0', PortRules(rules=(only,))))

    def test_a_group_of_addresses_lets_nothing_through_by_mistake(self):
        found = neutron.rules_of([port('one', 'a')], [rule('a', remote_address_group_id='g')])

        [only] = found['net-1', 'one'].rules
        self.assertEqual((), only.remotes)

    def test_a_port_without_port_security_is_open_and_one_without_a_group_is_closed(self):
        ports = [port('one', 'a', port_security_enabled=False), port('two')]

        found = neutron.rules_of(ports, [rule('a')])

        self.assertTrue(found['net-1', 'one'].open)
        self.assertEqual(PortRules(), found['net-1', 'two'])

    def test_the_order_of_neutron_s_answer_makes_no_difference(self):
        rules = [rule('a', protocol=name) for name in ('tcp', 'udp', 'icmp')]
        ports = [port('one', 'a')]

        self.assertEqual(neutron.rules_of(ports, rules), neutron.rules_of(ports, rules[::-1]))


class RulesetTest(base.TestCase):
    def lines(self, *rules):
        text = ruleset.script('v0-abc', PortRules(rules=rules))
        return [line.partition('security_groups ')[2] for line in text.splitlines()]

    def test_a_rule_stands_before_the_drop(self):
        lines = self.lines(SSH)

        wanted = (
            'to_v0-abc ether type ip ip saddr 10.0.0.2/32 meta l4proto tcp th dport 22-22 '
            'goto allow_in'
        )
        self.assertIn(wanted, lines)
        self.assertLess(lines.index(wanted), lines.index('to_v0-abc drop'))
        self.assertIn('from_v0-abc drop', lines)

    def test_the_ports_of_icmp_are_its_type_and_its_code(self):
        [line] = [
            line
            for line in self.lines(
                Rule(
                    direction=Direction.INGRESS,
                    ethertype='IPv6',
                    protocol='ipv6-icmp',
                    port_min=128,
                    port_max=0,
                )
            )
            if 'goto' in line
        ]
        self.assertIn('ip6 meta l4proto icmpv6 icmpv6 type 128 icmpv6 code 0', line)

    def test_a_chain_is_replaced_in_one_script(self):
        lines = self.lines(SSH)

        self.assertIn('to_v0-abc', lines[0])
        self.assertIn('known { "v0-abc" }', lines[-1])


class Source:
    def __init__(self, found):
        self.found = found
        self.error = None

    def read(self):
        if self.error:
            raise self.error
        return self.found


class GuardTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.commands = fakes.Commands()
        self.source = Source({('net-1', 'fa:16'): PortRules(rules=(SSH,))})
        self.told = []
        self.guard = guard.Guard(self.source, lambda: [PLUGGED], self.commands, self.told.append)

    def test_what_has_not_changed_is_set_once(self):
        self.guard.look()
        self.guard.look()
        self.assertEqual(1, len(self.commands.ran))

        self.source.found = {('net-1', 'fa:16'): PortRules()}
        self.guard.look()
        self.assertEqual(2, len(self.commands.ran))

    def test_what_could_not_be_set_is_tried_again(self):
        self.commands.answer('nsenter', returncode=1)
        self.guard.look()
        self.guard.look()

        self.assertEqual(2, len(self.commands.ran))
        self.assertEqual(2, len(self.told))

    def test_a_port_that_neutron_does_not_know_stays_as_it_is(self):
        self.source.found = {}
        self.guard.look()

        self.assertEqual([], self.commands.ran)

    def test_while_the_rules_cannot_be_read_those_of_before_stay(self):
        self.guard.look()
        self.source.error = errors.CommandFailed('no Neutron')
        self.guard.look()
        self.source.error = None
        self.guard.look()

        self.assertEqual(1, len(self.commands.ran))


class GuardedFabricTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.commands = fakes.Commands()
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def fabric(self, *, guarded):
        return NetworkFabric(self.directory, self.commands, broker=None, guarded=guarded)

    def tables(self):
        return [line for line in self.commands.ran if line.endswith('nft -f -')]

    def test_a_network_is_closed_before_it_is_up(self):
        self.fabric(guarded=True).ensure(Network('net-1', '10.0.0.1', 24))

        [table] = self.tables()
        up = next(line for line in self.commands.ran if line.endswith('br0 up'))
        self.assertLess(self.commands.ran.index(table), self.commands.ran.index(up))

    def test_it_is_off_by_default(self):
        NetworkFabric(self.directory, self.commands, None).ensure(Network('net-1', '10.0.0.1', 24))

        self.assertEqual([], self.tables())

    def test_each_port_of_each_guest_is_found_by_the_host_s_end(self):
        fabric = self.fabric(guarded=True)
        ports = [
            Port(network_id=network, mac=mac, address='10.0.0.7', prefix_length=24)
            for network, mac in (('net-1', 'a'), ('net-2', 'b'))
        ]
        fabric.attach('one', ports)

        found = fabric.plugged()

        self.assertEqual(['a', 'b'], [one.mac for one in found])
        made = [line.split()[5] for line in self.commands.ran if 'type veth' in line]
        self.assertEqual(made, [one.device for one in found])
