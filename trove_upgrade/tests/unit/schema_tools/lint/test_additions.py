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
            ops.ensure_column('things', sa.Column('rank', sa.Integer(), nullable=False, \
server_default='0'))
            ops.ensure_table('parts', sa.Column('id', sa.Integer(), primary_key=True))
            ops.ensure_column('parts', sa.Column('colour', sa.String(8), nullable=False, \
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
            ops.ensure_constraint('things', sa.ForeignKeyConstraint(['part_id'], ['parts.id'], \
name='fk_things_part'))""")


class TestCreatedInContract(base.LintTestCase):
    def test_a_table_or_a_column_that_this_release_already_wants_is_refused(self):
        self.refused(
            'CREATED_IN_CONTRACT',
            "ops.ensure_table('parts', sa.Column('id', sa.Integer(), primary_key=True))",
            revision='borealis_contract01',
        )
        self.refused(
            'CREATED_IN_CONTRACT',
            "ops.ensure_column('things', sa.Column('colour', sa.Integer()))",
            revision='borealis_contract01',
        )

    def test_in_expand_they_are_fine(self):
        self.accepted("ops.ensure_table('parts', sa.Column('id', sa.Integer(), primary_key=True))")
