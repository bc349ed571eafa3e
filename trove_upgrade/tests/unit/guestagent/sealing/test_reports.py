# SPDX-License-Identifier: Apache-2.0
"""In which form heartbeats leave a guest, by the key that it has."""

import pathlib

import fixtures

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.heartbeat import Heartbeats
from trove_upgrade.guestagent.sealing.reports import Reports
from trove_upgrade.sealing import envelope, messages
from trove_upgrade.sealing.keys import GuestKey, MessageDirection
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes

TROVES = 'troves-own-key-of-the-guest'


class Taskmanagers:
    """Notes what comes; the broker takes nothing of one form while told so."""

    def __init__(self):
        self.unsealed, self.sealed_ones, self.down = [], [], False

    def heartbeat(self, _context, heartbeat):
        self.unsealed.append(heartbeat)

    def sealed(self, _context, sealed):
        if self.down:
            raise exceptions.MessagingUnavailable(what='x', found='y')
        self.sealed_ones.append(sealed)


class ReportsTest(base.TestCase):
    def setUp(self):
        super().setUp()
        directory = self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path
        self.machine = fakes.Machine(pathlib.Path(directory))
        self.taskmanagers = Taskmanagers()
        self.log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))
        own = self.machine.guest()
        self.heartbeat = Heartbeats(own, None, lambda: False, 1.0).heartbeat()

    def send(self, seal, times=1):
        """Numbers of heartbeats that have left: (sealed, unsealed)."""
        reports = Reports(seal, self.taskmanagers)
        for _ in range(times):
            reports.send(self.heartbeat)
        return len(self.taskmanagers.sealed_ones), len(self.taskmanagers.unsealed)

    def read(self, key):
        return [
            messages.Report.from_bytes(
                envelope.unseal(key, MessageDirection.TO_TASKMANAGER, sealed)
            )
            for sealed in self.taskmanagers.sealed_ones
        ]

    def test_a_guest_without_a_key_speaks_as_before(self):
        self.assertEqual((0, 1), self.send(self.machine.seal()))
        self.assertEqual([self.heartbeat], self.taskmanagers.unsealed)

    def test_a_guest_with_a_key_file_seals_each_with_a_number_of_its_own(self):
        key = GuestKey.new(fakes.INSTANCE)
        self.machine.put_key(key)
        self.assertEqual((3, 0), self.send(self.machine.seal(TROVES), times=3))
        reports = self.read(key)
        self.assertEqual([1, 2, 3], [report.number for report in reports])
        self.assertEqual(1, len({report.session for report in reports}))
        self.assertEqual(self.heartbeat.to_wire(), reports[0].heartbeat)

    def test_each_start_of_an_agent_counts_from_1_in_a_session_of_its_own(self):
        key = GuestKey.new(fakes.INSTANCE)
        self.machine.put_key(key)
        for _ in range(2):
            self.send(self.machine.seal())
        first, second = self.read(key)
        self.assertEqual((1, 1), (first.number, second.number))
        self.assertNotEqual(first.session, second.session)

    def test_a_derived_key_speaks_in_both_forms_until_it_is_proven(self):
        seal, key = self.machine.seal(TROVES), GuestKey.of_trove(fakes.INSTANCE, TROVES)
        self.assertEqual((1, 1), self.send(seal))
        request = messages.Request(
            method='greet', session=messages.NO_SESSION, number=1, latest=0, arguments={}
        )
        sealed = envelope.seal(key, MessageDirection.TO_GUEST, request.to_bytes())
        seal.take(seal.open({'envelope': sealed.to_wire()}))
        self.assertEqual((2, 1), self.send(seal))
        self.assertEqual((3, 1), self.send(self.machine.seal(TROVES)))

    def test_what_an_older_taskmanager_reads_leaves_also_when_the_sealed_one_does_not(self):
        self.taskmanagers.down = True
        seal = self.machine.seal(TROVES)
        self.assertRaises(exceptions.MessagingUnavailable, self.send, seal)
        self.assertEqual(1, len(self.taskmanagers.unsealed))

    def test_a_broken_key_file_silences_the_guest_until_it_is_mended(self):
        key, seal = GuestKey.new(fakes.INSTANCE), self.machine.seal(TROVES)
        self.machine.put_key(GuestKey.new('another'))
        self.assertEqual((0, 0), self.send(seal, times=5))
        self.assertEqual(1, len(self.log.output.splitlines()))
        self.machine.put_key(key)
        self.assertEqual((1, 0), self.send(seal))
        self.assertEqual(1, len(self.read(key)))

    def test_a_key_file_that_comes_later_counts_from_the_next_heartbeat_on(self):
        seal = self.machine.seal()
        self.assertEqual((0, 1), self.send(seal))
        self.machine.put_key(GuestKey.new(fakes.INSTANCE))
        self.assertEqual((1, 1), self.send(seal))

    def test_the_last_drops_are_told_of_with_a_heartbeat(self):
        for _ in range(3):
            self.machine.drops.count('a')
        self.machine.clock.move(61)
        self.send(self.machine.seal())
        self.assertIn('2, as a', self.log.output)
