# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks conclude from their figures."""

from benchmarks import load
from benchmarks.trove import reads
from trove_upgrade.tests.unit import base


def rounds(*p50_ms, unexpected=0):
    return [load.Figures('', 24, 8, 100.0, value, value * 2, unexpected) for value in p50_ms]


class TestReads(base.TestCase):
    def holds(self, stock, again, with_filter):
        return reads.holds(
            {'GET one': reads.compare('GET one', stock, again, with_filter)},
            (stock, again, with_filter),
        )

    def test_a_filter_that_costs_less_than_the_noise_holds(self):
        self.assertTrue(
            self.holds(rounds(100, 101, 99), rounds(101, 102, 100), rounds(103, 104, 102))
        )
        self.assertTrue(
            self.holds(rounds(100, 100, 100), rounds(110, 110, 110), rounds(112, 112, 112))
        )

    def test_one_that_costs_more_does_not_however_far_rounds_of_a_kind_are_apart(self):
        self.assertFalse(
            self.holds(rounds(100, 60, 160), rounds(100, 61, 159), rounds(110, 70, 170))
        )

    def test_one_that_is_faster_is_no_miss(self):
        self.assertTrue(self.holds(rounds(100), rounds(100), rounds(80)))

    def test_an_answer_that_was_not_wanted_is_one(self):
        self.assertFalse(self.holds(rounds(100), rounds(100), rounds(100, unexpected=1)))
