# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.schema_tools.probe import Answer, Blocks, Source, Work, known, mysql, risk, sizes
from trove_upgrade.schema_tools.probe.answers import NEW_TABLE, not_asked
from trove_upgrade.schema_tools.sql.reader import read
from trove_upgrade.tests.unit import base

_ADD = read('ALTER TABLE t ADD COLUMN x INT', 'mysql')
_DROP = read('ALTER TABLE t DROP COLUMN x', 'mysql')
_LARGE = sizes.Size(1_000_000, 2_000_000_000)
_SMALL = sizes.Size(100, 65536)


def _answer(blocks, work):
    return Answer(blocks=blocks, work=work, lock='', source=Source.ASKED)


class TestWays(base.TestCase):
    def test_the_error_names_the_next_algorithm_or_lock(self):
        for tried, message, expected in (
            (
                mysql.Way('INSTANT'),
                'Reason: ADD INDEX. Try ALGORITHM=NOCOPY',
                'ALGORITHM=NOCOPY, LOCK=NONE',
            ),
            (
                mysql.Way('INSTANT'),
                'Cannot change column type. Try ALGORITHM=COPY',
                'ALGORITHM=COPY, LOCK=NONE',
            ),
            (
                mysql.Way('INSTANT'),
                'not supported for this operation. Try ALGORITHM=COPY/INPLACE.',
                'ALGORITHM=INPLACE, LOCK=NONE',
            ),
            (
                mysql.Way('COPY', 'NONE'),
                'COPY algorithm requires a lock. Try LOCK=SHARED',
                'ALGORITHM=COPY, LOCK=SHARED',
            ),
            (mysql.Way('INPLACE', 'NONE'), 'some other words', 'ALGORITHM=INPLACE, LOCK=SHARED'),
        ):
            with self.subTest(message):
                self.assertEqual(expected, mysql.next_way(mysql._MARIADB, tried, message).sql)

    def test_after_the_last_there_is_none(self):
        self.assertIsNone(
            mysql.next_way(mysql._MYSQL, mysql.Way('COPY', 'EXCLUSIVE'), 'Try LOCK=NONE')
        )

    def test_every_error_leads_to_a_later_way_so_that_the_search_ends(self):
        for ways in (mysql._MARIADB, mysql._MYSQL):
            for tried in ways[:-1]:
                for message in ('Try ALGORITHM=INSTANT', 'Try ALGORITHM=COPY', 'Try LOCK=NONE', ''):
                    following = mysql.next_way(ways, tried, message)
                    self.assertGreater(ways.index(following), ways.index(tried))


class TestRisk(base.TestCase):
    def test_the_size_of_the_table_counts(self):
        for answer, size, expected in (
            (NEW_TABLE, None, 'none'),
            (_answer(Blocks.NOTHING, Work.METADATA), _LARGE, 'low'),
            (_answer(Blocks.EVERYTHING, Work.METADATA), _LARGE, 'low'),
            (_answer(Blocks.WRITES, Work.REBUILD), _LARGE, 'high'),
            (_answer(Blocks.WRITES, Work.REBUILD), _SMALL, 'low'),
            (_answer(Blocks.WRITES, Work.REBUILD), sizes.Size(9, 30_000_000), 'medium'),
            (_answer(Blocks.NOTHING, Work.INDEX), _LARGE, 'medium'),
            (_answer(Blocks.NOTHING, Work.INDEX), _SMALL, 'low'),
            (_answer(Blocks.WRITES, Work.INDEX), None, 'high'),
            (not_asked('why'), _LARGE, 'high'),
            (_answer(Blocks.ROWS, Work.ROWS), _LARGE, 'high'),
        ):
            with self.subTest(answer=answer, size=size):
                self.assertEqual(expected, risk.assess(_ADD, answer, size).level)

    def test_what_drops_data_is_never_less_than_medium(self):
        found = risk.assess(_DROP, _answer(Blocks.NOTHING, Work.METADATA), sizes.Size(0, 16384))
        self.assertEqual('medium', found.level)
        self.assertIn('backup', found.reason)
        self.assertEqual(
            'high', risk.assess(_DROP, _answer(Blocks.WRITES, Work.REBUILD), _LARGE).level
        )

    def test_no_rows_in_a_large_table_is_an_estimate_that_is_out_of_date(self):
        self.assertFalse(sizes.Size(0, 500_000_000).is_empty)


class TestKnown(base.TestCase):
    def answer(self, sql, dialect):
        return known.Unasked(dialect, 'another server').ask(sql)

    def test_without_a_server_some_things_are_known_all_the_same(self):
        self.assertEqual(NEW_TABLE, self.answer('CREATE TABLE t (id INT)', 'mysql'))
        concurrently = self.answer('CREATE INDEX CONCURRENTLY i ON t (a)', 'postgresql')
        self.assertEqual(
            (Source.KNOWN, 'SHARE UPDATE EXCLUSIVE'), (concurrently.source, concurrently.lock)
        )
        self.assertIn('cannot run in a transaction', concurrently.detail)

    def test_the_rest_is_not_asked_with_the_reason(self):
        for dialect in ('mariadb', 'mysql', 'postgresql'):
            found = self.answer('ALTER TABLE t ADD COLUMN x INT', dialect)
            self.assertEqual(
                (Source.NOT_ASKED, 'another server', None),
                (found.source, found.detail, found.rebuilds),
            )

    def test_sqlite_locks_the_whole_database(self):
        for sql in (
            'ALTER TABLE t ADD COLUMN x INT',
            'CREATE INDEX i ON t (x)',
            'DROP TABLE t',
            'CREATE TABLE t (id INT)',
        ):
            self.assertEqual(
                (Blocks.DATABASE, Source.KNOWN),
                (self.answer(sql, 'sqlite').blocks, self.answer(sql, 'sqlite').source),
            )
