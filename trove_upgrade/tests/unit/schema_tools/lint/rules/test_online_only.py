# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestOnlineOnly(base.LintTestCase):
    def test_what_is_not_printed_cannot_be_judged(self):
        finding = self.refused(
            'ONLINE_ONLY',
            """
            if not op.get_context().as_sql:
                ops.ensure_no_column('things', 'size')""",
        )
        self.assertEqual('as_sql', finding.about)

    def test_what_goes_past_alembics_operations_is_seen_in_its_sql(self):
        self.assertEqual(
            ['DROPPED_IN_EXPAND', 'NOT_REPEATABLE', 'ONLINE_ONLY'],
            self.codes("op.get_bind().execute(sa.text('DROP TABLE things'))"),
        )
        self.assertEqual(
            ['DROPPED_IN_EXPAND', 'NOT_REPEATABLE'],
            self.codes("op.get_context().impl.drop_table(sa.Table('things', sa.MetaData()))"),
        )
