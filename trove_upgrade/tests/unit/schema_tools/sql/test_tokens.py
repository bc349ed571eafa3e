# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.schema_tools.sql.changes import Kind
from trove_upgrade.schema_tools.sql.reader import read
from trove_upgrade.tests.unit import base


class TestQuotations(base.TestCase):
    """What one server takes for a string or a comment is a statement for another."""

    def changes(self, statement, dialect='mysql'):
        return read(statement, dialect).changes

    def assert_unknown(self, statement, *dialects):
        for dialect in dialects:
            self.assertEqual(
                [Kind.UNKNOWN],
                [change.kind for change in self.changes(statement, dialect)],
                (dialect, statement),
            )

    def assert_comment(self, statement, dialect):
        self.assertEqual(
            [(Kind.COMMENT, 't')],
            [(change.kind, change.table) for change in self.changes(statement, dialect)],
            statement,
        )

    def test_a_comment_that_is_run_is_not_known(self):
        for statement in (
            'ALTER TABLE t ADD a INT /*!50000 , DROP b */',
            'ALTER TABLE t ADD a INT /*M!100100 , DROP b */',
            '/*! DROP TABLE t */',
        ):
            self.assert_unknown(statement, 'mysql', 'mariadb', 'postgresql', 'sqlite')
        self.assertEqual((), self.changes('/* ! */ -- /*!'))

    def test_a_backslash_is_an_escape_on_mysql_alone(self):
        self.assert_unknown(
            "COMMENT ON TABLE t IS '\\'; DROP TABLE instances; --'", 'postgresql', 'sqlite'
        )
        self.assert_comment("ALTER TABLE t COMMENT '\\'; DROP TABLE instances; --'", 'mysql')
        self.assert_comment("ALTER TABLE t COMMENT '\\'; DROP TABLE instances; --'", 'mariadb')
        self.assert_unknown("ALTER TABLE t COMMENT 'a\\\\'; DROP TABLE instances; -- '", 'mysql')
        self.assert_unknown('ALTER TABLE t COMMENT "\\" x "; DROP TABLE instances; -- "', 'mysql')

    def test_a_string_with_an_e_has_escapes_on_postgresql(self):
        self.assert_comment("COMMENT ON TABLE t IS E'\\'; DROP TABLE instances; --'", 'postgresql')
        self.assert_unknown(
            "COMMENT ON TABLE t IS E'\\\\'; DROP TABLE instances; --'", 'postgresql'
        )
        self.assert_unknown(
            "COMMENT ON TABLE t IS E'a'\n'\\''; DROP TABLE instances; --'", 'postgresql'
        )

    def test_what_stands_between_dollars_is_not_known(self):
        for statement in (
            "COMMENT ON TABLE t IS $$'$$; DROP TABLE instances; --'",
            "COMMENT ON TABLE t IS $a$ ' $a$",
            'DO $body$ BEGIN DROP TABLE t; END $body$',
        ):
            self.assert_unknown(statement, 'postgresql')

    def test_comments_end_where_the_server_ends_them(self):
        self.assert_unknown(
            "COMMENT ON TABLE t IS 'a' /* /* */ '*/ */; DROP TABLE instances; --'", 'postgresql'
        )
        self.assert_unknown("COMMENT ON TABLE t IS 'a' -- b\r; DROP TABLE instances", 'postgresql')
        self.assert_unknown(
            "ALTER TABLE t COMMENT 'a' # '\n; DROP TABLE instances # '", 'mysql', 'mariadb'
        )
        self.assertEqual(
            [Kind.ADD_COLUMN, Kind.DROP_COLUMN],
            [
                one.kind
                for one in self.changes('ALTER TABLE t ADD a INT DEFAULT (5--1), DROP b', 'mysql')
            ],
        )
        self.assertEqual(
            [Kind.ADD_COLUMN],
            [one.kind for one in self.changes('ALTER TABLE t ADD a INT --1, DROP b', 'postgresql')],
        )

    def test_what_is_not_closed_is_not_known(self):
        for statement in (
            "ALTER TABLE t ADD a INT DEFAULT 'x",
            'ALTER TABLE t ADD "a INT',
            'ALTER TABLE t ADD `a INT',
            'ALTER TABLE t ADD a INT /* x',
        ):
            self.assert_unknown(statement, 'mysql', 'postgresql', 'sqlite')

    def test_names_end_where_the_server_ends_them(self):
        self.assert_unknown("ALTER TABLE t ADD [a'] int; DROP TABLE instances; --'", 'sqlite')
        self.assertEqual('a`b', self.changes('ALTER TABLE t ADD `a``b` INT', 'mysql')[0].name)

    def test_what_is_a_quotation_is_not_to_be_changed(self):
        self.assert_unknown("SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'", 'mysql', 'mariadb')
        self.assert_unknown('SET standard_conforming_strings = off', 'postgresql')
