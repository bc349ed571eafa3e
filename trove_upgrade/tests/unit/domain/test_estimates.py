# SPDX-License-Identifier: Apache-2.0
"""Estimates of downtimes, by those that were, and of the time that is left."""

import dataclasses
import datetime

import hypothesis
from hypothesis import strategies

from trove_upgrade.domain import holds
from trove_upgrade.domain.estimates import (
    Basis,
    Estimate,
    PastUpgrade,
    estimate,
    seconds_left,
    worked_seconds,
)
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.domain.test_upgrades import row


def past(seconds, size=10, former='a', target='b'):
    return PastUpgrade(
        former_version_id=former,
        target_version_id=target,
        downtime_seconds=seconds,
        volume_size_gb=size,
    )


_PAST = strategies.builds(
    past,
    strategies.floats(0.1, 10_000),
    strategies.none() | strategies.integers(1, 100),
    strategies.sampled_from('ab'),
    strategies.sampled_from('ab'),
)


class EstimateTest(base.TestCase):
    def test_where_nothing_is_known_there_is_no_figure(self):
        for history in ([], [past(1.0, target='c')] * 9, [past(1.0, former='c')] * 9):
            self.assertIsNone(estimate(history, 'a', 'b', 10))

    def test_volumes_of_like_volume_count_before_others(self):
        history = [past(each, 10) for each in (9.0, 10.0, 20.0)] + [past(500.0, 100)] * 9
        self.assertEqual(
            Estimate(
                median_seconds=10.0, percentile_90_seconds=20.0, basis=Basis.LIKE_VOLUME, upgrades=3
            ),
            estimate(history, 'a', 'b', 20),
        )

    def test_where_too_few_are_of_like_volume_all_count(self):
        history = [past(9.0), past(10.0), past(20.0, 100)]
        for size in (10, 1000, None):
            self.assertEqual(Basis.ANY_VOLUME, estimate(history, 'a', 'b', size).basis)

    def test_of_fewer_than_three_the_longest_is_expected_and_twice_that_is_the_bound(self):
        self.assertEqual(
            Estimate(
                median_seconds=12.0, percentile_90_seconds=24.0, basis=Basis.TOO_FEW, upgrades=2
            ),
            estimate([past(9.0), past(12.0)], 'a', 'b', 10),
        )

    def test_nine_of_ten_were_not_longer_than_the_percentile(self):
        found = estimate([past(float(each)) for each in range(1, 11)], 'a', 'b', 10)
        self.assertEqual((5.5, 9.0), (found.median_seconds, found.percentile_90_seconds))

    @hypothesis.given(strategies.lists(_PAST, max_size=30), strategies.integers(1, 100))
    def test_the_percentile_is_never_below_the_median_nor_the_order_of_any_meaning(
        self, history, size
    ):
        found = estimate(history, 'a', 'b', size)
        self.assertEqual(found, estimate(history[::-1], 'a', 'b', size))
        pair = [(one.former_version_id, one.target_version_id) for one in history]
        self.assertEqual(('a', 'b') not in pair, found is None)
        if found is not None:
            self.assertLessEqual(found.median_seconds, found.percentile_90_seconds)


class TestSecondsLeft(base.TestCase):
    def setUp(self):
        super().setUp()
        self.upgrade = row(former_version_id='a', target_version_id='b', attempt=1)
        self.history = [
            dataclasses.replace(past(10.0), whole_seconds=whole) for whole in (50.0, 60.0, 90.0)
        ]

    def left(self, seconds, **changes):
        now = self.upgrade.created_at + datetime.timedelta(seconds=seconds)
        return seconds_left(self.history, self.upgrade.evolve(**changes), now)

    def test_it_is_the_median_less_the_time_that_was_worked(self):
        self.assertEqual((60.0, 15.0), (self.left(0), self.left(45)))

    def test_a_hold_is_no_work(self):
        since = self.upgrade.created_at + datetime.timedelta(seconds=20)
        over = since + datetime.timedelta(days=3)
        waits = self.upgrade.progress.held(since, None)
        self.assertEqual(40.0, self.left(9000, progress=waits))
        after = 20 + 3 * 86400 + 5
        self.assertEqual(35.0, self.left(after, progress=waits.hold_over(over)))

    def test_where_nothing_is_known_and_on_other_ways_there_is_no_figure(self):
        self.assertIsNone(self.left(60))
        self.assertIsNone(self.left(1, attempt=2))
        self.assertIsNone(self.left(1, target_version_id='c'))
        for progress in (
            self.upgrade.progress.given_up(1, 'c', 'C'),
            self.upgrade.progress.turned_back('c', 'C'),
        ):
            self.assertIsNone(self.left(1, progress=progress))

    def test_an_upgrade_without_a_hold_was_worked_on_all_the_time(self):
        began = self.upgrade.created_at
        ended = began + datetime.timedelta(seconds=7)
        self.assertEqual(7.0, worked_seconds(began, ended, holds.NO_HOLD))
