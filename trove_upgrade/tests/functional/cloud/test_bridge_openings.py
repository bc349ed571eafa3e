# SPDX-License-Identifier: Apache-2.0
"""A port is opened at the real Neutron for one address, shown, and closed."""

from trove_upgrade.tests.functional.cloud import opening_case

#: Longer than it takes to look for what was left open, on a machine with other work too.
LEASE_SECONDS = 15


class TestOpenings(opening_case.OpeningCase):
    def test_a_port_is_open_for_one_address_until_it_is_closed(self):
        done = self.opens(600)
        self.assertEqual(0, done.returncode, done.stderr)
        [group] = self.ours()
        self.assertEqual(
            [('ingress', 'tcp', 22, 22, opening_case.SOURCE)],
            [
                (
                    rule['direction'],
                    rule['protocol'],
                    rule['port_range_min'],
                    rule['port_range_max'],
                    rule['remote_ip_prefix'],
                )
                for rule in group['security_group_rules']
            ],
        )
        self.assertEqual(
            (self.project_id, {*self.former, group['id']}), (group['project_id'], self.groups())
        )
        [found] = self.audit()['groups']
        self.assertEqual(
            ('HELD', done.stdout.strip(), [self.port_id], []),
            (found['verdict'], found['opening']['id'], found['port_ids'], found['remarks']),
        )
        self.assertEqual(opening_case.OPEN, self.bridge('reap').returncode)
        closed = self.bridge('reap', '--all')
        self.assertEqual((0, ''), (closed.returncode, closed.stderr))
        self.assertIn('Nothing is open.', closed.stdout)
        self.assertTrue(self.is_as_before())

    def test_what_a_killed_bridge_left_open_is_closed_by_a_taskmanager(self):
        """Neutron had done all of it, and the row does not tell so."""
        died = self.opens(LEASE_SECONDS, '5', 'after')
        self.assertEqual(-9, died.returncode, died.stderr)
        self.assertTrue(self.ours())
        self.wait_until(self.is_as_before, 'a taskmanager to close what was left open')
        self.wait_until(lambda: self.audit()['clean'], 'the audit to find nothing')
