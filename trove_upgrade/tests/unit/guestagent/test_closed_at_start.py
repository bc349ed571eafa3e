# SPDX-License-Identifier: Apache-2.0
"""The agent's start looks whether clients are still kept from a database that was not opened."""

import dataclasses
import pathlib

import fixtures

from trove_upgrade.guestagent import agent
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes


class Driver(fakes.Driver):
    """A driver that remembers, and fails if it is told so."""

    looked, error = False, None

    def keep_closed(self):
        self.looked = True
        if self.error is not None:
            raise self.error


class TestKeepClosed(base.TestCase):
    def setUp(self):
        super().setUp()
        machine = fakes.Machine(pathlib.Path(self.useFixture(fixtures.TempDir()).path))
        self.driver = Driver(machine)
        self.guest = dataclasses.replace(machine.guest(), driver=self.driver)
        self.log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))

    def test_the_driver_is_asked(self):
        agent.keep_closed(self.guest)
        self.assertEqual((True, ''), (self.driver.looked, self.log.output))

    def test_what_it_raises_is_logged_and_the_agent_starts_all_the_same(self):
        self.driver.error = OSError(28, 'No space left on device')
        agent.keep_closed(self.guest)
        self.assertIn('No space left on device', self.log.output)
