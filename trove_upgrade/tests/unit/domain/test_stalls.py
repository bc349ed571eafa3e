# SPDX-License-Identifier: Apache-2.0
"""How much a row remembers of calls that kept a worker waiting, and how long it rests."""

from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.domain import stalls
from trove_upgrade.tests.unit import base


def lowest(low, _high):
    return low


def highest(_low, high):
    return high


class TestStalls(base.TestCase):
    @given(st.lists(st.booleans(), max_size=60))
    def test_they_stay_within_their_bounds_and_prompt_calls_make_up_for_all(self, calls):
        count = 0
        for kept_waiting in calls:
            count = stalls.after(count, kept_waiting=kept_waiting)
            self.assertTrue(0 <= count <= stalls.MOST)
        for _ in range(stalls.MOST):
            count = stalls.after(count, kept_waiting=False)
        self.assertEqual(0, count)

    @given(st.integers(min_value=1, max_value=40))
    def test_a_guest_that_answers_every_other_call_is_never_a_prompt_one_again(self, rounds):
        count = 0
        for _ in range(rounds):
            count = stalls.after(stalls.after(count, kept_waiting=True), kept_waiting=False)
        self.assertGreater(count, 0)


class TestRest(base.TestCase):
    @given(
        st.integers(min_value=0, max_value=1 << 20),
        st.floats(min_value=1, max_value=600),
        st.floats(min_value=0, max_value=1),
    )
    def test_it_is_from_one_second_to_the_longest_whatever_chance_says(self, count, longest, share):
        seconds = stalls.rest_seconds(count, longest, lambda low, high: low + (high - low) * share)
        self.assertTrue(1 <= seconds <= max(1, longest) * (1 + 1e-9), seconds)

    def test_each_further_silence_doubles_it_until_the_longest(self):
        counts = [2, 4, 6, 8, 10, 12]
        self.assertEqual(
            [2, 4, 8, 16, 30, 30], [stalls.rest_seconds(count, 30, highest) for count in counts]
        )
        self.assertEqual(
            [1, 2, 4, 8, 15, 15], [stalls.rest_seconds(count, 30, lowest) for count in counts]
        )

    def test_many_that_fell_silent_together_are_not_asked_together(self):
        asked = {
            stalls.rest_seconds(6, 30, lambda low, high, at=at: low + (high - low) * at / 24)
            for at in range(24)
        }
        self.assertEqual(24, len(asked))
