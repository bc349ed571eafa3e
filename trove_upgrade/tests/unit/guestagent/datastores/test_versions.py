# SPDX-License-Identifier: Apache-2.0
from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.guestagent.datastores.mysql_family import versions
from trove_upgrade.tests.unit import base


def check(running, wanted):
    found = versions.check_target(running, wanted)
    return found.outcome, found.code


class TestTarget(base.TestCase):
    def test_an_older_series_is_refused(self):
        for running, wanted in (
            ('10.11.14-MariaDB', '10.6.19'),
            ('11.8.6-MariaDB', '10.11'),
            ('8.4.2', '8.0.40'),
            ('9.7.4', '8.4.7'),
        ):
            self.assertEqual(('refused', 'DOWNGRADE'), check(running, wanted))

    def test_the_same_and_newer_ones_are_right(self):
        for running, wanted in (
            ('10.11.14-MariaDB', '10.11.14'),
            ('10.11.14-MariaDB', '11.8.6'),
            ('8.0.23', '8.0.29'),
            ('8.0.29', '8.0'),
            ('9.7.4', '9.7.4'),
            ('10.11.14-MariaDB', '10.11'),
        ):
            self.assertEqual(('ok', None), check(running, wanted))

    def test_an_older_release_of_mysql_8_0_and_of_innovation_series_is_refused(self):
        for running, wanted in (
            ('8.0.29', '8.0.23'),
            ('8.0.40-0ubuntu0.22.04.1', '8.0.39'),
            ('8.3.1', '8.3.0'),
            ('9.1.2', '9.1.0'),
            ('12.0.3', '12.0.1'),
        ):
            self.assertEqual(('refused', 'DOWNGRADE'), check(running, wanted))

    def test_an_older_release_elsewhere_is_told(self):
        for running, wanted in (
            ('10.11.14-MariaDB', '10.11.2'),
            ('9.7.4', '9.7.1'),
            ('8.4.7', '8.4.0'),
            ('5.7.44', '5.7.10'),
        ):
            self.assertEqual(('warning', 'OLDER_RELEASE'), check(running, wanted))

    def test_a_target_without_a_number_cannot_be_compared(self):
        self.assertEqual(('warning', 'TARGET_FACTS_MISSING'), check('10.11.14-MariaDB', ''))

    @given(
        st.tuples(st.integers(5, 12), st.integers(0, 12), st.integers(0, 50)),
        st.tuples(st.integers(5, 12), st.integers(0, 12), st.integers(0, 50)),
    )
    def test_two_releases_are_refused_in_one_direction_at_most(self, one, other):
        outcomes = {
            check('.'.join(map(str, a)), '.'.join(map(str, b)))[0]
            for a, b in ((one, other), (other, one))
        }
        self.assertNotEqual({'refused'}, outcomes)
