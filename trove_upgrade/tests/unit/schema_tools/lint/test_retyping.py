# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestRetyping(base.LintTestCase):
    def test_a_type_in_which_a_value_does_not_fit_is_refused(self):
        finding = self.refused(
            'TYPE_NARROWED', "ops.ensure_type('things', sa.Column('note', sa.String(36)))"
        )
        self.assertEqual('things.note shrinks from VARCHAR(255) to VARCHAR(36)', finding.found)
        for statement in (
            'ALTER TABLE things MODIFY note VARCHAR(36)',
            'ALTER TABLE things CHANGE COLUMN note note varchar(36) NULL',
        ):
            self.assertIn('TYPE_NARROWED', self.codes(base.only_on('mysql', statement)), statement)
        self.assertIn(
            'TYPE_NARROWED',
            self.codes(
                base.only_on(
                    'postgresql', 'ALTER TABLE things ALTER COLUMN note SET DATA TYPE varchar(36)'
                )
            ),
        )

    def test_another_kind_of_type_is_refused(self):
        self.refused('TYPE_CHANGED', "ops.ensure_type('things', sa.Column('size', sa.String(36)))")
        self.refused(
            'TYPE_CHANGED', "ops.ensure_type('things', sa.Column('size', sa.BigInteger()))"
        )

    def test_a_column_that_nobody_here_knows_is_refused(self):
        self.assertIn(
            'TYPE_CHANGED',
            self.codes(
                base.only_on('postgresql', 'ALTER TABLE things ALTER raw TYPE text USING raw::text')
            ),
        )

    def test_a_longer_text_is_fine(self):
        self.accepted("ops.ensure_type('things', sa.Column('note', sa.String(300)))")

    def test_a_type_for_which_mysql_copies_the_table_is_refused_there(self):
        for column in (
            "sa.Column('name', sa.Text(), nullable=False)",
            "sa.Column('price', sa.Numeric(10, 2))",
        ):
            self.assertEqual(
                ('mysql', 'mariadb'),
                self.refused('TYPE_CHANGED', f"ops.ensure_type('things', {column})").dialects,
            )

    def test_in_contract_and_in_a_new_table_every_type_is_fine(self):
        self.accepted(
            "ops.ensure_type('things', sa.Column('note', sa.String(36)))",
            revision='borealis_contract01',
        )
        self.accepted("""
            ops.ensure_table('parts', sa.Column('id', sa.Integer(), primary_key=True),
                sa.Column('name', sa.String(64)))
            ops.ensure_type('parts', sa.Column('name', sa.String(32)))""")
