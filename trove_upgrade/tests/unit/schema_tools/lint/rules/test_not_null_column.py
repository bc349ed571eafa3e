# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestNotNullColumn(base.LintTestCase):
    def test_a_column_that_older_services_do_not_name_must_have_a_default_of_the_server(self):
        finding = self.refused(
            'NOT_NULL_COLUMN',
            "ops.ensure_column('things', sa.Column('colour', sa.String(8), nullable=False))",
        )
        self.assertEqual('things.colour', finding.about)
        self.assertEqual(
            'ALTER TABLE things ADD COLUMN colour VARCHAR(8) NOT NULL', finding.statement
        )
        self.assertEqual(('mysql', 'mariadb', 'postgresql', 'sqlite'), finding.dialects)
        self.assertEqual('reference/lint.html#lint-not-null-column', finding.page)

    def test_a_default_of_the_program_is_none(self):
        self.refused(
            'NOT_NULL_COLUMN',
            "ops.ensure_column('things', sa.Column('colour', sa.String(8), nullable=False, "
            "default='red'))",
        )

    def test_it_is_seen_in_raw_sql_and_in_a_batch(self):
        self.assertIn(
            'NOT_NULL_COLUMN',
            self.codes(
                base.only_on('mysql', 'ALTER TABLE `things` ADD `a` INT NOT NULL, ADD COLUMN b INT')
            ),
        )
        self.assertIn(
            'NOT_NULL_COLUMN',
            self.codes("""
            with op.batch_alter_table('things') as batch:
                batch.add_column(sa.Column('colour', sa.Integer(), nullable=False))"""),
        )

    def test_nullable_or_with_a_servers_default_or_in_a_new_table_is_fine(self):
        self.accepted("""
            ops.ensure_column('things', sa.Column('colour', sa.String(8)))
            ops.ensure_column('things', sa.Column('rank', sa.Integer(), nullable=False,
                server_default='0'))
            ops.ensure_table('parts', sa.Column('id', sa.Integer(), primary_key=True))
            ops.ensure_column('parts', sa.Column('colour', sa.String(8), nullable=False,
                server_default=''))""")

    def test_a_table_of_an_earlier_revision_of_the_same_expand_is_new_too(self):
        parts = (
            "ops.ensure_table('parts', sa.Column('id', sa.Integer(), primary_key=True), "
            "sa.Column('name', sa.Integer()))"
        )
        unique = "ops.ensure_index('uq_parts_name', 'parts', ['name'], unique=True)"
        self.accepted(unique, revision='borealis_expand02', between=[('borealis_expand01', parts)])
        self.assertIn(
            'UNIQUE_OVER_ROWS',
            self.codes(unique, revision='cirrus_expand01', between=[('borealis_expand01', parts)]),
        )
