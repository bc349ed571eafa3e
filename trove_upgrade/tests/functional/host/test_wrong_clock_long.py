# SPDX-License-Identifier: Apache-2.0
"""Guests whose time of day is an hour off are upgraded as any other: unsealed the first time, under
their key the second.

Agents and taskmanager are processes of this release, over a real broker and a real database; see
`rolling.world`.
"""

from trove_upgrade.tests.functional.rolling import world


class WrongClockTest(world.WorldCase):
    def test_a_guest_whose_clock_is_an_hour_off_is_upgraded_with_and_without_a_key(self):
        self.assert_tool(0, 'db', 'expand')
        self.start_cygnus()
        servers = [self.create(world.FORMER_NEW_AGENT, clock_hours=hours) for hours in (-1, 1)]
        for upgrade in (self.upgrade, self.upgrade_again):
            for upgrade_id in [upgrade(server) for server in servers]:
                self.assert_completes(upgrade_id)
        for server in servers:
            (key,) = self.keys(server)
            self.assertIsNotNone(key['proven_at'])
            self.assertEqual(2, len(server.rebuilds))
