# SPDX-License-Identifier: Apache-2.0
import concurrent.futures
import threading

from trove_upgrade.domain.bounded import Bounded, NoAnswerInTime
from trove_upgrade.tests.unit import base

_SECONDS = 30


class TestBounded(base.TestCase):
    def setUp(self):
        super().setUp()
        self.asked = 0
        self.time = 0.0
        self.error = None

    def ask(self):
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.asked

    def bounded(self, ask=None, wait_seconds=_SECONDS):
        return Bounded('It', ask or self.ask, lambda: self.time, wait_seconds=wait_seconds)

    def test_an_answer_is_given_again_for_two_seconds(self):
        bounded = self.bounded()
        for self.time in (0.0, 1.0, 1.9):
            self.assertEqual(1, bounded.answer())
        self.time = 2.1
        self.assertEqual(2, bounded.answer())

    def test_an_error_is_too_and_it_is_asked_again_then(self):
        self.error = ValueError('away')
        bounded = self.bounded()
        for _ in range(2):
            self.assertRaises(ValueError, bounded.answer)
        self.assertEqual(1, self.asked)
        self.error, self.time = None, 3.0
        self.assertEqual(2, bounded.answer())

    def test_what_hangs_is_not_waited_for_and_is_asked_no_second_time_meanwhile(self):
        goes_on, ends = threading.Event(), threading.Event()
        self.addCleanup(goes_on.set)

        def ask():
            self.asked += 1
            goes_on.wait(_SECONDS)
            ends.set()
            return 'late'

        bounded = self.bounded(ask, wait_seconds=0)
        for _ in range(3):
            error = self.assertRaises(NoAnswerInTime, bounded.answer)
            self.assertIn('It gave no answer within 0 s', error.message)
            self.time += 10
        goes_on.set()
        self.assertTrue(ends.wait(_SECONDS))
        concurrent.futures.wait([bounded._look.future], _SECONDS)
        self.assertEqual('late', bounded.answer())
        self.assertEqual(1, self.asked)
