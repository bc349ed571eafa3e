# SPDX-License-Identifier: Apache-2.0
from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.guestagent.machine.progress import within
from trove_upgrade.tests.unit import base

_PERCENT = st.integers(0, 100)


class TestWithin(base.TestCase):
    @given(st.tuples(_PERCENT, _PERCENT).map(sorted), st.lists(_PERCENT).map(sorted))
    def test_a_part_goes_on_from_where_the_whole_stands_to_where_the_next_begins(self, part, told):
        heard = []
        report = within(lambda percent, _sentence: heard.append(percent), *part)
        for percent in (0, *told, 100):
            report(percent, 'on its way')
        self.assertEqual(sorted(heard), heard)
        self.assertEqual(part, [heard[0], heard[-1]])

    def test_what_knows_no_percentage_has_none(self):
        heard = []
        within(lambda *told: heard.append(told), 40, 70)(None, 'on its way')
        self.assertEqual([(None, 'on its way')], heard)
