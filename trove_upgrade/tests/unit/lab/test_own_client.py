# SPDX-License-Identifier: Apache-2.0
"""Commands of the service's own client, as the demonstrations show them."""

import pathlib
import tempfile

from lab import errors
from lab.clients import Clients
from lab.demo.own_client import OwnClient
from lab.handle import Credentials
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.test_terminal import HOSTILE

_USER = Credentials(username='demo', password='p', project_name='demo', auth_url='http://keystone')


class TestOwnClient(base.TestCase):
    def setUp(self):
        super().setUp()
        self.programs = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.lines = []
        self.own = OwnClient(Clients(_USER, self.programs), self.lines.append)

    def openstack(self, script):
        """Have the command `openstack` be this script."""
        program = self.programs / 'openstack'
        program.write_text(f'#!/bin/sh\n{script}\n')
        program.chmod(0o755)

    def test_a_command_is_shown_and_what_it_prints_below_it(self):
        self.openstack('echo "of $OS_USERNAME: $*"; echo progress >&2')
        self.own.targets('orders')
        self.assertEqual('$ openstack database upgrade targets orders', self.lines[0])
        self.assertEqual(
            ['  of demo: database upgrade targets orders', '  progress'], sorted(self.lines[1:])
        )

    def test_an_upgrade_is_watched_with_the_command_that_is_shown(self):
        self.openstack('echo "openstack $*"')
        self.own.watch('orders', pathlib.Path('logs'))
        command, ran = self.lines
        self.assertEqual(command.removeprefix('$ '), ran.strip())
        self.assertTrue(ran.strip().startswith('openstack database upgrade watch orders '), ran)

    def test_one_that_does_not_complete_is_an_error_that_names_the_logs(self):
        self.openstack('echo "orders: FAILED: no space left"; exit 5')
        failed = self.assertRaises(
            errors.LabError, self.own.watch, 'orders', pathlib.Path('/run/log')
        )
        self.assertEqual('lab_upgrade_not_completed', failed.code)
        for words in ('exit code 5', 'no space left', '/run/log'):
            self.assertIn(words, str(failed))

    def test_what_a_terminal_would_obey_is_shown_as_text(self):
        (self.programs / 'hostile').write_text(HOSTILE)
        self.openstack(f'cat {self.programs}/hostile')
        self.own.targets('orders')
        self.assertFalse(any('\x1b' in line or '\x07' in line for line in self.lines), self.lines)
