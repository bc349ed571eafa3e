# SPDX-License-Identifier: Apache-2.0
"""Packet filters that cannot be used: the database serves all the same, and no client comes before
the comparison.
"""

import datetime
import itertools
import json
import pathlib
import re

import fixtures
from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.guestagent.datastores import base as datastore
from trove_upgrade.guestagent.datastores.image_facts import ImageFacts
from trove_upgrade.guestagent.datastores.mysql_family import connection, isolated
from trove_upgrade.guestagent.datastores.mysql_family.engines.mariadb import MariaDB
from trove_upgrade.guestagent.datastores.mysql_family.hosts.host import HostPorts
from trove_upgrade.guestagent.datastores.mysql_family.hosts.service_host import ServiceHost
from trove_upgrade.guestagent.machine.packet_filter import Either, Kind
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent.datastores import fakes
from trove_upgrade.tests.unit.guestagent.packet_programs import FAMILIES, Programs, State

_SET = re.compile(r'SET GLOBAL `?(\w+)`? = (.+)')


class Machine(fakes.Service):
    """A guest: its packet filters, and a server that is what its last start made of it."""

    def __init__(self, root, **states):
        super().__init__(running=None)
        self.packets = Programs(**states)
        self.starts = []
        self.variables = {}
        for name in ('etc', 'run', 'v/data'):
            (root / name).mkdir(parents=True, exist_ok=True)
        self.context = datastore.DriverContext(
            volume=root / 'v',
            data_directory=root / 'v/data',
            etc=root / 'etc',
            run=root / 'run',
            image_facts=ImageFacts(),
            now=lambda: datetime.datetime.now(datetime.UTC),
            monotonic=fakes.Clock(),
        )
        self.arguments = root / 'run/database-args'
        self.record = root / 'run/database-closed.json'

    def agent(self):
        """The host as an agent has it that has just been started."""
        host = ServiceHost(
            self.context,
            MariaDB(),
            self,
            HostPorts(connect=self.connect, sleep=lambda seconds: None),
            runs=fakes.Programs(installed=False),
            user='daemon',
            packets=Either(self.packets),
        )
        host.keep_closed()
        return host

    def start(self, name):
        super().start(name)
        found = self.arguments.read_text().splitlines() if self.arguments.exists() else []
        self.starts.append(tuple(found))
        self.variables = {
            'event_scheduler': 'OFF',
            'max_statement_time': '0' if '--skip-networking' in found else '0.01',
            'port': '3306',
            'socket': str(self.context.etc.parent / 'run/mysqld/mysqld.sock'),
            'skip_networking': 'ON' if '--skip-networking' in found else 'OFF',
        }

    def connect(self, credentials, timeout_seconds):
        if self.running is None:
            raise connection.NoAnswer(socket=credentials.socket, found='refused')
        return self

    def close(self):
        """Sessions of this server have nothing to let go."""

    def rows(self, statement, arguments=()):
        changed = _SET.fullmatch(statement)
        if changed:
            self.variables[changed[1]] = arguments[0] if arguments else changed[2]
        if statement == 'SHOW GLOBAL VARIABLES':
            return list(self.variables.items())
        if 'event_scheduler' in statement:
            return [(self.variables['skip_networking'] == 'ON', 'OFF')]
        if '@@global.port' in statement:
            return [(self.variables['skip_networking'] == 'ON', 0, '')]
        return [('11.8.6-MariaDB',)] if 'VERSION' in statement else []

    def reached(self):
        """Return the families whose clients the server answers."""
        if self.running is None or self.variables['skip_networking'] == 'ON':
            return []
        return self.packets.let_in()


class ClosedTestCase(base.TestCase):
    def machine(self, **states):
        root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        return Machine(root, **states)

    def isolate(self, machine, host):
        host.run_isolated(isolated.WITHOUT_TLS)
        self.assertTrue(host.is_isolated())
        self.assertEqual([], machine.reached())

    def assert_serves(self, machine, *starts):
        self.assertEqual(list(FAMILIES), machine.reached())
        self.assertEqual(list(starts), machine.starts)
        self.assertEqual('0.01', machine.variables['max_statement_time'])
        self.assertFalse(machine.record.exists())
        machine.agent()
        self.assertEqual(list(FAMILIES), machine.reached())


