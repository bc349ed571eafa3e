# SPDX-License-Identifier: Apache-2.0
"""The bridge brings our agent into real old guests, and it is heard under its key, while the old
agent and the database go on.  Needs a bundle in `dist`: "make bundle".
"""

import pathlib

from lab.images import provision
from trove_upgrade.tests.old_cloud import test_reach

PROJECT = pathlib.Path(__file__).parents[3]


class RunTestCase(test_reach.ReachTestCase):
    def bundle(self):
        found = sorted(
            (PROJECT / 'dist').glob('trove-upgrade-guest-bundle-*.tar.xz'),
            key=lambda path: path.stat().st_mtime,
        )
        self.assertTrue(found, 'there is no bundle in dist: run "make bundle"')
        return str(found[-1])

    def rows(self, instance):
        guest = self.stage.makers.guest(instance)
        return provision.sql(guest, f'SELECT COUNT(*) FROM {provision.DATABASE}.heartbeat;')


class TestRun(RunTestCase):
    def test_every_guest_gets_our_agent_beside_its_own(self):
        agents = [self.agent_pid(one) for one in self.stage.instances]
        rows = [self.rows(one) for one in self.stage.instances]

        done = self.bridge('run', '--all', '--bundle', self.bundle(), *self.way())

        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        listed = self.shown('inventory', '--json')['instances']
        found = {one['id']: one for one in listed}
        for one in self.stage.instances:
            self.assertEqual('HAS_AGENT', found[one.id]['obstacle'])
            self.assertFalse(self.passes(one), one.name)
        self.assertEqual(agents, [self.agent_pid(one) for one in self.stage.instances])
        self.assertEqual(rows, [self.rows(one) for one in self.stage.instances])
