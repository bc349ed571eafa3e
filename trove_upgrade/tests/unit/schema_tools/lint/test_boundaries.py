# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestBoundaries(base.LintTestCase):
    def test_depends_on_is_refused(self):
        finding = self.refused('DEPENDS_ON', 'pass', attributes="depends_on = 'aurora_contract01'")
        self.assertIn('aurora_contract01', finding.found)
        self.accepted('pass')

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

    def test_a_foreign_key_stays_among_our_tables(self):
        self.refused(
            'FOREIGN_KEY_NOT_OURS',
            """
            ops.ensure_table('parts', sa.Column('id', sa.Integer(), sa.ForeignKey('instances.id'), \
primary_key=True))""",
        )
        self.assertIn(
            'FOREIGN_KEY_NOT_OURS',
            self.codes(
                base.only_on(
                    'mysql',
                    'CREATE TABLE IF NOT EXISTS parts (id INT, FOREIGN KEY (id) REFERENCES '
                    'trove.instances (id))',
                )
            ),
        )
        self.accepted(
            "ops.ensure_table('parts', sa.Column('id', sa.Integer(), sa.ForeignKey('things.id'), "
            'primary_key=True))'
        )


class TestUnclassifiedSql(base.LintTestCase):
    def test_what_is_not_understood_is_refused(self):
        for statement in (
            'CREATE TRIGGER t BEFORE INSERT ON things FOR EACH ROW SET NEW.note = 1',
            'CALL repair()',
            'SET GLOBAL a = 1',
            'DELETE FROM things; DELETE FROM things',
            'ALTER TABLE things PARTITION BY HASH(id)',
            'CREATE TABLE IF NOT EXISTS copies LIKE things',
            'GRANT ALL ON things TO somebody',
            'DO $$ BEGIN END $$',
        ):
            self.assertIn(
                'UNCLASSIFIED_SQL', self.codes(base.only_on('mysql', statement)), statement
            )

    def test_a_statement_is_read_as_its_server_reads_it(self):
        hidden = "COMMENT ON TABLE things IS '\\'; DROP TABLE instances; --'"
        self.assertIn('UNCLASSIFIED_SQL', self.codes(base.only_on('postgresql', hidden)))
        self.assertIn(
            'UNCLASSIFIED_SQL',
            self.codes(
                base.only_on(
                    'mysql', 'ALTER TABLE things ALTER note DROP DEFAULT /*!50000 , DROP name */'
                )
            ),
        )

    def test_comments_and_settings_of_the_session_are_fine(self):
        self.accepted(
            base.only_on(
                'postgresql',
                "SET lock_timeout = '1s'",
                "COMMENT ON TABLE things IS 'ours; all of them'",
                '-- why\nALTER TABLE things ALTER COLUMN note DROP NOT NULL',
            )
        )


class TestNotRendered(base.LintTestCase):
    def test_a_revision_that_needs_a_database_is_refused(self):
        found = self.findings(
            'sa.inspect(op.get_bind()).get_table_names()',
            attributes="safety_assured = {'ONLINE_ONLY': 'a test'}",
        )
        self.assertEqual({'NOT_RENDERED'}, {finding.code for finding in found})
        self.assertEqual(
            {'mysql', 'mariadb', 'postgresql', 'sqlite'}, {finding.about for finding in found}
        )


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


class TestWaivers(base.LintTestCase):
    drop = "ops.ensure_no_column('things', 'size')"

    def test_a_reason_waives_the_rule_that_it_names_and_no_other(self):
        self.accepted(
            self.drop,
            attributes="safety_assured = {'DROPPED_IN_EXPAND': 'no service has ever read it'}",
        )
        self.refused(
            'DROPPED_IN_EXPAND',
            f"ops.ensure_no_index('ix_things_note', 'things')\n{self.drop}",
            attributes="safety_assured = {'INDEX_DROPPED': 'there is another'}",
        )

    def test_without_a_reason_it_waives_nothing(self):
        self.assertEqual(
            ['DROPPED_IN_EXPAND', 'WAIVER_INVALID'],
            self.codes(self.drop, attributes="safety_assured = {'DROPPED_IN_EXPAND': ' '}"),
        )
        self.assertEqual(
            ['DROPPED_IN_EXPAND', 'WAIVER_INVALID'],
            self.codes(self.drop, attributes="safety_assured = ['DROPPED_IN_EXPAND']"),
        )

    def test_a_code_that_there_is_not_is_reported(self):
        self.refused('WAIVER_UNKNOWN', 'pass', attributes="safety_assured = {'DROPPED': 'why'}")
        self.refused(
            'WAIVER_UNKNOWN', 'pass', attributes="safety_assured = {'WAIVER_UNUSED': 'why'}"
        )

    def test_a_waiver_that_is_not_needed_is_reported(self):
        finding = self.refused(
            'WAIVER_UNUSED', 'pass', attributes="safety_assured = {'DROPPED_IN_EXPAND': 'why'}"
        )
        self.assertEqual('', finding.statement)
