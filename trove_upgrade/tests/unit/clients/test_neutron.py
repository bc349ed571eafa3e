# SPDX-License-Identifier: Apache-2.0
"""The client of Neutron against HTTP on loopback: what each answer means."""

import datetime
import json

from trove_upgrade.clients import clouds
from trove_upgrade.clients.neutron import Neutron
from trove_upgrade.domain import network
from trove_upgrade.domain.compute import ShownNic
from trove_upgrade.domain.inventory import CloudServer
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.clients import cloud

PORT = {
    'id': 'port-1',
    'network_id': 'net-1',
    'project_id': 'p1',
    'device_id': 'server-1',
    'mac_address': 'fa:16:3e:00:00:07',
    'fixed_ips': [{'ip_address': '10.0.0.7', 'subnet_id': 's'}],
    'security_groups': ['default'],
    'port_security_enabled': True,
    'revision_number': 7,
    'binding:host_id': 'c1',
}
AS_PORT = network.NetworkPort(
    id='port-1',
    network_id='net-1',
    project_id='p1',
    server_id='server-1',
    mac_address='fa:16:3e:00:00:07',
    addresses=('10.0.0.7',),
    groups=('default',),
    is_filtered=True,
    revision=7,
    host='c1',
)
GROUP = {
    'id': 'group-1',
    'name': 'ours',
    'description': 'text',
    'project_id': 'p1',
    'created_at': '2026-01-02T03:04:05Z',
    'security_group_rules': [
        {'id': 'rule-1', 'direction': 'egress', 'ethertype': 'IPv4', 'description': None}
    ],
}
AS_GROUP = network.SecurityGroup(
    id='group-1',
    name='ours',
    description='text',
    project_id='p1',
    rules=(
        network.GroupRule(
            id='rule-1',
            direction='egress',
            protocol=None,
            port_range=(None, None),
            source=None,
            description='',
        ),
    ),
    created_at=datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
)
NOT_FOUND = (404, {'NeutronError': {'type': 'PortNotFound', 'message': 'no', 'detail': ''}})


def conflict(kind):
    return 409, {'NeutronError': {'type': kind, 'message': 'because', 'detail': ''}}


class NeutronTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(cloud.Cloud())
        self.neutron = Neutron.from_conf(self.cloud.conf())

    def answers(self, method, path, answer):
        self.cloud.answers[method, f'/v2.0{path}'] = answer


class TestReading(NeutronTestCase):
    def test_a_port_is_read_with_its_groups_and_its_revision(self):
        self.answers('GET', '/ports/port-1', (200, {'port': PORT}))
        self.assertEqual(AS_PORT, self.neutron.port('port-1'))

    def test_a_port_without_port_security_is_not_filtered(self):
        bare = {
            'id': 'port-1',
            'network_id': 'net-1',
            'project_id': 'p1',
            'port_security_enabled': False,
        }
        self.answers('GET', '/ports/port-1', (200, {'port': bare}))
        found = self.neutron.port('port-1')
        self.assertEqual(
            (False, (), (), None, None, '', ''),
            (
                found.is_filtered,
                found.groups,
                found.addresses,
                found.revision,
                found.host,
                found.server_id,
                found.mac_address,
            ),
        )

    def test_a_neutron_that_filters_nothing_by_group_still_gives_the_ports_that_have_it(self):
        other = {**PORT, 'id': 'port-2', 'security_groups': ['group-1', 'default']}
        self.answers('GET', '/ports', (200, {'ports': [PORT, other]}))
        self.assertEqual(['port-2'], [port.id for port in self.neutron.ports_with_group('group-1')])
        self.assertEqual(2, len(self.neutron.ports_that_name(['server-1'])))
        self.assertEqual([], self.neutron.ports_that_name([]))

    def test_groups_come_with_their_rules(self):
        self.answers('GET', '/security-groups', (200, {'security_groups': [GROUP]}))
        self.assertEqual([AS_GROUP], self.neutron.groups_named('ours'))

    def test_a_group_is_as_old_as_neutron_tells_and_of_no_age_where_it_does_not(self):
        made = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
        for text, expected in (
            ('2026-01-02T03:04:05Z', made),
            ('2026-01-02T03:04:05', made),
            ('yesterday', None),
            (None, None),
        ):
            with self.subTest(text):
                group = {**GROUP, 'created_at': text}
                self.answers('GET', '/security-groups', (200, {'security_groups': [group]}))
                [found] = self.neutron.groups_named('ours')
                self.assertEqual(expected, found.created_at)

    def test_what_is_not_there_is_told_from_what_gives_no_answer(self):
        self.answers('GET', '/ports/port-1', NOT_FOUND)
        self.assertRaises(network.PortNotFound, self.neutron.port, 'port-1')
        for answer in ((500, {}), (503, {}), (403, {}), (429, {})):
            with self.subTest(answer):
                self.answers('GET', '/ports/port-1', answer)
                error = self.assertRaises(network.NetworkUnavailable, self.neutron.port, 'port-1')
                self.assertIn('port port-1', error.message)

    def test_a_neutron_that_hangs_is_no_answer(self):
        self.answers('GET', '/ports/port-1', 'hang')
        impatient = Neutron.from_conf(self.cloud.conf(compute_timeout=cloud.IMPATIENT))
        self.assertRaises(network.NetworkUnavailable, impatient.port, 'port-1')

    def test_a_keystone_that_is_away_is_no_answer(self):
        neutron = Neutron.from_conf(self.cloud.conf())
        self.cloud.answers['POST', '/v3/auth/tokens'] = (500, {})
        self.assertRaises(network.NetworkUnavailable, neutron.port, 'port-1')


