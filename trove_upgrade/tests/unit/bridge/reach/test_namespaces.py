# SPDX-License-Identifier: Apache-2.0
import ast
import pathlib
import re
import shlex
import uuid

from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.bridge.reach import errors, namespaces, relay
from trove_upgrade.bridge.reach.namespaces import NamespaceRoute
from trove_upgrade.tests.fakes import FakeClock
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.bridge.reach.streams import Place

NETWORK = '6c2a3c5e-1f0e-4a7b-9c53-0e9d7a3f8b11'
NAME = f'qdhcp-{NETWORK}'


def route_of(*answers, **options):
    place = Place(answers=answers, **options)
    return NamespaceRoute(NAME, place, FakeClock()), place


class TestNames(base.TestCase):
    @given(st.uuids())
    def test_the_id_of_every_network_is_taken(self, network_id):
        self.assertEqual(f'qdhcp-{network_id}', namespaces.dhcp_namespace(str(network_id)))
        self.assertEqual(f'ovnmeta-{network_id}', namespaces.metadata_namespace(str(network_id)))

    @given(
        st.one_of(
            st.text(),
            st.builds(lambda one, end: f'{one}{end}', st.uuids(), st.text(min_size=1)),
            st.builds(lambda end, one: f'{end}{one}', st.text(min_size=1), st.uuids()),
            st.just(NETWORK.upper()),
            st.just(f'{NETWORK}\n'),
        )
    )
    def test_nothing_else_is(self, network_id):
        for name in (f'qdhcp-{network_id}', f'qrouter-{NETWORK}', network_id):
            self.assertRaises(errors.NamespaceRefused, namespaces.checked, name)
            self.assertRaises(errors.NamespaceRefused, NamespaceRoute, name, Place())


class TestCommand(base.TestCase):
    @given(st.lists(st.text(alphabet=st.characters(exclude_characters='\0'))))
    def test_a_shell_on_the_way_changes_no_word_of_it(self, words):
        command = namespaces.relay_command(NAME, words)
        self.assertEqual(list(command), shlex.split(shlex.join(command)))
        self.assertEqual(('ip', 'netns', 'exec', NAME, 'python3'), command[:5])

    def test_the_relay_is_a_program_of_old_pythons_and_of_their_library_alone(self):
        text = pathlib.Path(relay.__file__).read_text()
        tree = ast.parse(text, feature_version=(3, 6))
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        self.assertEqual({'errno', 'os', 'select', 'socket', 'sys', 'threading', 'time'}, imported)
        self.assertFalse([node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)])
        self.assertIsNone(re.search(r'\b(?:list|dict|tuple)\[', text))


class TestAnswers(base.TestCase):
    @given(
        st.lists(st.binary(max_size=40).filter(lambda line: b'\n' not in line), max_size=20),
        st.binary(max_size=50),
    )
    def test_what_a_login_prints_before_is_passed_over_and_what_comes_after_is_the_guests(
        self, noise, after
    ):
        before = b''.join(
            line + b'\n' for line in noise if not line.startswith(b'trove-upgrade-relay ')
        )
        route, place = route_of(before + b'trove-upgrade-relay connected\n' + after)
        connection = route.connect('10.0.0.5', 22, 5)
        self.assertEqual(after, connection.recv(100))
        self.assertFalse(place.streams[0].closed)

    def test_silence_of_the_guest_names_the_phase_and_the_address_to_let_in(self):
        route, place = route_of(
            b'trove-upgrade-relay silent\n', b'trove-upgrade-relay source 10.0.0.2\n'
        )
        found = self.assertRaises(errors.TimedOut, route.connect, '10.0.0.5', 22, 5)
        self.assertIn('10.0.0.2', found.message)
        self.assertIn(f'through {NAME} on node-1', found.message)
        self.assertTrue(all(stream.closed for stream in place.streams))

    def test_an_answer_of_the_network_is_no_silence(self):
        answer = b'trove-upgrade-relay refused Connection refused\n'
        route, place = route_of(answer, answer, answer)
        found = self.assertRaises(errors.ConnectionRefused, route.connect, '10.0.0.5', 22, 5)
        self.assertIn('Connection refused', found.message)
        self.assertRaises(errors.ConnectionRefused, route.source_address, '10.0.0.5')
        answer = route.reaches('10.0.0.5', 5672, 5)
        self.assertEqual((False, 'Connection refused'), (answer.reached, answer.found))
        self.assertTrue(all(stream.closed for stream in place.streams))

    def test_reached_is_told_and_the_connection_is_closed(self):
        route, place = route_of(b'trove-upgrade-relay connected\n')
        self.assertTrue(route.reaches('10.0.0.5', 5672, 5).reached)
        self.assertTrue(place.streams[0].closed)

    def test_a_relay_that_does_not_run_says_nothing_of_the_guest(self):
        for answer in (b'', b'Welcome\n', None, b'x\n' * 9000):
            route, place = route_of(answer, complaint='python3: not found')
            found = self.assertRaises(errors.RelayFailed, route.reaches, '10.0.0.5', 22, 5)
            self.assertTrue(place.streams[0].closed)
            if answer is not None and len(answer) < 9000:
                self.assertIn('python3: not found', found.message)

    def test_a_relay_that_prints_for_ever_ends_with_its_time(self):
        clock = FakeClock()

        class Slow(Place):
            def start(self, argv):
                stream = super().start(argv)
                read = stream.recv
                stream.recv = lambda size: (clock.pass_time(1), read(size))[1]
                return stream

        route = NamespaceRoute(NAME, Slow(answers=[b'y' * 5000]), clock)
        self.assertRaises(errors.RelayFailed, route.source_address, '10.0.0.5')
        self.assertLess(clock.monotonic(), 1030)

    def test_networks_have_routes_of_their_own(self):
        other = NamespaceRoute(f'qdhcp-{uuid.uuid4()}', Place())
        self.assertNotEqual(route_of()[0].name, other.name)
