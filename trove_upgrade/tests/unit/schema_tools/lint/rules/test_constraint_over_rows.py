# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestConstraintOverRows(base.LintTestCase):
    def test_a_check_and_a_foreign_key_over_rows_are_refused_in_expand(self):
        self.refused(
            'CONSTRAINT_OVER_ROWS',
            "ops.ensure_constraint('things', sa.CheckConstraint('size > 0', "
            "name='ck_things_size'))",
        )
        self.assertIn(
            'CONSTRAINT_OVER_ROWS',
            self.codes(
                base.only_on(
                    'mysql',
                    'ALTER TABLE things ADD CONSTRAINT fk FOREIGN KEY (size) REFERENCES things '
                    '(id)',
                )
            ),
        )

    def test_in_contract_they_are_fine(self):
        self.accepted(
            "ops.ensure_constraint('things', sa.CheckConstraint('size > 0', "
            "name='ck_things_size'))",
            revision='borealis_contract01',
        )

    def test_a_foreign_key_of_a_new_column_is_fine(self):
        self.accepted("""
            ops.ensure_table('parts', sa.Column('id', sa.Integer(), primary_key=True))
            ops.ensure_column('things', sa.Column('part_id', sa.Integer()))
            ops.ensure_constraint('things', sa.ForeignKeyConstraint(['part_id'], ['parts.id'],
                name='fk_things_part'))""")
