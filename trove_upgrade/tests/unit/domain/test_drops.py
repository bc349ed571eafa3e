# SPDX-License-Identifier: Apache-2.0
"""Dropped messages fill no log, and none is forgotten."""

import threading

import fixtures

from trove_upgrade.domain.drops import Drops
from trove_upgrade.tests.unit import base

_NUMBER = 500


class DropsTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.time = 0.0
        self.drops = Drops(lambda: self.time)
        self.log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))

    def lines(self):
        return self.log.output.splitlines()

    def test_the_first_is_told_of_at_once_and_the_others_in_one_line_a_minute_later(self):
        for _ in range(_NUMBER):
            self.drops.count('they smell')
        self.assertEqual(['Messages were dropped: 1, as they smell'], self.lines())
        self.time = 59.9
        self.drops.count('they smell')
        self.assertEqual(1, len(self.lines()))
        self.time = 60
        self.drops.count('they smell')
        self.assertEqual('Messages were dropped: 501, as they smell', self.lines()[1])

    def test_each_reason_has_its_own_minute(self):
        self.drops.count('a')
        self.time = 30
        self.drops.count('b')
        self.drops.count('a')
        self.assertEqual(2, len(self.lines()))
        self.time = 60
        self.drops.count('b')
        self.assertIn('1, as a', self.lines()[2])
        self.assertEqual(3, len(self.lines()))

    def test_the_last_ones_are_told_of_when_nothing_more_comes(self):
        for _ in range(3):
            self.drops.count('a')
        self.time = 61
        self.drops.tell()
        self.assertIn('2, as a', self.lines()[1])
        self.time = 200
        self.drops.tell()
        self.assertEqual(2, len(self.lines()))

    def test_those_that_come_at_once_are_all_counted(self):
        threads = [
            threading.Thread(target=lambda: [self.drops.count('a') for _ in range(_NUMBER)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({'a': 4 * _NUMBER}, self.drops.counted)
