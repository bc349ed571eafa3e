# SPDX-License-Identifier: Apache-2.0
"""Taskmanagers that are killed, or stand still, while they hold an upgrade: real processes, one
real database, one real broker.
"""

import datetime
import signal

from trove_upgrade.tests.functional.rolling import release_code, world

_SHORT, _LONG = 'lease_seconds = 5', 'lease_seconds = 3600'
OTHER_HOST = 'tm-other'
#: After the end of the lease.  With the default lease of 15 s that is 30 s after the death at most.
_TAKEN_WITHIN = datetime.timedelta(seconds=15)


class KilledTest(world.WorldCase):
    def setUp(self):
        super().setUp()
        self.assert_tool(0, 'db', 'expand')
        self.first = None

    def begin_held(self, step):
        """Start a taskmanager and an upgrade that waits in `step`: (server, upgrade)."""
        self.first = self.start_cygnus()
        server = self.create(world.FORMER_NEW_AGENT)
        server.hold(step)
        upgrade_id = self.upgrade(server)
        self.wait_for_step(upgrade_id, step)
        return server, upgrade_id

    def start_on_another_host(self):
        return self.start(release_code.INSTALLED, OTHER_HOST)

    def stand_still_holding(self, upgrade_id):
        """Stop the first one in a moment in which it holds the row; return the row."""

        def holding():
            self.pause(self.first)
            row = self.row(upgrade_id)
            if row.owner is None:
                self.first.signal(signal.SIGCONT)
                return None
            return row

        return self.wait_until(holding, 'a moment in which the row is held')

    def test_the_next_on_its_host_goes_on_without_the_lease_being_over(self):
        text = self.configuration.read_text(encoding='utf-8')
        self.assertIn(_SHORT, text)
        self.configuration.write_text(text.replace(_SHORT, _LONG), encoding='utf-8')
        server, upgrade_id = self.begin_held('restore')
        self.assertIn(world.CYGNUS_HOST, self.stand_still_holding(upgrade_id).owner)
        self.first.kill()
        self.start_cygnus()
        server.let_go('restore')
        self.assert_completes(upgrade_id)

    def test_another_host_goes_on_after_the_lease_and_no_sooner(self):
        server, upgrade_id = self.begin_held('restore')
        held = self.stand_still_holding(upgrade_id)
        self.first.kill()
        self.start_on_another_host()

        def taken():
            # read first: the database's clock only goes on
            row, now = self.row(upgrade_id), self.repositories.upgrades.now()
            if row.generation == held.generation:
                return None
            return row, now

        row, now = self.wait_until(taken, 'a takeover')
        self.assertGreaterEqual(now, held.lease_until)
        self.assertLess(now, held.lease_until + _TAKEN_WITHIN)
        self.assertEqual(held.generation + 1, row.generation)
        server.let_go('restore')
        self.assert_completes(upgrade_id)

    def test_one_that_stood_still_changes_nothing_and_serves_on(self):
        server, upgrade_id = self.begin_held('quiesce')
        self.stand_still_holding(upgrade_id)
        second = self.start_on_another_host()
        server.let_go('quiesce')
        ended = self.assert_completes(upgrade_id)
        rebuilds = list(server.rebuilds)
        second.kill()
        self.go_on(self.first)
        self.assert_completes(self.upgrade_again(server))
        self.assertEqual(ended, self.row(upgrade_id))
        self.assertEqual(len(rebuilds) + 1, len(server.rebuilds))
