# SPDX-License-Identifier: Apache-2.0
import logging

import fixtures

from trove_upgrade.taskmanager.keeper import Keeper
from trove_upgrade.taskmanager.outages import Outages
from trove_upgrade.tests.fakes import FakeClock
from trove_upgrade.tests.unit import base


class Held:
    """Holdings whose renewal takes a time, and may raise."""

    def __init__(self, clock):
        self.clock, self.seconds, self.error, self.times = clock, 0, None, 0

    def renew(self):
        self.times += 1
        self.clock.pass_time(self.seconds)
        if self.error:
            raise self.error


class TestKeeper(base.TestCase):
    def setUp(self):
        super().setUp()
        self.clock = FakeClock()
        self.upgrades, self.checks = Held(self.clock), Held(self.clock)
        self.keeper = Keeper(
            held=(self.upgrades, self.checks),
            clock=self.clock,
            outages=Outages(),
            lease_seconds=15,
        )
        self.log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade', level=logging.INFO))

    def test_leases_are_renewed_three_times_in_their_time_however_long_a_renewal_takes(self):
        for seconds, pause in ((0, 5), (1, 4), (5, 0), (9, 0)):
            self.upgrades.seconds = seconds
            self.assertEqual(pause, self.keeper.keep())
        self.assertEqual('', self.log.output)

    def test_a_kind_that_fails_costs_the_other_nothing_and_is_tried_again_soon(self):
        self.upgrades.error = OSError('away')
        self.assertLess(self.keeper.keep(), 1)
        self.assertEqual(1, self.checks.times)
        self.assertIn('could not be renewed', self.log.output)
        self.upgrades.error = None
        self.assertEqual(5, self.keeper.keep())
