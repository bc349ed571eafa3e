# SPDX-License-Identifier: Apache-2.0
"""Each tenant can write the id of any server into a port: Nova tells which are the server's."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.domain.compute import ShownNic
from trove_upgrade.domain.own_ports import is_own, left_out, told_apart
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.bridge.neutron import a_server
from trove_upgrade.tests.unit.bridge.test_openings import a_port

OWN = a_port('own', addresses=('10.0.0.7', 'fd00::7'))
SERVER = a_server('server-1', OWN)
ADDRESSES = ('10.0.0.7', 'fd00::7', '10.66.0.7')


class TestOwnPorts(base.TestCase):
    def is_own(self, **changes):
        return is_own(SERVER, dataclasses.replace(OWN, **changes))

    def test_a_port_as_nova_shows_it_is_the_servers(self):
        self.assertTrue(self.is_own())
        self.assertTrue(self.is_own(mac_address=OWN.mac_address.upper()))

    def test_the_id_alone_proves_nothing(self):
        forged = {'mac_address': 'fa:16:3e:00:00:66', 'addresses': ('10.66.0.7',)}
        self.assertFalse(self.is_own(**forged))
        self.assertFalse(self.is_own(project_id='another', **forged))

    def test_a_copy_of_the_hardware_address_and_the_addresses_in_a_tenants_own_network_is_foreign(
        self,
    ):
        self.assertFalse(self.is_own(project_id='another', network_id='of-another'))

    def test_two_that_show_no_project_do_not_agree(self):
        server = dataclasses.replace(SERVER, project_id='')
        self.assertFalse(is_own(server, dataclasses.replace(OWN, project_id='')))

    def test_another_servers_port_is_not(self):
        self.assertFalse(self.is_own(server_id='server-2'))

    def test_an_address_that_nova_has_not_learned_of_yet_leaves_the_port_the_servers(self):
        self.assertTrue(self.is_own(addresses=('10.0.0.7', '10.0.0.8')))
        self.assertFalse(self.is_own(addresses=('10.0.0.8',)))

    def test_one_without_an_address_is_the_servers_in_its_project_alone(self):
        self.assertTrue(self.is_own(addresses=()))
        self.assertFalse(self.is_own(addresses=(), project_id='another'))

    def test_one_whose_hardware_address_is_not_told_is_not(self):
        hidden = dataclasses.replace(SERVER, nics=())
        self.assertFalse(is_own(hidden, OWN))
        shown = dataclasses.replace(SERVER, nics=(ShownNic('fa:16:3e:00:00:01', '10.0.0.7'),))
        self.assertFalse(is_own(shown, dataclasses.replace(OWN, mac_address='')))

    def test_both_kinds_keep_their_order_and_what_is_left_out_is_told(self):
        ports = [
            dataclasses.replace(OWN, id=name, project_id=project)
            for name, project in (
                ('a', 'x'),
                ('b', OWN.project_id),
                ('c', 'x'),
                ('d', OWN.project_id),
            )
        ]
        found = told_apart(SERVER, ports)
        self.assertEqual(['b', 'd'], [port.id for port in found.own])
        self.assertEqual(['a', 'c'], [port.id for port in found.foreign])
        for word in ('Port a of project x', 'server-1', 'left out'):
            self.assertIn(word, left_out(found.foreign[0]))

    @given(
        mac_address=st.sampled_from((OWN.mac_address, 'fa:16:3e:00:00:66', '')),
        addresses=st.lists(st.sampled_from(ADDRESSES), unique=True).map(tuple),
        network_id=st.sampled_from((OWN.network_id, 'of-another')),
    )
    def test_nothing_that_a_tenant_can_write_makes_a_port_of_another_project_the_servers(
        self, **written
    ):
        self.assertFalse(self.is_own(project_id='another', **written))
