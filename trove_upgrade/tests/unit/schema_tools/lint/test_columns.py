# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.schema_tools.lint.types import Widening, compare
from trove_upgrade.tests.unit import base as unit
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestTypes(base.LintTestCase):
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
            ops.ensure_table('parts', sa.Column('id', sa.Integer(), primary_key=True), \
sa.Column('name', sa.String(64)))
            ops.ensure_type('parts', sa.Column('name', sa.String(32)))""")


class TestNullability(base.LintTestCase):
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


class TestDefaults(base.LintTestCase):
    dropped = "ops.ensure_default('things', sa.Column('state', sa.String(16), nullable=False))"

    def test_a_default_that_older_services_count_on_stays_until_the_contract(self):
        self.refused('DEFAULT_DROPPED', self.dropped)
        self.accepted(self.dropped, revision='borealis_contract01')

    def test_another_default_is_fine(self):
        self.accepted(
            "ops.ensure_default('things', sa.Column('state', sa.String(16), nullable=False, "
            "server_default='made'))"
        )

    def test_mysql_takes_away_what_a_modify_does_not_say(self):
        self.assertIn(
            'DEFAULT_DROPPED',
            self.codes(
                base.only_on('mysql', 'ALTER TABLE things MODIFY state VARCHAR(16) NOT NULL')
            ),
        )


class TestPrimaryKey(base.LintTestCase):
    def test_another_key_is_refused_in_both_branches(self):
        for revision in ('borealis_expand01', 'borealis_contract01'):
            codes = self.codes(
                base.only_on(
                    'mysql', 'ALTER TABLE things DROP PRIMARY KEY, ADD PRIMARY KEY (name)'
                ),
                revision=revision,
            )
            self.assertIn('PRIMARY_KEY_CHANGED', codes)
            self.assertIn(
                'PRIMARY_KEY_CHANGED',
                self.codes("op.create_primary_key('pk', 'things', ['name'])", revision=revision),
            )

    def test_that_of_a_new_table_is_fine(self):
        self.accepted("""
            ops.ensure_table('parts', sa.Column('id', sa.Integer(), nullable=False), \
sa.Column('a', sa.Integer(), nullable=False),
                             sa.PrimaryKeyConstraint('id', name='parts_pkey'))""")


class TestCompare(unit.TestCase):
    def test_types_are_compared_as_each_server_stores_them(self):
        cases = [
            ('VARCHAR(36)', 'varchar(36) CHARACTER SET utf8mb4', 'mysql', Widening.SAME),
            ('VARCHAR(36)', 'CHARACTER VARYING(37)', 'postgresql', Widening.WIDER),
            ('VARCHAR(300)', 'VARCHAR(400)', 'mysql', Widening.WIDER),
            ('VARCHAR(300)', 'VARCHAR(400)', 'mariadb', Widening.WIDER),
            ('VARCHAR(255)', 'TEXT', 'mysql', Widening.OTHER),
            ('TEXT', 'LONGTEXT', 'mariadb', Widening.OTHER),
            ('TINYTEXT', 'VARCHAR(100)', 'mariadb', Widening.OTHER),
            ('VARCHAR(16383)', 'TEXT', 'mysql', Widening.OTHER),
            ('VARCHAR(255)', 'TEXT CHARACTER SET utf8mb4', 'mysql', Widening.OTHER),
            ('TEXT', 'text COLLATE utf8mb4_bin', 'mysql', Widening.SAME),
            ('VARCHAR(20000)', 'TEXT', 'mysql', Widening.NARROWER),
            ('VARCHAR(20000)', 'TEXT', 'postgresql', Widening.WIDER),
            ('LONGTEXT', 'TEXT', 'mariadb', Widening.NARROWER),
            ('CHAR(36)', 'VARCHAR(36)', 'mysql', Widening.OTHER),
            ('INTEGER', 'INT(11)', 'mysql', Widening.SAME),
            ('INTEGER', 'BIGINT', 'postgresql', Widening.OTHER),
            ('BIGINT', 'INTEGER', 'mysql', Widening.NARROWER),
            ('INTEGER', 'INTEGER UNSIGNED', 'mysql', Widening.OTHER),
            ('NUMERIC(8, 2)', 'NUMERIC(8, 3)', 'mysql', Widening.NARROWER),
            ('NUMERIC(8, 2)', 'DECIMAL(9,2)', 'mysql', Widening.OTHER),
            ('NUMERIC(8, 2)', 'DECIMAL(9,2)', 'mariadb', Widening.OTHER),
            ('NUMERIC(8, 2)', 'NUMERIC(9, 2)', 'postgresql', Widening.WIDER),
            ('DATETIME(6)', 'DATETIME', 'mysql', Widening.NARROWER),
            ('DATETIME', 'DATETIME(6)', 'mysql', Widening.OTHER),
            ('TIMESTAMP WITHOUT TIME ZONE', 'TIMESTAMP', 'postgresql', Widening.SAME),
            (
                'TIMESTAMP WITHOUT TIME ZONE',
                'TIMESTAMP WITH TIME ZONE',
                'postgresql',
                Widening.OTHER,
            ),
            ('BOOLEAN', 'BOOLEAN', 'postgresql', Widening.SAME),
        ]
        for old, new, dialect, outcome in cases:
            self.assertEqual(outcome, compare(old, new, dialect), (old, new, dialect))
