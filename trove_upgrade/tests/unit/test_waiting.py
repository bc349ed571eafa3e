# SPDX-License-Identifier: Apache-2.0
"""Waiting with a deadline, by a clock that only pauses move."""

from trove_upgrade.tests.unit import base
from trove_upgrade.waiting import wait_until


class WaitUntilTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.now, self.pauses, self.looks = 100.0, [], 0

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds

    def wait(self, *results, seconds=1, **more):
        """The result; each look sees the next of `results`, and the last of them ever after."""

        def condition():
            self.looks += 1
            return results[min(self.looks, len(results)) - 1]

        return wait_until(condition, seconds, monotonic=lambda: self.now, sleep=self.sleep, **more)

    def test_what_is_true_already_is_returned_without_a_pause(self):
        self.assertEqual('here', self.wait('here'))
        self.assertEqual((1, []), (self.looks, self.pauses))

    def test_the_first_true_result_is_returned(self):
        self.assertEqual([3], self.wait([], [], [3], [4], interval_seconds=0.25))
        self.assertEqual((3, [0.25, 0.25]), (self.looks, self.pauses))

    def test_the_last_result_is_returned_when_the_time_is_over(self):
        self.assertEqual(0, self.wait(None, '', 0, interval_seconds=0.25))
        self.assertEqual([0.25] * 4, self.pauses)

    def test_the_last_look_comes_after_the_last_pause(self):
        self.assertTrue(self.wait(False, False, True, seconds=1, interval_seconds=0.5))
        self.assertEqual(101.0, self.now)

    def test_without_time_there_is_one_look(self):
        for seconds in (0, -1):
            self.looks = 0
            self.assertFalse(self.wait(False, True, seconds=seconds))
            self.assertEqual((1, []), (self.looks, self.pauses))

    def test_a_look_that_takes_long_is_the_last_one(self):
        def condition():
            self.looks += 1
            self.now += 7

        self.assertIsNone(wait_until(condition, 5, monotonic=lambda: self.now, sleep=self.sleep))
        self.assertEqual((1, []), (self.looks, self.pauses))

    def test_an_error_of_the_condition_is_the_callers(self):
        self.assertRaises(ZeroDivisionError, wait_until, lambda: 1 / 0, 60)

    def test_the_clock_of_the_machine_is_the_default(self):
        results = iter((False, True))
        self.assertTrue(wait_until(lambda: next(results), 60, interval_seconds=0))
