# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestTableNotOurs(base.LintTestCase):
    def test_a_table_that_no_revision_of_ours_has_made_is_not_touched(self):
        finding = self.hidden(
            'TABLE_NOT_OURS',
            "ops.ensure_column('instances', sa.Column('colour', sa.Integer())) if "
            'op.get_context().as_sql else None',
        )
        self.assertIn("another project's", finding.found)
        for statement in (
            'ALTER TABLE stranger ADD COLUMN IF NOT EXISTS a INT',
            'DROP INDEX IF EXISTS ix_stranger',
            'TRUNCATE alembic_version_trove_upgrade',
            'UPDATE alembic_version SET version_num = 1',
        ):
            self.assertIn(
                'TABLE_NOT_OURS', self.codes(base.only_on('postgresql', statement)), statement
            )

    def test_an_index_is_known_by_its_table(self):
        self.accepted(
            base.only_on('postgresql', 'DROP INDEX CONCURRENTLY IF EXISTS ix_things_note'),
            revision='borealis_contract01',
        )

    def test_no_table_has_the_name_of_one_of_troves(self):
        self.refused(
            'TABLE_NOT_OURS',
            "ops.ensure_table('backups', sa.Column('id', sa.Integer(), primary_key=True))",
        )
