# SPDX-License-Identifier: Apache-2.0
"""The bridge brings our agent into real old guests, and it is heard under its key, while the old
agent and the database go on; then it upgrades them.  It is killed on both ways.  Needs a bundle in
`dist`: "make bundle".
"""

from lab.images import provision
from trove_upgrade.tests.old_cloud.moments import MOMENTS, UPGRADE_BEGAN, KilledTestCase

UPGRADE_SECONDS = 900
NOTHING_OPEN = 0


class TestRun(KilledTestCase):
    def test_each_guest_gets_our_agent_and_is_upgraded_by_a_second_run_though_both_are_killed(self):
        agents = [self.agent_pid(one) for one in self.stage.instances]
        rows = [self.rows(one) for one in self.stage.instances]
        groups = [self.groups(one) for one in self.stage.instances]
        [unpacked] = [one for one in MOMENTS if one.name == 'the bundle is unpacked']

        brought = self.killed_at(unpacked, '--all')
        self.assertEqual(NOTHING_OPEN, self.resumed(brought))

        self.all_are('COMPLETED', brought)
        listed = self.shown('inventory', '--json')['instances']
        found = {one['id']: one for one in listed}
        for one in self.stage.instances:
            self.assertEqual('HAS_AGENT', found[one.id]['obstacle'])
            self.assertFalse(self.passes(one), one.name)
        self.assertEqual(agents, [self.agent_pid(one) for one in self.stage.instances])
        self.assertEqual(rows, [self.rows(one) for one in self.stage.instances])

        target = self.stage.stage.target.name
        upgraded = self.killed_at(UPGRADE_BEGAN, '--all', '--upgrade-to', target)
        self.assertEqual(NOTHING_OPEN, self.resumed(upgraded, UPGRADE_SECONDS))

        self.all_are('COMPLETED', upgraded)
        for member in self.members(upgraded):
            looks = {one['name']: one['outcome'] for one in member['facts']['verified']}
            self.assertEqual('OK', looks['rows'], looks)
            self.assertNotIn('FAILED', looks.values())
        self.assertEqual(rows, [self.rows(one) for one in self.stage.instances])
        self.assertEqual(groups, [self.groups(one) for one in self.stage.instances])
        for one in self.stage.instances:
            version = provision.sql(self.stage.makers.guest(one), 'SELECT VERSION();')
            self.assertTrue(version.startswith(target), version)
            self.assertFalse(self.passes(one), one.name)

    def all_are(self, state, run_id):
        self.assertEqual(
            {one.id: state for one in self.stage.instances},
            {one['instance_id']: one['state'] for one in self.members(run_id)},
        )
