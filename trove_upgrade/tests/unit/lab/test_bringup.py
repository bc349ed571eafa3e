# SPDX-License-Identifier: Apache-2.0
import threading

from lab import bringup
from trove_upgrade.tests.unit import base

DEADLINE_SECONDS = 20.0


class BringupTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.told = []
        self.bringup = bringup.Bringup(self.told.append)

    def test_a_part_waits_for_what_it_needs(self):
        order = []
        self.run_parts(
            ('a', lambda: order.append('a'), ()),
            ('b', lambda: order.append('b'), ('a',)),
            ('c', lambda: order.append('c'), ('a', 'b')),
        )
        self.assertEqual(['a', 'b', 'c'], order)
        self.assertEqual('3 of 3', self.told[-1])

    def test_parts_that_need_nothing_run_at_once(self):
        both = threading.Barrier(2, timeout=DEADLINE_SECONDS)
        self.run_parts(('a', both.wait, ()), ('b', both.wait, ()))

    def test_a_failure_ends_the_others_and_is_what_is_raised(self):
        ended = []

        def wait():
            self.bringup.stopping.wait(DEADLINE_SECONDS)
            ended.append(True)
            self.bringup.check()

        failure = self.assertRaises(
            ValueError,
            self.run_parts,
            ('waits', wait, ()),
            ('fails', self.fail_with_value_error, ()),
            ('later', lambda: ended.append('later'), ('fails',)),
        )
        self.assertEqual('broken', str(failure))
        self.assertEqual([True], ended)

    def run_parts(self, *parts):
        self.bringup.run([bringup.Part(name, action, needs) for name, action, needs in parts])

    @staticmethod
    def fail_with_value_error():
        raise ValueError('broken')