class TestUserNic(NeutronTestCase):
    MINE = {**PORT, 'id': 'port-2', 'name': 'trove-mgmt-i'}
    SHOWN = CloudServer(
        id='server-1',
        project_id='p1',
        status='ACTIVE',
        nics=(
            ShownNic('fa:16:3e:00:00:07', '10.0.0.7'),
            ShownNic('fa:16:3e:00:00:01', '10.0.0.7'),
            ShownNic('fa:16:3e:00:00:01', '2001:db8::7'),
        ),
    )
    USERS = {
        **PORT,
        'name': 'trove-i',
        'mac_address': 'fa:16:3e:00:00:01',
        'fixed_ips': [
            {'ip_address': '10.0.0.7', 'subnet_id': 's4'},
            {'ip_address': '2001:db8::7', 'subnet_id': 's6'},
        ],
    }

    def setUp(self):
        super().setUp()
        routes = [{'destination': '10.9.0.0/16', 'nexthop': '10.0.0.9'}]
        self.subnet('s4', 4, '10.0.0.0/24', '10.0.0.1', host_routes=routes)
        self.subnet('s6', 6, '2001:db8::/64', '2001:db8::1', ipv6_ra_mode='slaac')

    def subnet(self, subnet_id, version, cidr, gateway, **more):
        found = {
            'id': subnet_id,
            'ip_version': version,
            'cidr': cidr,
            'gateway_ip': gateway,
            **more,
        }
        self.answers('GET', f'/subnets/{subnet_id}', (200, {'subnet': found}))

    def nic(self, *ports):
        self.answers('GET', '/ports', (200, {'ports': list(ports)}))
        return self.neutron.user_nic(self.SHOWN, 'trove-i')

    def test_it_is_that_of_the_named_port_with_its_subnets(self):
        found = self.nic(self.MINE, self.USERS)
        self.assertEqual(
            {
                'mac_address': 'fa:16:3e:00:00:01',
                'ipv4_address': '10.0.0.7',
                'ipv4_cidr': '10.0.0.0/24',
                'ipv4_gateway': '10.0.0.1',
                'ipv4_host_routes': [{'destination': '10.9.0.0/16', 'nexthop': '10.0.0.9'}],
                'ipv6_address': '2001:db8::7',
                'ipv6_cidr': '2001:db8::/64',
                'ipv6_host_routes': [],
            },
            json.loads(found.as_json()),
        )
        self.assertEqual(['device_id=server-1'], self.cloud.queries('GET', '/v2.0/ports'))

    def test_a_gateway_that_dhcp_alone_would_give_is_told_to_the_guest(self):
        self.subnet('s6', 6, '2001:db8::/64', '2001:db8::1', ipv6_ra_mode='dhcpv6-stateful')
        found = json.loads(self.nic(self.MINE, self.USERS).as_json())
        self.assertEqual('2001:db8::1', found['ipv6_gateway'])

    def test_an_only_nic_and_one_that_trove_did_not_make_are_left_alone(self):
        self.assertIsNone(self.nic(self.USERS))
        self.assertIsNone(self.nic(self.MINE, {**self.USERS, 'name': 'eth1'}))

    def test_the_port_of_another_project_with_the_servers_id_and_that_name_is_not_its(self):
        forged = {**self.USERS, 'id': 'forged', 'project_id': 'another'}
        self.subnet('s4', 4, '10.0.0.0/24', '10.0.0.1')
        forged['fixed_ips'] = [{'ip_address': '10.0.0.7', 'subnet_id': 'of-another'}]
        found = self.nic(forged, self.MINE, self.USERS)
        self.assertEqual(['10.0.0.7', '2001:db8::7'], [one.address for one in found.addresses])
        self.assertIsNone(self.nic(forged, self.MINE))

    def test_where_nova_shows_none_of_the_ports_nothing_is_guessed(self):
        error = self.assertRaises(
            network.PortsNotShown, self.nic, {**self.USERS, 'mac_address': 'fa:16:3e:00:00:66'}
        )
        self.assertIn('port-1', error.message)

    def test_a_subnet_that_is_not_shown_refuses(self):
        self.answers('GET', '/subnets/s6', NOT_FOUND)
        self.assertRaises(network.NetworkRefused, self.nic, self.MINE, self.USERS)


