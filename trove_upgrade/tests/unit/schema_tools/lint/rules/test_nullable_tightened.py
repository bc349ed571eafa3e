# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestNullableTightened(base.LintTestCase):
    def test_not_null_over_rows_is_refused_in_expand(self):
        self.refused(
            'NULLABLE_TIGHTENED',
            f"ops.ensure_not_null('things', {base.NOTE.format(nullable=False)})",
        )
        self.assertIn(
            'NULLABLE_TIGHTENED',
            self.codes(
                base.only_on('mysql', 'ALTER TABLE things MODIFY note VARCHAR(255) NOT NULL')
            ),
        )
        self.assertIn(
            'NULLABLE_TIGHTENED',
            self.codes("""
            with op.batch_alter_table('things') as batch:
                batch.alter_column('note', nullable=False, existing_type=sa.String(255))"""),
        )

    def test_what_is_not_null_already_and_what_is_loosened_is_fine(self):
        self.accepted(
            "ops.ensure_not_null('things', sa.Column('name', sa.String(64), nullable=False))"
        )
        self.accepted(
            "ops.ensure_nullable('things', sa.Column('name', sa.String(64), nullable=True))"
        )

    def test_in_contract_it_is_fine(self):
        self.accepted(
            f"ops.ensure_not_null('things', {base.NOTE.format(nullable=False)})",
            revision='borealis_contract01',
        )
