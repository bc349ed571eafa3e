# SPDX-License-Identifier: Apache-2.0
"""Following until an end, by a clock of the test's own."""

import dataclasses
import math

import testtools
from hypothesis import given
from hypothesis import strategies as st

from troveupgradeclient import exceptions
from troveupgradeclient.tests import base
from troveupgradeclient.v1.following import PATIENCE_SECONDS, SLOWEST_SECONDS, Follower


@dataclasses.dataclass(frozen=True)
class _Seen:
    state: str


class TestFollower(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.clock, self.silences, self.lefts = base.Clock(), [], []

    def follow(self, looks, **options):
        follower = Follower(self.clock, on_silence=self.silences.append, **options)
        left, seen = iter(looks), []

        def look(seconds):
            self.lefts.append(seconds)
            found = next(left)
            if isinstance(found, Exception):
                raise found
            seen.append(found)
            return _Seen(found)

        last = follower.follow(look, lambda seen: seen.state == 'end')
        self.assertEqual(seen[-1], last.state)
        return seen

    def test_the_end_is_the_last_look_and_nothing_is_paused_after_it(self):
        self.assertEqual(['a', 'b', 'end'], self.follow(['a', 'b', 'end'], interval_seconds=3))
        self.assertEqual([3, 3], self.clock.pauses)

    def test_what_has_ended_already_is_looked_at_once(self):
        self.assertEqual(['end'], self.follow(['end']))
        self.assertEqual([], self.clock.pauses)

    def test_the_last_pause_ends_with_the_time(self):
        over = self.assertRaises(
            exceptions.WaitOver, self.follow, ['a'] * 9, interval_seconds=4, timeout_seconds=10
        )
        self.assertEqual([4, 4, 2], self.clock.pauses)
        self.assertIn('The wait of 10 s is over: it is a.', str(over))

    def test_silence_is_told_and_borne_for_a_while(self):
        silent = exceptions.ApiSilent(found='x')
        self.assertEqual(['a', 'end'], self.follow(['a', silent, silent, 'end']))
        self.assertEqual([silent, silent], self.silences)

    def test_a_passing_fault_of_the_service_is_borne_and_a_refusal_is_not(self):
        passing, lasting = (
            exceptions.RequestRefused(status=status, message='x', code='X', request_id='')
            for status in (503, 413)
        )
        self.assertEqual(['end'], self.follow([passing, 'end']))
        self.assertRaises(exceptions.RequestRefused, self.follow, [lasting, 'end'])
        self.assertEqual([passing], self.silences)

    def test_a_long_silence_ends_it(self):
        silent = exceptions.ApiSilent(found='x')
        self.assertRaises(
            exceptions.ApiSilent, self.follow, [silent] * 9, interval_seconds=PATIENCE_SECONDS / 2
        )
        self.assertEqual(2, len(self.silences) - 1)

    def test_each_look_is_told_how_much_is_left_of_the_wait(self):
        self.follow(['a', 'b', 'end'], interval_seconds=3, timeout_seconds=10)
        self.assertEqual([10, 7, 4], self.lefts)
        self.lefts.clear()
        self.follow(['a', 'end'])
        self.assertEqual([math.inf] * 2, self.lefts)

    def test_too_many_requests_are_borne_by_ever_longer_pauses_until_there_is_an_answer(self):
        limit = _limit(413)
        self.follow([limit, limit, 'a', 'b', 'c', 'end'], interval_seconds=2)
        self.assertEqual([4, 8, 4, 2, 2], self.clock.pauses)
        self.assertEqual([limit, limit], self.silences)

    def test_a_pause_is_as_long_as_the_limit_asks_for_within_bounds(self):
        self.follow([_limit(429, 30.0), _limit(429, 86400.0), 'end'], interval_seconds=2)
        self.assertEqual([30, SLOWEST_SECONDS], self.clock.pauses)

    def test_a_limit_ends_no_wait_however_long_it_stays(self):
        self.follow([*[_limit(429)] * 50, 'end'])
        self.assertLess(PATIENCE_SECONDS, self.clock.time)

    @given(st.lists(st.none() | st.floats(0, 1e6), max_size=20), st.floats(0.1, 100))
    def test_pauses_are_never_shorter_than_what_was_asked_for(self, asked, interval):
        clock = base.Clock()
        looks = iter([_limit(429, each) for each in asked])

        def look(_seconds):
            for each in looks:
                raise each
            return _Seen('end')

        Follower(clock, interval_seconds=interval).follow(look, lambda _: True)
        self.assertEqual(len(asked), len(clock.pauses))
        for pause in clock.pauses:
            self.assertTrue(interval <= pause <= max(interval, SLOWEST_SECONDS))


def _limit(status, retry_after_seconds=None):
    return exceptions.RequestRefused(
        status=status,
        message='x',
        code=None,
        request_id='',
        retry_after_seconds=retry_after_seconds,
    )
