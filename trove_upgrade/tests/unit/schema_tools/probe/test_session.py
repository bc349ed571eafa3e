# SPDX-License-Identifier: Apache-2.0
import sqlalchemy as sa

from trove_upgrade.schema_tools.probe import MysqlProbe, PostgresqlProbe, Source
from trove_upgrade.tests.unit import base

#: Of no form that the reader knows to its end, on any server.
UNKNOWN = (
    'FROB t',
    'ALTER TABLE t ADD x INT; DROP TABLE t',
    'ALTER TABLE t /*! ADD x INT */',
    'ALTER TABLE t ADD x INT -- why',
    'ALTER TABLE t ADD x INT # why',
    'DO $$ BEGIN END $$',
    "ALTER TABLE t COMMENT 'open",
    'CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW DELETE FROM u',
    'CREATE INDEX s.i ON t (a)',
    'CREATE INDEX ON t (a)',
    'DROP TABLE t, u',
    'DROP VIEW t',
    'RENAME TABLE t TO u, v TO w',
    'TRUNCATE t',
    'REPLACE INTO t VALUES (1)',
    'LOCK TABLES t WRITE',
    'SELECT 1',
    '',
)
#: Of a known form, and about more than one table, or about one that is not the connection's own.
NOT_OF_ONE_TABLE = (
    'ALTER TABLE other.t ADD x INT',
    'ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u (id)',
    'ALTER TABLE t ADD x INT, RENAME TO u',
    'ALTER TABLE t RENAME TO other.u',
    'CREATE INDEX i ON other.t (a)',
)


class Recording:
    """A probe of a server that notes what it is sent, and has every table."""

    def prepare(self, connection):
        self.sent = []

    def session_number(self, connection):
        return 1

    def copy(self, connection, table, name):
        self.sent.append(f'copy of {table}')

    def try_on_copy(self, statement, copy):
        self.sent.append(self._on_copy(statement, copy))
        return super().try_on_copy(statement, copy)


class OfMysql(Recording, MysqlProbe):
    pass


class OfPostgresql(Recording, PostgresqlProbe):
    pass


class TestSession(base.TestCase):
    def asked(self, probe_class, dialect, sql):
        """The answer, and everything that a server was sent for it."""
        engine = sa.create_engine('sqlite://')
        self.addCleanup(engine.dispose)
        with probe_class(engine, dialect) as probe:
            sa.event.listen(
                engine, 'before_cursor_execute', lambda *facts: probe.sent.append(facts[2])
            )
            return probe.ask(sql), list(probe.sent)

    def each(self):
        yield from ((OfMysql, 'mysql'), (OfMysql, 'mariadb'), (OfPostgresql, 'postgresql'))

    def test_a_statement_that_is_not_known_is_never_tried(self):
        for probe_class, dialect in self.each():
            for sql in UNKNOWN:
                with self.subTest(sql, dialect=dialect):
                    answer, sent = self.asked(probe_class, dialect, sql)
                    self.assertEqual((Source.NOT_ASKED, []), (answer.source, sent))

    def test_nor_is_one_that_can_touch_more_than_a_copy_of_one_table(self):
        for probe_class, dialect in self.each():
            for sql in NOT_OF_ONE_TABLE:
                with self.subTest(sql, dialect=dialect):
                    self.assertEqual([], self.asked(probe_class, dialect, sql)[1])

    def test_one_that_is_known_is_tried_on_a_copy_alone(self):
        for probe_class, dialect in self.each():
            for sql in (
                'ALTER TABLE t ADD x INT',
                'ALTER TABLE ONLY t ADD x INT;',
                'CREATE UNIQUE INDEX i ON t (a, b)',
            ):
                with self.subTest(sql, dialect=dialect):
                    _answer, sent = self.asked(probe_class, dialect, sql)
                    self.assertEqual('copy of t', sent[0])
                    self.assertIn('upgrade_probe_00000001', sent[1])
                    self.assertNotRegex(sent[1], r'\bt\b')

    def test_mysql_is_told_its_own_way_in_place_of_the_statements(self):
        _answer, sent = self.asked(
            OfMysql,
            'mysql',
            "ALTER TABLE t ADD x INT COMMENT 'LOCK=NONE', ALGORITHM=COPY, LOCK = NONE",
        )
        self.assertRegex(sent[1], "^ALTER TABLE \\S+ ADD x INT COMMENT 'LOCK=NONE'$")
