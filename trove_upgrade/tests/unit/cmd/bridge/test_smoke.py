# SPDX-License-Identifier: Apache-2.0
"""`--smoke-create`: one new instance of each version that a run has led to."""

from trove_upgrade.bridge.smoke import Shape
from trove_upgrade.cmd.bridge import smoke
from trove_upgrade.domain.bridge_runs import MemberState, RunScope
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.bridge.trove import Time
from trove_upgrade.tests.unit.cmd.bridge.base import BridgeTestCase
from trove_upgrade.tests.unit.db.test_bridge_runs import listed

FIRST, SECOND = database.INSTANCE, database.OTHER_INSTANCE
SHAPE = Shape(flavor_id='small', volume_size_gb=1, network_id=None)


class TestSmoke(BridgeTestCase):
    def setUp(self):
        super().setUp()
        self.runs = self.world.db.repositories.bridge_runs
        self.repositories = self.world.db.repositories
        self.cloud = self  #: as the context of a command has it
        targets = {FIRST: 'v2', SECOND: 'v2'}
        self.run_id = self.runs.begin([listed(FIRST), listed(SECOND)], RunScope.UPGRADE, targets).id

    def ended(self, *states):
        for state in states:
            self.runs.end(self.runs.claim(self.run_id, 'host-1', 60), state)

    def test_one_is_made_for_all_members_of_a_version_and_is_gone_again(self):
        self.ended(MemberState.COMPLETED, MemberState.COMPLETED)
        self.assertEqual(0, smoke.make(self, self.run_id, SHAPE, Time()))
        self.assertEqual(1, len(self.databases.made))
        self.assertEqual({}, self.databases.there)

    def test_of_a_version_that_no_member_came_to_none_is_made(self):
        self.ended(MemberState.FAILED, MemberState.FAILED)
        self.assertEqual(0, smoke.make(self, self.run_id, SHAPE, Time()))
        self.assertEqual([], self.databases.made)

    def test_one_that_does_not_serve_is_told_by_the_exit_code(self):
        self.ended(MemberState.COMPLETED)
        self.databases.refuses = {'create_instance': 1}
        self.assertEqual(1, smoke.make(self, self.run_id, SHAPE, Time()))

    def test_without_the_option_none_is_made_and_without_a_flavor_nothing_begins(self):
        self.ended(MemberState.COMPLETED)
        self.assertEqual(0, smoke.make(self, self.run_id, None))
        self.assertEqual([], self.databases.made)
        self.assertIn('--smoke-flavor', self.tool('resume', self.run_id, '--smoke-create', code=2))
