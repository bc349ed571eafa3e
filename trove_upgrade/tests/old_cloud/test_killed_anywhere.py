# SPDX-License-Identifier: Apache-2.0
"""The bridge is ended by SIGKILL at each moment of its work in a real old guest: nothing is open
after the lease, the old agent has never stopped, and all that was begun is removed.

About a minute for each moment.
"""

from lab.images import provision
from trove_upgrade.tests.old_cloud.moments import LEASE_SECONDS, LISTING, MOMENTS, KilledTestCase


class TestKilledAnywhere(KilledTestCase):
    def listing(self):
        return self.guest.exec(['sh', '-c', LISTING], check=False).output

    def test_the_reaper_alone_closes_and_an_operators_end_removes_all_of_it(self):
        agent, before = self.agent_pid(self.instance), self.listing()
        groups = self.groups(self.instance)
        for moment in MOMENTS:
            with self.subTest(moment.name):
                run_id = self.killed_at(moment, '--instance', self.instance.id)
                self.wait_until(
                    lambda: not self.ours(), 'a taskmanager to close the port', LEASE_SECONDS
                )
                self.assertEqual(groups, self.groups(self.instance))
                self.assertFalse(self.passes(self.instance))
                self.bridge('abort', run_id)
                self.resumed(run_id)
                [member] = self.members(run_id)
                self.assertEqual('ABORTED', member['state'], member)
                self.assertEqual(before, self.listing())
                self.assertEqual(agent, self.agent_pid(self.instance))
                self.assertIn(provision.DATABASE, provision.sql(self.guest, 'SHOW DATABASES;'))
