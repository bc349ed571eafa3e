# SPDX-License-Identifier: Apache-2.0
"""How long a run will take: not told before anything is known, and never a time that cannot be."""

from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.cmd.bridge.rate import Rate
from trove_upgrade.tests.unit import base

WINDOW = 600.0
#: Seconds between two looks, and members that have ended meanwhile.
LOOKS = st.lists(st.tuples(st.floats(0.01, 400), st.integers(0, 3)), min_size=1, max_size=60)


def looked(looks, window=WINDOW):
    """The rate after these looks, its moment, and what of it is inside of the window."""
    rate, at, finished = Rate(window), 0.0, 0
    rate.note(at, finished)
    ends = []
    for seconds, ended in looks:
        at, finished = at + seconds, finished + ended
        rate.note(at, finished)
        ends += [at] * ended
    return rate, at, ends


class TestLaws(base.TestCase):
    @given(LOOKS, st.integers(0, 10_000))
    def test_no_time_is_negative(self, looks, left):
        rate, at, _ = looked(looks)
        for moment in (at, at + 1, at + 10 * WINDOW):
            found = rate.seconds_left(moment, left)
            self.assertTrue(found is None or found >= 0, found)
            self.assertTrue(rate.per_hour(moment) is None or rate.per_hour(moment) > 0)

    @given(LOOKS, st.integers(1, 10_000))
    def test_nothing_is_told_before_the_first_end_in_the_window(self, looks, left):
        rate, at, ends = looked(looks)
        is_known = any(end > at - WINDOW for end in ends)
        self.assertEqual(is_known, rate.per_hour(at) is not None)
        self.assertEqual(is_known, rate.seconds_left(at, left) is not None)

    @given(LOOKS, st.integers(1, 10_000), st.integers(1, 10_000))
    def test_more_that_are_left_never_take_less(self, looks, left, more):
        rate, at, ends = looked([*looks, (1.0, 1)])
        self.assertTrue(ends)
        self.assertLess(rate.seconds_left(at, left), rate.seconds_left(at, left + more))

    @given(LOOKS)
    def test_where_none_is_left_it_is_over(self, looks):
        rate, at, _ = looked(looks)
        self.assertEqual(0.0, rate.seconds_left(at, 0))

    @given(st.floats(1, 50), st.integers(1, 100), st.integers(20, 200))
    def test_members_that_end_in_equal_times_go_on_so(self, seconds, left, count):
        rate, at, _ = looked([(seconds, 1)] * count)
        expected = left * seconds
        self.assertAlmostEqual(expected, rate.seconds_left(at, left), delta=expected * 0.12)

    @given(LOOKS)
    def test_what_is_remembered_does_not_grow_with_the_run(self, looks):
        rate, _, _ = looked(looks * 20, window=5.0)
        self.assertLessEqual(len(rate._seen), 5.0 / min(one for one, _ in looks) + 3)


class TestRate(base.TestCase):
    def test_before_the_first_look_nothing_is_known(self):
        self.assertIsNone(Rate().per_hour(10.0))

    def test_members_that_an_earlier_process_has_ended_do_not_count(self):
        rate = Rate(WINDOW)
        rate.note(0.0, 150)
        rate.note(60.0, 151)
        self.assertEqual(60.0, rate.per_hour(60.0))

    def test_a_pause_that_is_longer_than_the_window_makes_it_unknown_again(self):
        rate = Rate(WINDOW)
        rate.note(0.0, 0)
        rate.note(60.0, 5)
        rate.note(60.0 + WINDOW, 5)
        self.assertIsNone(rate.per_hour(60.0 + WINDOW))
        self.assertIsNone(rate.seconds_left(60.0 + WINDOW, 3))