class TestChanging(NeutronTestCase):
    def test_a_port_gets_its_groups_and_nothing_else_if_it_is_as_it_was_read(self):
        changed = {**PORT, 'security_groups': ['default', 'group-1'], 'revision_number': 8}
        self.answers('PUT', '/ports/port-1', (200, {'port': changed}))
        found = self.neutron.set_groups(AS_PORT, ('default', 'group-1'))
        self.assertEqual((('default', 'group-1'), 8), (found.groups, found.revision))
        self.assertEqual(
            [{'port': {'security_groups': ['default', 'group-1']}}],
            self.cloud.asked('PUT', '/v2.0/ports/port-1'),
        )
        self.assertEqual(
            ['revision_number=7'], self.cloud.headers('PUT', '/v2.0/ports/port-1', 'If-Match')
        )

    def test_no_groups_at_all_are_sent_as_none(self):
        self.answers('PUT', '/ports/port-1', (200, {'port': {**PORT, 'security_groups': []}}))
        self.assertEqual((), self.neutron.set_groups(AS_PORT, ()).groups)
        self.assertEqual(
            [{'port': {'security_groups': []}}], self.cloud.asked('PUT', '/v2.0/ports/port-1')
        )

    def test_a_port_that_another_client_changed_is_not_written(self):
        self.answers('PUT', '/ports/port-1', (412, {}))
        self.assertRaises(network.PortChanged, self.neutron.set_groups, AS_PORT, ())

    def test_a_group_that_is_gone_is_told_from_a_port_that_is(self):
        self.answers('PUT', '/ports/port-1', NOT_FOUND)
        self.answers('GET', '/ports/port-1', (200, {'port': PORT}))
        self.assertRaises(network.PortChanged, self.neutron.set_groups, AS_PORT, ('x',))
        self.answers('GET', '/ports/port-1', NOT_FOUND)
        self.assertRaises(network.PortNotFound, self.neutron.set_groups, AS_PORT, ('x',))

    def test_a_group_is_made_for_the_ports_project(self):
        self.answers('POST', '/security-groups', (201, {'security_group': GROUP}))
        self.assertEqual(AS_GROUP, self.neutron.create_group('ours', 'text', 'p1'))
        self.assertEqual(
            [{'security_group': {'name': 'ours', 'description': 'text', 'project_id': 'p1'}}],
            self.cloud.asked('POST', '/v2.0/security-groups'),
        )

    def test_a_quota_is_told_from_other_refusals(self):
        self.answers('POST', '/security-groups', conflict('OverQuota'))
        self.assertRaises(
            network.GroupQuotaExhausted, self.neutron.create_group, 'ours', 'text', 'p1'
        )
        self.answers('POST', '/security-groups', conflict('Other'))
        error = self.assertRaises(
            network.NetworkRefused, self.neutron.create_group, 'ours', 'text', 'p1'
        )
        self.assertIn('because', error.message)

    def test_a_rule_lets_one_address_in_to_one_port(self):
        self.answers(
            'POST', '/security-group-rules', (201, {'security_group_rule': {'id': 'rule-2'}})
        )
        for source, family in (('10.0.0.2/32', 'IPv4'), ('fd00::2/128', 'IPv6')):
            with self.subTest(source):
                self.neutron.allow_tcp_from(AS_GROUP, source, 22, 'text')
                asked = self.cloud.asked('POST', '/v2.0/security-group-rules')[-1]
                self.assertEqual(
                    {
                        'security_group_id': 'group-1',
                        'project_id': 'p1',
                        'direction': 'ingress',
                        'ethertype': family,
                        'protocol': 'tcp',
                        'port_range_min': 22,
                        'port_range_max': 22,
                        'remote_ip_prefix': source,
                        'description': 'text',
                    },
                    asked['security_group_rule'],
                )

    def test_deleting_what_is_gone_is_done_and_what_is_used_is_told(self):
        self.answers('DELETE', '/security-groups/group-1', NOT_FOUND)
        self.answers('DELETE', '/security-group-rules/rule-1', NOT_FOUND)
        self.neutron.delete_group('group-1')
        self.neutron.delete_rule('rule-1')
        self.answers('DELETE', '/security-groups/group-1', conflict('SecurityGroupInUse'))
        self.assertRaises(network.GroupInUse, self.neutron.delete_group, 'group-1')


class TestClouds(base.TestCase):
    def test_a_cloud_that_clouds_yaml_has_not_is_refused_with_its_name(self):
        error = self.assertRaises(network.CloudUnknown, clouds.region, 'nowhere', 5.0)
        self.assertIn('nowhere', error.message)
