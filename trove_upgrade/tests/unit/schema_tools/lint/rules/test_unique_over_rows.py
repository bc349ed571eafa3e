# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestUniqueOverRows(base.LintTestCase):
    unique = "ops.ensure_index_online('uq_things_name', 'things', ['name'], unique=True)"

    def test_an_index_or_a_constraint_over_rows_is_refused_in_expand(self):
        self.assertEqual(
            'things.uq_things_name', self.refused('UNIQUE_OVER_ROWS', self.unique).about
        )
        self.assertIn(
            'UNIQUE_OVER_ROWS',
            self.codes(
                "ops.ensure_constraint('things', sa.UniqueConstraint('name', "
                "name='uq_things_name'))"
            ),
        )
        for statement in (
            'ALTER TABLE things ADD UNIQUE KEY uq (name)',
            'ALTER TABLE things ADD CONSTRAINT uq UNIQUE (name)',
            'CREATE UNIQUE INDEX uq ON things (name)',
        ):
            self.assertIn(
                'UNIQUE_OVER_ROWS', self.codes(base.only_on('mysql', statement)), statement
            )

    def test_in_contract_it_is_fine(self):
        self.accepted(self.unique, revision='borealis_contract01')

    def test_over_a_new_column_that_older_services_leave_null_it_is_fine(self):
        self.accepted("""
            ops.ensure_column('things', sa.Column('serial', sa.String(8)))
            ops.ensure_index_online('uq_things_serial', 'things', ['serial'], unique=True)""")
