# SPDX-License-Identifier: Apache-2.0
"""The target of a run is chosen within each instance's own datastore, by the rules of the API."""

import dataclasses

from trove_upgrade.bridge.targets import Targets
from trove_upgrade.domain.bridge_runs import MemberStep, first_step
from trove_upgrade.domain.inventory import Obstacle
from trove_upgrade.domain.versions import Rules
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.db.test_bridge_runs import listed

FIRST, SECOND = database.INSTANCE, database.OTHER_INSTANCE


class TestTargets(base.TestCase):
    def setUp(self):
        super().setUp()
        self.bridged = set()
        repositories = self.useFixture(database.SampleDatabase()).repositories
        instances = repositories.instances
        self.targets = Targets(
            versions=repositories.datastores,
            rules=Rules.load(),
            version_of=lambda instance_id: instances.get(instance_id, with_details=False).version,
            is_bridged=lambda instance_id: instance_id in self.bridged,
        )

    def chosen(self, wanted, *members, named=()):
        found, targets = self.targets.choose(members or [listed(FIRST)], wanted, named)
        return [member.obstacle for member in found], targets

    def test_a_name_and_an_id_lead_to_the_same_version(self):
        for named in ('11.8.6', database.MARIADB_11_8):
            self.assertEqual(([None], {FIRST: database.MARIADB_11_8}), self.chosen(named))

    def test_one_that_may_not_follow_leaves_the_instance_out(self):
        for named in ('11.8.0', '9.7.4', database.MYSQL_9_7, 'unknown', ''):
            self.assertEqual(([Obstacle.NO_TARGET], {}), self.chosen(named), named)

    def test_the_version_that_it_has_is_a_target_for_a_newer_image_of_it(self):
        self.assertEqual({FIRST: database.MARIADB_10_11}, self.chosen('10.11.14')[1])

    def test_what_the_inventory_left_out_stays_left_out_for_its_own_reason(self):
        obstacles, targets = self.chosen('11.8.6', listed(FIRST), listed(SECOND, Obstacle.BUSY))
        self.assertEqual([None, Obstacle.BUSY], obstacles)
        self.assertEqual([FIRST], list(targets))

    def test_one_with_an_agent_that_the_bridge_has_brought_is_only_upgraded(self):
        bridged = with_agent(FIRST)
        self.assertEqual(([Obstacle.HAS_AGENT], {}), self.chosen('11.8.6', bridged))
        self.bridged.add(FIRST)
        self.assertEqual([None], self.chosen('11.8.6', bridged)[0])
        self.assertEqual(MemberStep.UPGRADE, first_step(bridged))

    def test_another_one_with_an_agent_is_upgraded_where_it_is_named_and_not_twice(self):
        modern = with_agent(FIRST)
        self.assertEqual([None], self.chosen('11.8.6', modern, named=[FIRST])[0])
        self.assertEqual([Obstacle.HAS_AGENT], self.chosen('10.11.14', modern, named=[FIRST])[0])


def with_agent(instance_id):
    return dataclasses.replace(listed(instance_id, Obstacle.HAS_AGENT), agent_version='1.2.3')
