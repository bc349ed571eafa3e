# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestRevisionFails(base.LintTestCase):
    def test_a_revision_that_does_not_run_is_refused(self):
        finding = self.hidden(
            'REVISION_FAILS',
            "op.execute('UPDATE parts SET a = 1') if not op.get_context().as_sql else None",
        )
        self.assertIn('no such table: parts', finding.found)

    def test_one_behind_it_is_judged_by_what_can_be_read(self):
        self.accepted(
            "ops.ensure_column('things', sa.Column('colour', sa.Integer()))",
            revision='borealis_expand02',
            between=[('borealis_expand01', "raise ValueError('cannot')")],
        )
