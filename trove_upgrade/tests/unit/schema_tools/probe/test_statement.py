# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.schema_tools.probe.statement import Kind, parse
from trove_upgrade.tests.unit import base


class TestStatement(base.TestCase):
    def kind(self, sql, *, backslashes=True):
        return parse(sql, backslashes=backslashes).kind

    def test_what_revisions_render_is_taken_apart(self):
        for sql, kind, table in (
            ('CREATE TABLE t (\n\tid INTEGER\n)', Kind.CREATE_TABLE, 't'),
            ('DROP TABLE t', Kind.DROP_TABLE, 't'),
            ('ALTER TABLE `t` ADD COLUMN x INT', Kind.ALTER_TABLE, 't'),
            ('ALTER TABLE "t" ALTER x TYPE TEXT', Kind.ALTER_TABLE, 't'),
            ('CREATE UNIQUE INDEX i ON t (a, b)', Kind.CREATE_INDEX, 't'),
            ('CREATE INDEX CONCURRENTLY i ON t (a)', Kind.CREATE_INDEX, 't'),
            ('DROP INDEX i ON t', Kind.DROP_INDEX, 't'),
            ('DROP INDEX i', Kind.DROP_INDEX, ''),
            ('UPDATE t SET a=1', Kind.ROWS, 't'),
            ('ALTER TABLE t RENAME TO u', Kind.RENAME_TABLE, 't'),
            ('ALTER TABLE t RENAME u', Kind.RENAME_TABLE, 't'),
            ('ALTER TABLE t RENAME COLUMN a TO b', Kind.ALTER_TABLE, 't'),
            ("SET SESSION lock_wait_timeout = '3'", Kind.SESSION, ''),
        ):
            with self.subTest(sql):
                found = parse(sql, backslashes=sql.find('"') < 0)
                self.assertEqual((kind, table), (found.kind, found.table))

    def test_a_table_of_another_schema_is_not_named(self):
        self.assertEqual('', parse('ALTER TABLE other.t ADD COLUMN x INT', backslashes=True).table)

    def test_commas_in_brackets_and_texts_part_nothing(self):
        found = parse("ALTER TABLE t ADD a DECIMAL(3, 2) DEFAULT 'x, y', DROP b", backslashes=True)
        self.assertEqual(('ADD A DECIMAL(3, 2) DEFAULT ______', 'DROP B'), found.actions)

    def test_a_text_that_quotes_the_other_quote_hides_nothing(self):
        found = parse(
            """ALTER TABLE t COMMENT "it's", RENAME TO u, COMMENT 'x' """, backslashes=True
        )
        self.assertIn('RENAME TO U', found.actions)
        self.assertEqual(Kind.ALTER_TABLE, self.kind(r"ALTER TABLE t COMMENT 'it\'s; one'"))

    def test_what_is_not_understood_whole_is_other(self):
        for sql in (
            'ALTER TABLE t ADD x INT; DROP TABLE t',
            'ALTER TABLE t /*! ADD x INT */',
            'ALTER TABLE t ADD x INT -- why',
            'DO $$ BEGIN END $$',
            "ALTER TABLE t COMMENT 'open",
            'CREATE TRIGGER x',
            'LOCK TABLES t WRITE',
        ):
            with self.subTest(sql):
                self.assertEqual(Kind.OTHER, self.kind(sql))
