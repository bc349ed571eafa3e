# SPDX-License-Identifier: Apache-2.0
import pathlib
import socket

from lab import errors, layout, preflight
from lab.settings import Ports
from trove_upgrade.tests.unit import base

PORTS = Ports()


class Machine:
    """A machine that has everything, but what a test takes away."""

    def __init__(self, **lacks):
        self._lacks = lacks

    def is_root(self):
        return self._lacks.get('root', True)

    def has_program(self, name):
        return name not in self._lacks.get('programs', ())

    def python(self):
        return self._lacks.get('python', (3, 11))

    def unshares(self):
        return self._lacks.get('unshares', True)

    def has_loop_devices(self):
        return self._lacks.get('loop', True)

    def knows_file_system(self, name):
        return name not in self._lacks.get('file_systems', ())

    def mounts_overlay(self, _directory):
        return self._lacks.get('overlay', True)

    def free_bytes(self, _path):
        return self._lacks.get('free', 1 << 50)

    def memory_bytes(self):
        return self._lacks.get('memory', 1 << 50)

    def port_is_free(self, port):
        return port not in self._lacks.get('taken', ())


class PreflightTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.layout = layout.Layout(
            pathlib.Path('/nonexistent/cache'), pathlib.Path('/nonexistent/run')
        )

    def findings(self, **lacks):
        return preflight.findings(self.layout, Machine(**lacks))

    def assert_finds(self, words, **lacks):
        found = self.findings(**lacks)
        self.assertEqual(1, len(found), found)
        self.assertIn(words, found[0])
        self.assertNotIn('\n', found[0])

    def test_a_machine_that_has_all_passes(self):
        self.assertEqual([], self.findings())
        preflight.require(self.layout, Machine())

    def test_each_lack_is_one_line(self):
        self.assert_finds('sudo', root=False, unshares=False, loop=False)
        self.assert_finds('privileged', unshares=False)
        self.assert_finds('modprobe loop', loop=False)
        self.assert_finds('modprobe squashfs', file_systems=('squashfs',))
        self.assert_finds('TROVE_UPGRADE_LAB_RUN', overlay=False)
        self.assert_finds('Debian', programs=('apt-get',))
        self.assert_finds('3.11', python=(3, 9))
        self.assert_finds('memory', memory=1 << 30)
        self.assert_finds(str(PORTS.identity), taken=(PORTS.identity,))

    def test_too_little_space_names_both_places(self):
        found = self.findings(free=1 << 30)
        self.assertEqual(2, len(found))
        self.assertIn('TROVE_UPGRADE_LAB_CACHE', found[0])
        self.assertIn('TROVE_UPGRADE_LAB_RUN', found[1])

    def test_our_own_apis_port_may_be_taken(self):
        self.assertEqual([], self.findings(taken=(PORTS.database,)))

    def test_everything_is_said_at_once(self):
        failure = self.assertRaises(
            errors.MachineLacks, preflight.require, self.layout, Machine(unshares=False, loop=False)
        )
        self.assertEqual(2, len(failure.findings))


class RealMachineTest(base.TestCase):
    def test_a_port_that_somebody_listens_on_is_not_free(self):
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', 0))
            taken.listen()
            self.assertFalse(preflight.Machine().port_is_free(taken.getsockname()[1]))

    def test_space_is_asked_of_the_nearest_directory_that_exists(self):
        self.assertGreater(preflight.Machine().free_bytes(pathlib.Path('/nonexistent/a/b')), 0)

    def test_it_knows_its_memory(self):
        self.assertGreater(preflight.Machine().memory_bytes(), 0)

    def test_a_file_system_nobody_has_is_not_known(self):
        self.assertFalse(preflight.Machine().knows_file_system('no-such-file-system'))
