# SPDX-License-Identifier: Apache-2.0
"""The agent of an old Trove, beside a database that is a service of the guest."""

import pathlib

import fixtures

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.machine.agent_services import AgentServices, Processes
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.trove import old_agent
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes
from trove_upgrade.tests.unit.guestagent.trove.test_trove_agent import Services, Substitute

NAME = 'trove-guest'
EFFECTS = ('disable', 'stop', 'start', 'put_boot_links', 'begin', 'end')


class OldAgentCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.guest()

    def guest(self):
        """A new guest, with an agent that runs and is started at boot."""
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path)
        self.layout = Layout(self.root)
        self.held = self.layout.state / 'trove-agent-held'
        self.events = []
        self.services = Services(self.events, names=(NAME,))

    def agent(self, wire=None):
        """Our agent's life begins anew."""
        wire = wire or fakes.Tripwire()
        return old_agent.OldAgent(
            self.layout,
            AgentServices(wire.wrap(self.services, *EFFECTS), Processes(proc=self.root / 'proc')),
            wire.wrap(Substitute(self.events), *EFFECTS),
            ('guest-agent', NAME),
        )

    def reboot(self):
        self.services.running = set(self.services.enabled)

    def assert_is(self, *, running, enabled):
        self.assertEqual(
            (running, enabled), (NAME in self.services.running, NAME in self.services.enabled)
        )

    def assert_as_before(self, *, running=True, enabled=True):
        self.assert_is(running=running, enabled=enabled)
        self.assertEqual([], list(self.layout.state.iterdir()))


class TestHeld(OldAgentCase):
    def test_it_is_stopped_and_started_at_no_boot_before_anything_is_refused_in_its_name(self):
        self.agent().hold()
        self.assertEqual([f'disable {NAME}', f'stop {NAME}', 'refuse'], self.events)
        self.reboot()
        self.assert_is(running=False, enabled=False)

    def test_the_bridge_sees_that_an_upgrade_has_the_guest_in_hand(self):
        self.agent().hold()
        self.assertTrue(self.held.exists())

    def test_after_a_reboot_what_has_started_it_all_the_same_has_not_started_it_for_long(self):
        self.agent().hold()
        self.services.running.add(NAME)
        self.services.enabled.add(NAME)
        self.agent().resume()
        self.assert_is(running=False, enabled=False)
        self.assertEqual('refuse', self.events[-1])

    def test_one_that_cannot_be_stopped_stops_the_upgrade(self):
        self.services.stubborn = True
        self.assertRaises(exceptions.StepFailed, self.agent().hold)
        self.services.stubborn = False
        self.agent().release()
        self.assert_as_before()

    def test_one_that_cannot_be_stopped_after_a_reboot_lets_our_agent_start(self):
        self.agent().hold()
        self.services.running.add(NAME)
        self.services.stubborn = True
        self.agent().resume()
        self.assertEqual('refuse', self.events[-1])

    def test_outside_of_an_upgrade_it_is_left_alone(self):
        self.agent().resume()
        self.agent().release()
        self.assertEqual([], self.events)
        self.assert_is(running=True, enabled=True)

    def test_where_there_is_none_nothing_is_left_behind(self):
        self.services.names.clear()
        for method in (self.agent().hold, self.agent().resume, self.agent().release):
            method()
        self.assertEqual(([], []), (self.events, list(self.root.iterdir())))


class TestReleased(OldAgentCase):
    def test_it_is_alone_on_its_topic_before_it_starts(self):
        self.agent().hold()
        self.events.clear()
        self.agent().release()
        self.assertEqual([f'put back {NAME}', 'refuse no more', f'start {NAME}'], self.events)
        self.assert_as_before()

    def test_one_that_did_not_run_or_was_not_enabled_is_what_it_was(self):
        for running in (False, True):
            for enabled in (False, True):
                self.guest()
                (self.services.running.add if running else self.services.running.discard)(NAME)
                (self.services.enabled.add if enabled else self.services.enabled.discard)(NAME)
                self.agent().hold()
                self.assert_is(running=False, enabled=False)
                self.agent().release()
                self.assert_as_before(running=running, enabled=enabled)

    def test_one_that_does_not_start_again_takes_no_database_from_its_clients(self):
        self.agent().hold()
        self.services.stubborn = True
        self.agent().release()
        self.assertFalse(self.held.exists())
        self.reboot()
        self.assert_as_before()

    def test_both_can_be_repeated(self):
        for _ in range(2):
            self.agent().hold()
        for _ in range(2):
            self.agent().release()
        self.assert_as_before()
        self.assertEqual(
            [1, 1], [self.events.count(f'{verb} {NAME}') for verb in ('stop', 'start')]
        )


class TestDeaths(OldAgentCase):
    """Our agent is killed before and after each effect."""

    def deaths(self, flow):
        """Yield once for each death in `flow`, with and without a reboot."""
        for after in (False, True):
            for reboots in (False, True):
                kill_at, alive = 1, False
                while not alive:
                    self.guest()
                    try:
                        flow(fakes.Tripwire(kill_at, after))
                        alive = True
                    except fakes.Killed:
                        if reboots:
                            self.reboot()
                        yield
                    kill_at += 1
                self.assertGreater(kill_at, 3, 'the wire was never touched')

    def hold(self, wire):
        self.agent(wire).hold()

    def hold_and_release(self, wire):
        self.agent().hold()
        self.agent(wire).release()

    def test_a_hold_that_dies_anywhere_is_repeated_or_undone(self):
        for _ in self.deaths(self.hold):
            self.agent().hold()
            self.assert_is(running=False, enabled=False)
            self.agent().release()
            self.assert_as_before()
        for _ in self.deaths(self.hold):
            self.agent().resume()
            self.agent().release()
            self.assert_as_before()

    def test_a_release_that_dies_anywhere_is_repeated(self):
        for _ in self.deaths(self.hold_and_release):
            self.agent().resume()
            self.agent().release()
            self.assert_as_before()

    def test_a_release_that_dies_anywhere_can_be_followed_by_another_upgrade(self):
        for _ in self.deaths(self.hold_and_release):
            self.agent().hold()
            self.assert_is(running=False, enabled=False)
            self.agent().release()
            self.assert_as_before()
