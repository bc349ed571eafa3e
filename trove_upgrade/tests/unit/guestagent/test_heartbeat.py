# SPDX-License-Identifier: Apache-2.0
import pathlib
import threading

import fixtures

from trove_upgrade.domain import exceptions, guests
from trove_upgrade.guestagent.heartbeat import Heartbeats
from trove_upgrade.guestagent.upgrade.mark_facts import FinishedFacts
from trove_upgrade.guestagent.upgrade.marks import Mark
from trove_upgrade.guestagent.upgrade.stash_expiry import StashExpiry
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes
from trove_upgrade.waiting import wait_until

_LONG = 30


class HeartbeatsTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.machine = fakes.Machine(
            pathlib.Path(self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path)
        )
        self.guest = self.machine.guest()
        self.busy = False
        self.sent, self.errors, self.arrived = [], [], threading.Event()
        self.heartbeats = self.new()

    def new(self, interval=1.0):
        return Heartbeats(self.guest, self._send, lambda: self.busy, interval)

    def _send(self, heartbeat):
        if self.errors:
            raise self.errors.pop()
        self.sent.append(heartbeat)
        self.arrived.set()

    def _later(self):
        self.machine.clock.move(1000)

    def test_a_heartbeat_says_what_the_guest_is(self):
        self.machine.agent_marker = f'{fakes.UPGRADE}:1'
        self.assertEqual(
            guests.Heartbeat(
                instance_id=fakes.INSTANCE,
                boot_id='boot-1',
                marker=f'{fakes.UPGRADE}:1',
                restored=False,
                agent_version='1.2.3',
                server_version='10.11.14-MariaDB',
                server_state=guests.ServerState.RUNNING,
            ),
            self.heartbeats.heartbeat(),
        )

    def test_the_restored_mark_counts_for_the_upgrade_that_booted_the_guest_alone(self):
        self.guest.marks.set(Mark.RESTORED, 'an earlier one')
        self.machine.agent_marker = f'{fakes.UPGRADE}:1'
        self.assertFalse(self.heartbeats.heartbeat().restored)
        self.guest.marks.set(Mark.RESTORED, fakes.UPGRADE)
        self.assertTrue(self.heartbeats.heartbeat().restored)

    def test_a_guest_that_has_just_booted_speaks_and_then_is_silent(self):
        self.assertTrue(self.heartbeats.active())
        self._later()
        self.assertFalse(self.heartbeats.active())

    def test_a_guest_speaks_until_its_upgrade_was_restored_and_finished(self):
        self._later()
        self.machine.agent_marker = f'{fakes.UPGRADE}:1'
        self.assertTrue(self.heartbeats.active())
        self.guest.marks.set(Mark.RESTORED, fakes.UPGRADE)
        self.assertTrue(self.heartbeats.active())
        self.guest.marks.set(Mark.FINISHED, fakes.UPGRADE)
        self.assertFalse(self.heartbeats.active())

    def test_a_guest_speaks_while_a_job_runs_or_the_database_is_stopped_for_an_upgrade(self):
        self._later()
        self.busy = True
        self.assertTrue(self.heartbeats.active())
        self.busy = False
        self.guest.marks.set(Mark.QUIESCED, fakes.UPGRADE)
        self.assertTrue(self.heartbeats.active())

    def test_heartbeats_become_rarer_until_something_happens(self):
        pauses = []
        self.busy = True
        for _ in range(3):
            pauses.append(self.heartbeats.pause_seconds())
            self.machine.clock.move(400)
        self.assertEqual([1, 5, 30], [*pauses[:2], self.heartbeats.pause_seconds()])
        self.heartbeats.wake()
        self.assertEqual(1, self.heartbeats.pause_seconds())

    def test_a_guest_that_has_nothing_to_tell_speaks_once_an_hour(self):
        self._later()
        self.assertEqual(3600, self.heartbeats.pause_seconds())
        heartbeats = self.new(interval=1000)
        heartbeats.start()
        self.addCleanup(heartbeats.stop)
        self.assertTrue(self.arrived.wait(_LONG))

    def test_marks_that_cannot_be_read_silence_nobody(self):
        self._later()
        self.guest.marks.has = None
        self.assertEqual(30, self.heartbeats.pause_seconds())

    def test_they_go_on_whatever_one_of_them_meets(self):
        self.errors = [
            ValueError('unforeseen'),
            exceptions.MessagingUnavailable(what='x', found='y'),
            exceptions.MessagingUnavailable(what='x', found='y'),
        ]
        heartbeats = self.new(interval=0.01)
        heartbeats.start()
        self.addCleanup(heartbeats.stop)
        self.assertTrue(self.arrived.wait(_LONG))

    def test_a_silent_guest_speaks_at_once_when_woken(self):
        self._later()
        heartbeats = self.new(interval=1000)
        self._later()
        heartbeats.start()
        self.addCleanup(heartbeats.stop)
        self.busy = True
        heartbeats.wake()
        self.assertTrue(self.arrived.wait(_LONG))


class StashKeeperTest(base.TestCase):
    def test_the_stash_goes_when_its_hours_are_over(self):
        machine = fakes.Machine(
            pathlib.Path(self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path)
        )
        own = machine.guest()
        stash = machine.layout.on_volume / f'stash-{fakes.UPGRADE}-1'
        stash.parent.mkdir(mode=0o700)
        stash.mkdir()
        keeper = StashExpiry(own)
        keeper.start()
        self.addCleanup(keeper.stop)
        own.marks.record(
            FinishedFacts(upgrade_id=fakes.UPGRADE, remove_at=machine.clock.time.isoformat())
        )
        keeper.wake()
        wait_until(lambda: own.marks.get(FinishedFacts).removed, 30, interval_seconds=0.01)
        self.assertFalse(stash.exists())
