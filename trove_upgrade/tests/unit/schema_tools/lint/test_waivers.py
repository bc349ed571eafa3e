# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestWaivers(base.LintTestCase):
    drop = "ops.ensure_no_column('things', 'size')"

    def test_a_reason_waives_the_rule_that_it_names_and_no_other(self):
        self.accepted(
            self.drop,
            attributes="safety_assured = {'DROPPED_IN_EXPAND': 'no service has ever read it'}",
        )
        self.refused(
            'DROPPED_IN_EXPAND',
            f"ops.ensure_no_index('ix_things_note', 'things')\n{self.drop}",
            attributes="safety_assured = {'INDEX_DROPPED': 'there is another'}",
        )

    def test_without_a_reason_it_waives_nothing(self):
        self.assertEqual(
            ['DROPPED_IN_EXPAND', 'WAIVER_INVALID'],
            self.codes(self.drop, attributes="safety_assured = {'DROPPED_IN_EXPAND': ' '}"),
        )
        self.assertEqual(
            ['DROPPED_IN_EXPAND', 'WAIVER_INVALID'],
            self.codes(self.drop, attributes="safety_assured = ['DROPPED_IN_EXPAND']"),
        )

    def test_a_code_that_there_is_not_is_reported(self):
        self.refused('WAIVER_UNKNOWN', 'pass', attributes="safety_assured = {'DROPPED': 'why'}")
        self.refused(
            'WAIVER_UNKNOWN', 'pass', attributes="safety_assured = {'WAIVER_UNUSED': 'why'}"
        )

    def test_a_waiver_that_is_not_needed_is_reported(self):
        finding = self.refused(
            'WAIVER_UNUSED', 'pass', attributes="safety_assured = {'DROPPED_IN_EXPAND': 'why'}"
        )
        self.assertEqual('', finding.statement)
