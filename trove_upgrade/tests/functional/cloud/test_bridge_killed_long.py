# SPDX-License-Identifier: Apache-2.0
"""SIGKILL before and after each effect at the real Neutron: nothing is open after the lease."""

from trove_upgrade.tests.functional.cloud import opening_case

#: Requests that change something: a group, its two rules of Neutron's, ours, the port.
EFFECTS = 5


class TestKilled(opening_case.OpeningCase):
    def test_killed_at_any_effect_it_leaves_nothing_after_its_lease(self):
        for number in range(1, EFFECTS + 1):
            for when in ('before', 'after'):
                with self.subTest(effect=number, when=when):
                    died = self.opens(1, str(number), when)
                    self.assertEqual(-9, died.returncode, died.stderr)
                    self.wait_until(
                        lambda: self.bridge('reap').returncode == opening_case.NOTHING,
                        'the lease to end and the port to be closed',
                    )
                    self.assertTrue(self.is_as_before())

    def test_all_effects_were_tried(self):
        done = self.opens(60, str(EFFECTS + 1), 'before')
        self.assertEqual(0, done.returncode, done.stderr)
