# SPDX-License-Identifier: Apache-2.0
"""A taskmanager closes what a bridge left open, and an outage of Neutron is one line."""

import logging

import fixtures

from trove_upgrade.taskmanager import openings_left
from trove_upgrade.taskmanager.outages import Outages
from trove_upgrade.tests.unit.bridge.test_openings import OpeningsTestCase, a_request


class TestOpeningsLeft(OpeningsTestCase):
    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade', level=logging.ERROR))
        self.look = openings_left.watch(
            self.world.neutron,
            self.world.openings,
            self.world.db.repositories.instances,
            self.world.nova,
            Outages(),
        )

    def test_a_port_is_closed_when_its_lease_is_over_and_not_before(self):
        opening = self.world.opener.open(a_request())
        self.look()
        self.assertIn(opening.group_id, self.groups_of())
        self.world.let_leases_end()
        self.look()
        self.is_as_before()

    def test_an_outage_is_logged_once_and_the_port_is_closed_after_it(self):
        self.world.opener.open(a_request())
        self.world.let_leases_end()
        self.world.neutron.is_away = True
        for _ in range(3):
            self.look()
        [line] = self.log.output.splitlines()
        self.assertIn('NETWORK_UNAVAILABLE', line)
        self.world.neutron.is_away = False
        self.look()
        self.is_as_before()

    def test_one_that_cannot_be_closed_is_logged_once_until_it_is(self):
        opening = self.world.opener.open(a_request())
        self.world.let_leases_end()
        self.world.neutron.before_write = lambda port_id: self.world.neutron.write_port(
            port_id, self.groups_of()
        )
        for _ in range(3):
            self.look()
        [line] = self.log.output.splitlines()
        self.assertIn(opening.id, line)
        self.assertIn('PORT_CHANGED', line)
        self.world.neutron.before_write = None
        self.look()
        self.is_as_before()
