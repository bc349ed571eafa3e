# SPDX-License-Identifier: Apache-2.0
"""Simulated guests of a fleet answer the bridge as real ones do: its own shell and its own pusher
work in them, over SSH on loopback.
"""

import dataclasses
import pathlib
import re
import tempfile
import threading

import paramiko

from trove_upgrade.bridge import guest as installer
from trove_upgrade.bridge import pusher
from trove_upgrade.bridge.pusher import Instance, Pusher
from trove_upgrade.bridge.reach.direct import DirectRoute
from trove_upgrade.bridge.reach.host_key import HostKey
from trove_upgrade.bridge.reach.logins import Login
from trove_upgrade.bridge.reach.ports import Guest
from trove_upgrade.bridge.reach.session import Limits
from trove_upgrade.bridge.reach.shell import open_shell
from trove_upgrade.clock import SystemClock
from trove_upgrade.domain import exceptions
from trove_upgrade.sealing import envelope as envelopes
from trove_upgrade.sealing import messages
from trove_upgrade.sealing.keys import GuestKey, MessageDirection
from trove_upgrade.tests.fleet import guests, trace
from trove_upgrade.tests.fleet.agents import Agents
from trove_upgrade.tests.fleet.guests import CODES, Fault
from trove_upgrade.tests.fleet.old_guest import AGENT, OldGuest
from trove_upgrade.tests.fleet.ssh_server import Host, SshServers, listening
from trove_upgrade.tests.fleet.trace import Span, most_at_once, waves_in_order
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.bridge.shells import Bundle

PLACES = [guests.Place(network_id=f'n-{one}', project_id='p', node=f'node-{one}') for one in '12']
LOOPBACK = '127.0.0.1'
#: Of these the bridge hears over another way than the guest's own shell.
_OUTSIDE = frozenset({Fault.SSHD_REFUSES, Fault.OTHER_HOST_KEY, Fault.NEVER_HEARD})


def planned(seed=1, count=40, **more):
    return guests.planned(
        seed, count, places=PLACES, versions=['10.5', '10.6'], hypervisors=4, **more
    )


class Pins:
    """Record of host keys."""

    def __init__(self, key=None):
        self.key = key

    def known(self, server_id):
        return self.key

    def pin(self, server_id, key):
        self.key = key


class TestPlan(base.TestCase):
    def test_the_same_seed_makes_the_same_fleet(self):
        self.assertEqual(planned(), planned())
        self.assertNotEqual(planned(), planned(seed=2))

    def test_one_in_twenty_has_a_fault_and_no_kind_comes_twice_before_all_have_come(self):
        faults = [one.fault for one in planned(count=200) if one.fault]
        self.assertEqual(10, len(faults))
        self.assertEqual(set(Fault), set(faults))

    def test_the_first_of_each_kind_has_none(self):
        fleet = planned(count=200, percent=50)
        first = {}
        for one in fleet:
            first.setdefault(one.kind, one)
        self.assertEqual({None}, {one.fault for one in first.values()})

    def test_it_travels_to_another_process(self):
        path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'guests')
        guests.save(planned(), path)
        self.assertEqual(list(planned()), guests.load(path))


class TestTrace(base.TestCase):
    def span(self, begin, end, name='a', node='n'):
        return Span(instance_id=name, node=node, hypervisor='h', begin=begin, end=end)

    def test_the_most_at_once_is_found_in_all_and_for_each_host(self):
        spans = [self.span(0, 4), self.span(1, 3), self.span(2, 5, node='m')]
        self.assertEqual({None: 3}, most_at_once(spans))
        self.assertEqual({'n': 2, 'm': 1}, most_at_once(spans, 'node'))

    def test_one_that_begins_when_another_ends_takes_its_place(self):
        self.assertEqual({None: 1}, most_at_once([self.span(0, 1), self.span(1, 2)]))

    def test_a_wave_that_begins_before_the_one_before_has_ended_is_seen(self):
        waves = {'a': 0, 'b': 1}
        self.assertTrue(waves_in_order([self.span(0, 1), self.span(1, 2, 'b')], waves))
        self.assertFalse(waves_in_order([self.span(0, 3), self.span(1, 2, 'b')], waves))


class SshTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.key = paramiko.ECDSAKey.generate()
        self.work_dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.file = self.work_dir / 'trace'
        self.servers = SshServers(self.key.asbytes(), trace.TraceWriter(self.file))
        self.sent = []
        self.agents = Agents(self.sent.append)
        self.pins = Pins()

    def serve(self):
        ended = threading.Event()
        thread = threading.Thread(target=self.servers.serve, args=(ended.is_set,))
        thread.start()
        self.addCleanup(self.servers.close)
        self.addCleanup(thread.join)
        self.addCleanup(ended.set)

    def a_guest(self, fault=None):
        """A guest that listens, and its port."""
        guest = dataclasses.replace(planned()[0], fault=fault)
        old = OldGuest(guest, self.agents.start, lambda: self.agents.end(guest.instance_id))
        listener = listening(LOOPBACK, '', 0)
        self.servers.add(Host(guest=old, host_key=paramiko.ECDSAKey.generate()), listener)
        return old, listener.getsockname()[1]

    def entered(self, old, port):
        shell = open_shell(
            Guest(server_id=old.guest.server_id, address=LOOPBACK, port=port),
            DirectRoute(),
            Login(user='root', keys=(self.key,)),
            self.pins,
            limits=Limits(),
            clock=SystemClock(),
        )
        self.addCleanup(shell.close)
        return shell

    def pushed(self, shell, old, key):
        operators = '[DEFAULT]\ntransport_url = rabbit://u:p@10.60.0.1/v\n'
        bringing = Pusher(bundle=Bundle(), operators_text=operators)
        guest = old.guest
        instance = Instance(
            id=guest.instance_id, project_id=guest.place.project_id, datastore_manager='mariadb'
        )
        found, composed = bringing.prepare(shell, instance)
        return bringing.push(shell, found, composed, key.to_file())


class TestSimulatedGuest(SshTestCase):
    def test_the_bridge_brings_its_agent_in_which_speaks_under_its_key_until_it_is_removed(self):
        old, port = self.a_guest()
        self.serve()
        key = GuestKey.new(old.guest.instance_id)
        shell = self.entered(old, port)

        now = self.pushed(shell, old, key)

        self.assertTrue(now.our_agent_runs)
        self.assertIn(AGENT, old.holds)
        self.agents.look()
        [sealed] = self.sent
        content = envelopes.unseal(key, MessageDirection.TO_TASKMANAGER, sealed)
        report = messages.Report.from_bytes(content)
        self.assertEqual(old.guest.instance_id, report.heartbeat['instance_id'])
        pusher.remove(shell)
        self.assertEqual([], old.holds)
        self.agents.look()
        self.assertEqual(1, len(self.sent))

    def test_each_fault_comes_out_as_the_code_that_the_report_is_to_have(self):
        wanted = {fault: code for fault, code in CODES.items() if fault not in _OUTSIDE}
        guests_of = {fault: self.a_guest(fault) for fault in wanted}
        self.serve()
        for fault, (old, port) in guests_of.items():
            with self.subTest(fault):
                self.pins = Pins()
                error = self.assertRaises(
                    exceptions.TroveUpgradeError,
                    lambda old=old, port=port: self.pushed(
                        self.entered(old, port), old, GuestKey.new(old.guest.instance_id)
                    ),
                )
                self.assertEqual(wanted[fault], error.code)

    def test_another_host_key_than_the_pinned_one_gets_no_login(self):
        old, port = self.a_guest()
        self.serve()
        other = paramiko.ECDSAKey.generate()
        self.pins = Pins(HostKey(other.get_name(), other.asbytes()))
        error = self.assertRaises(exceptions.TroveUpgradeError, self.entered, old, port)
        self.assertEqual(CODES[Fault.OTHER_HOST_KEY], error.code)

    def test_one_that_is_never_heard_takes_all_and_says_nothing(self):
        old, port = self.a_guest(Fault.NEVER_HEARD)
        self.serve()
        self.pushed(self.entered(old, port), old, GuestKey.new(old.guest.instance_id))
        self.assertIn(AGENT, old.holds)
        self.agents.look()
        self.assertEqual([], self.sent)

    def test_the_trace_has_each_session_and_what_the_guest_holds(self):
        old, port = self.a_guest(Fault.SELF_TEST_FAILS)
        self.serve()
        shell = self.entered(old, port)
        self.assertRaises(
            pusher.SelfTestFailed,
            self.pushed,
            shell,
            old,
            GuestKey.new(old.guest.instance_id),
        )
        pusher.remove(shell)
        seen = trace.Trace.read(self.file)
        self.assertEqual(1, seen.open_sessions())
        self.assertEqual({old.guest.instance_id: ()}, seen.held())

    def test_it_knows_every_command_of_the_installer(self):
        text = installer.read(installer.INSTALLER).decode()
        usage = text[text.index('usage: installer ') : text.index('>&2\n    exit 2\n}\n\nmain')]
        names = set(re.findall(r'(?:installer|\|) ([a-z-]+)', usage))
        self.assertLess(8, len(names))
        old, _ = self.a_guest()
        unknown = [name for name in names if name not in old.commands]
        self.assertEqual(['status'], unknown)  # the bridge asks `inspect`
