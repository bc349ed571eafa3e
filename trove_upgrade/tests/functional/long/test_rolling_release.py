# SPDX-License-Identifier: Apache-2.0
"""From release borealis to this one while both run: borealis's own code as processes beside this release's.

One real database, one real broker.  Nova is a stand-in that keeps directories; each guest's agent is a process with a real RPC server.
"""

from trove_upgrade.tests.functional.rolling import world

STEPS = ('precheck', 'quiesce', 'rebuild', 'boot', 'restore', 'verify')


class MixedReleasesTest(world.WorldCase):
    def begin_in_each_step(self):
        """An upgrade that is held in each step: step -> (server, upgrade)."""
        held = {}
        for number, step in enumerate(STEPS):
            image = (world.FORMER, world.FORMER_NEW_AGENT)[number % 2]
            server = self.create(image)
            server.hold(step)
            held[step] = (server, self.upgrade(server))
        for step, (_, upgrade_id) in held.items():
            self.wait_for_step(upgrade_id, step)
        return held

    def test_borealis_alone_upgrades_guests_of_either_release(self):
        servers = [self.create(image) for image in (world.FORMER, world.FORMER_NEW_AGENT)]
        self.start_borealis()
        for server in servers:
            self.assert_completes(self.upgrade(server))

    def test_rows_in_each_step_go_on_under_either_release_and_no_key_is_made(self):
        old = self.start_borealis()
        held = self.begin_in_each_step()
        heard = self.listen(*(server for server, _ in held.values()))
        self.assert_tool(0, 'db', 'expand')
        new = self.start_cygnus()
        for pausing, steps in ((old, STEPS[::2]), (new, STEPS[1::2])):
            self.pause(pausing)
            for step in steps:
                server, upgrade_id = held[step]
                server.let_go(step)
                self.assert_completes(upgrade_id)
            self.go_on(pausing)
        self.assertEqual([], self.keys())
        for server, _ in held.values():
            self.assertNotIn(world.cloud.KEY_FILE, server.rebuilds[-1])
            calls = [one.method for one in heard.heard(self.topic(server))]
            self.assertNotIn(world.SEALED, calls)
            self.assertIn('verify_upgrade', calls)
        self.assertNotIn(world.SEALED, [one.method for one in heard.heard(self.name)])
