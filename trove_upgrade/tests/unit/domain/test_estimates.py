# SPDX-License-Identifier: Apache-2.0
"""Estimates of downtimes, by those that were."""

import hypothesis
from hypothesis import strategies

from trove_upgrade.domain.estimates import Basis, Estimate, PastUpgrade, estimate
from trove_upgrade.tests.unit import base


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