class TestAFilterThatCannotBeUsed(ClosedTestCase):
    def test_fails_no_upgrade_whichever_it_is_and_whenever_the_agent_starts_anew(self):
        families = (*itertools.product(State, repeat=2),)
        for nft, (ipv4, ipv6), anew in itertools.product(State, families, (False, True)):
            machine = self.machine(nft=nft, iptables=ipv4, ip6tables=ipv6)
            host = machine.agent()
            host.check_configuration(GuestOptions())
            self.assertEqual(list(FAMILIES), machine.packets.let_in())
            host = machine.agent() if anew else host
            self.isolate(machine, host)
            host = machine.agent() if anew else host
            self.assertEqual([], machine.reached())
            self.isolate(machine, host)
            host.open_for_clients()
            used = nft is State.WORKS or (nft is State.ABSENT and ipv4 is ipv6 is State.WORKS)
            starts = (isolated.BEHIND_A_FILTER,) if used else (isolated.WITHOUT_TLS, ())
            self.assert_serves(machine, *starts)
            host.open_for_clients()
            self.assert_serves(machine, *starts)

    def test_is_known_while_there_is_a_way_back(self):
        machine = self.machine(nft=State.REFUSES)
        host = machine.agent()
        log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))
        host.check_configuration(GuestOptions())
        self.assertIn('nft: Permission denied', log.output)
        machine.packets.states.clear()  # it is not asked again
        self.isolate(machine, host)
        self.assertEqual([isolated.WITHOUT_TLS], machine.starts)

    def test_and_rules_that_would_stay_fail_the_trial_before_any_start(self):
        machine = self.machine(nft=State.ABSENT)
        machine.packets.refused.add(('ip6tables', '-X'))
        error = self.assertRaises(
            exceptions.StepFailed, machine.agent().check_configuration, GuestOptions()
        )
        self.assertEqual(('DATABASE_NOT_REACHABLE', []), (error.code, machine.starts))
        machine.packets.refused.clear()
        machine.agent()
        self.assertEqual(list(FAMILIES), machine.packets.let_in())

    def test_and_leaves_rules_when_it_closes_hinders_the_opening_alone(self):
        machine = self.machine(nft=State.ABSENT)
        machine.packets.refused |= {('ip6tables', '-I'), ('iptables', '-X')}
        host = machine.agent()
        self.isolate(machine, host)
        self.assertRaises(exceptions.StepFailed, host.open_for_clients)
        machine.packets.refused.clear()
        host.open_for_clients()
        self.assert_serves(machine, isolated.WITHOUT_TLS, (), ())

    def test_after_it_has_closed_ends_nothing_and_the_next_try_needs_no_start(self):
        machine = self.machine()
        host = machine.agent()
        self.isolate(machine, host)
        machine.packets.refused.add(('nft', 'table'))
        error = self.assertRaises(exceptions.StepFailed, host.open_for_clients)
        self.assertEqual('DATABASE_NOT_REACHABLE', error.code)
        host = machine.agent()
        machine.packets.refused.clear()
        host.open_for_clients()
        self.assert_serves(machine, isolated.BEHIND_A_FILTER)

    def test_in_one_family_after_it_has_closed_leaves_the_other_one_s_clients_served(self):
        for states, refused in (
            ({'ip6tables': State.REFUSES}, set()),
            ({}, {('ip6tables', '-D')}),
        ):
            machine = self.machine(nft=State.ABSENT)
            host = machine.agent()
            self.isolate(machine, host)
            # nft, which is there now, could close it again
            machine.packets.states, machine.packets.refused = dict(states), refused
            for _ in range(2):
                self.assertRaises(exceptions.StepFailed, host.open_for_clients)
                self.assertEqual(['iptables'], machine.reached())
                host = machine.agent()
                self.assertEqual(['iptables'], machine.reached())
            machine.packets.states, machine.packets.refused = {}, set()
            host.open_for_clients()
            self.assertEqual(list(FAMILIES), machine.reached())

    @given(
        states=st.lists(
            st.fixed_dictionaries({n: st.sampled_from(State) for n in ('nft', *FAMILIES)}),
            min_size=4,
            max_size=4,
        ),
        refused=st.sets(
            st.one_of(
                st.tuples(st.sampled_from(FAMILIES), st.sampled_from(('-N', '-A', '-I', '-X'))),
                st.just(('nft', 'table')),
            ),
            max_size=2,
        ),
        anew=st.booleans(),
    )
    def test_from_any_step_on_lets_none_in_before_the_comparison_and_serves_once_it_is_mended(
        self, states, refused, anew
    ):
        machine = self.machine()
        host = machine.agent()
        for state in states:
            machine.packets.states, machine.packets.refused = dict(state), refused
            host = machine.agent() if anew else host
            host.run_isolated(isolated.WITHOUT_TLS)
            self.assertEqual([], machine.reached())
        host = machine.agent() if anew else host
        try:
            host.open_for_clients()
        except exceptions.StepFailed:
            self.assertEqual(machine.packets.let_in(), machine.reached())
        machine.packets.states, machine.packets.refused = {}, set()
        host = machine.agent() if anew else host
        host.open_for_clients()
        self.assertEqual(list(FAMILIES), machine.reached())


class TestRecords(ClosedTestCase):
    def edit(self, machine, change):
        document = json.loads(machine.record.read_text())
        change(document)
        machine.record.write_text(json.dumps(document))

    def test_of_the_release_before_and_of_a_later_one_are_read(self):
        for change in (
            lambda document: document.pop('made_by'),
            lambda document: document.update(of_a_later_release=1),
        ):
            machine = self.machine(iptables=State.REFUSES, ip6tables=State.REFUSES)
            self.isolate(machine, machine.agent())
            self.edit(machine, change)
            host = machine.agent()
            self.isolate(machine, host)
            host.open_for_clients()
            self.assert_serves(machine, isolated.BEHIND_A_FILTER)

    def test_name_the_filter_that_has_made_the_rules(self):
        for nft, kind in ((State.WORKS, Kind.NFT), (State.ABSENT, Kind.IPTABLES)):
            machine = self.machine(nft=nft)
            self.isolate(machine, machine.agent())
            self.assertEqual([kind], json.loads(machine.record.read_text())['made_by'])

    def test_tell_of_both_where_lost_rules_were_made_again_by_the_other_filter(self):
        machine = self.machine(nft=State.ABSENT)
        self.isolate(machine, machine.agent())
        machine.packets.states['nft'] = State.WORKS
        machine.packets.rules['iptables'].clear()
        host = machine.agent()
        self.assertEqual([], machine.reached())
        made_by = json.loads(machine.record.read_text())['made_by']
        self.assertEqual([Kind.IPTABLES, Kind.NFT], made_by)
        host.open_for_clients()
        self.assert_serves(machine, isolated.BEHIND_A_FILTER, ())

    def test_are_not_needed_to_lift_rules_that_a_boot_has_brought_back(self):
        for nft in (State.WORKS, State.ABSENT):
            machine = self.machine(nft=nft)
            self.isolate(machine, machine.agent())
            machine.record.unlink()
            machine.start('mariadb')
            machine.agent()
            self.assertEqual(list(FAMILIES), machine.packets.let_in())
