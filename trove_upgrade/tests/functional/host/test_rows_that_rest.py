# SPDX-License-Identifier: Apache-2.0
"""Rows of large tables that are read while a real server serves, and each way in which they can
change until it is stopped.
"""

import contextlib

from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.guestagent.datastores.mysql_family import catalog, unchanged
from trove_upgrade.tests.functional.host.test_mariadb_driver import MariaDBTestCase
from trove_upgrade.waiting import wait_until

_ROWS = 70000
_SEED = (
    'CREATE DATABASE app',
    'USE app',
    'CREATE TABLE large (id INT PRIMARY KEY AUTO_INCREMENT, word VARCHAR(200))',
    f"INSERT INTO large (word) SELECT REPEAT('word ', 40) FROM seq_1_to_{_ROWS}",
    'CREATE TABLE parent (id INT PRIMARY KEY)',
    'INSERT INTO parent VALUES (1), (2)',
    (
        'CREATE TABLE child (id INT PRIMARY KEY AUTO_INCREMENT, parent INT, word VARCHAR(200), '
        'FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE)'
    ),
    f"INSERT INTO child (parent, word) SELECT 2, REPEAT('word ', 40) FROM seq_1_to_{_ROWS}",
    'INSERT INTO child (parent, word) VALUES (1, NULL)',
    'ANALYZE TABLE large, child',
)
_CHANGES = {
    'a row': ["UPDATE app.large SET word = 'other' WHERE id = 7"],
    'a row that is what it was again': [
        "UPDATE app.large SET word = 'other' WHERE id = 7",
        "UPDATE app.large SET word = REPEAT('word ', 40) WHERE id = 7",
    ],
    'all rows': ['TRUNCATE app.large'],
    'a column': ['ALTER TABLE app.large ADD COLUMN more INT DEFAULT 1, ALGORITHM=INSTANT'],
    'its file': ['ALTER TABLE app.large FORCE'],
    'its name': [
        'RENAME TABLE app.large TO app.aside',
        'CREATE TABLE app.large LIKE app.aside',
        'INSERT INTO app.large SELECT * FROM app.aside',
    ],
}


class TestATableThatRests(MariaDBTestCase):
    def setUp(self):
        super().setUp()
        self.start()
        self.root.sql(*_SEED)
        self.service.stop('mariadb')
        self.start()  # the server has forgotten since when they rest
        self.ahead = self.driver._rows_ahead(
            unchanged.WhileServing(self.root.context.data_directory), 60
        )

    @contextlib.contextmanager
    def session(self):
        with contextlib.closing(self.driver._server.session(timeout_seconds=0)) as session:
            yield session

    def take(self, name='large'):
        with self.session() as session:
            (table,) = [each for each in catalog.tables(session) if each.name == name]
            return self.ahead.take(session, table, lambda: None)

    def test_is_read_before_the_stop_as_it_would_be_then(self):
        self.ahead.read(lambda: None)
        whole = self.driver.fingerprint(GuestOptions(), self.progress)
        found = self.take()
        self.assertEqual((_ROWS, whole.tables['app.large'].rows), (found.count, found))

    def test_is_read_again_once_anything_has_changed_it(self):
        for name, statements in _CHANGES.items():
            self.ahead = self.driver._rows_ahead(
                unchanged.WhileServing(self.root.context.data_directory), 60
            )
            self.ahead.read(lambda: None)
            self.assertIn('app.large', self.ahead._found, name)
            self.root.sql(*statements)
            self.assertIsNone(self.take(), name)
            self.root.sql('DROP DATABASE app', *_SEED)
            self.service.stop('mariadb')
            self.start()

    def test_is_read_again_once_another_table_has_changed_it(self):
        self.ahead.read(lambda: None)
        self.root.sql('DELETE FROM app.parent WHERE id = 1')
        self.assertEqual((None, _ROWS), (self.take('child'), self.take().count))

    def test_is_read_again_after_the_end_of_a_transaction_that_had_begun_before(self):
        with self.session() as writer:
            writer.rows('BEGIN')
            writer.rows("UPDATE app.large SET word = 'other' WHERE id = 7")
            self.ahead.read(lambda: None)
            self.assertIn('app.large', self.ahead._found)
            writer.rows('COMMIT')
        self.assertIsNone(self.take())

    def test_is_not_read_while_a_transaction_is_open_that_began_with_the_last_one(self):
        for zone in ('UTC0', 'NPT-5:45'):  # the server's own; that of a session is UTC
            self.service.stop('mariadb')
            self.service.environment['TZ'] = zone
            self.start()
            with self.two_of_one_second() as (first, second):
                first.rows(f"UPDATE app.large SET word = '{zone}' WHERE id = 7")
                second.rows(f"UPDATE app.large SET word = '{zone}' WHERE id = 8")
                first.rows('COMMIT')
                self.assertTrue(wait_until(lambda: self.facts() is not None, 60), zone)
                told = self.facts()
                self.assertFalse(self.is_worth_it(), zone)
                second.rows('COMMIT')
            # the server tells of the second one what it has told of the first
            self.assertEqual(told, self.facts(), zone)
            self.assertTrue(wait_until(self.is_worth_it, 60), zone)

    @contextlib.contextmanager
    def two_of_one_second(self):
        """Two transactions that began in the same second, as the server tells."""
        with self.session() as first, self.session() as second:

            def began_together():
                for each in (first, second):
                    each.rows('START TRANSACTION WITH CONSISTENT SNAPSHOT')
                ((moments,),) = first.rows(
                    'SELECT COUNT(DISTINCT TRX_STARTED) FROM information_schema.INNODB_TRX'
                )
                return moments == 1

            # the list is made anew where nothing has looked at it for a tenth of a second
            self.assertTrue(wait_until(began_together, 60, interval_seconds=0.3))
            yield first, second

    def facts(self):
        return self.proved(unchanged.WhileServing.facts)

    def is_worth_it(self):
        return self.proved(unchanged.WhileServing.is_worth_it)

    def proved(self, ask):
        proof = unchanged.WhileServing(self.root.context.data_directory, quiet_seconds=1)
        with self.session() as session:
            (table,) = [each for each in catalog.tables(session) if each.name == 'large']
            return ask(proof, session, table)

    def test_is_not_read_while_it_does_not_rest(self):
        self.root.sql('DELETE FROM app.large WHERE id = 7')
        self.ahead.read(lambda: None)
        self.assertEqual(['app.child'], list(self.ahead._found))

    def test_is_in_the_fingerprint_of_the_stop(self):
        expected = self.driver.fingerprint(GuestOptions(), self.progress)
        before = self.stop()
        self.assertEqual(
            {'app.large': expected.tables['app.large'].rows},
            {'app.large': before.tables['app.large'].rows},
        )
        self.assertEqual([], list(before.counted_only_by_file))
        self.assertIn('reading large tables that rest; the database serves', self.said)

    def test_is_read_before_the_lock_and_not_again(self):
        self.root.sql("SET GLOBAL general_log_file = 'statements'", 'SET GLOBAL general_log = 1')
        self.stop()
        log = (self.root.context.data_directory / 'statements').read_text(errors='replace')
        words = ('FLUSH TABLES WITH READ LOCK', 'CHECKSUM TABLE `app`.`')
        asked = [line for line in log.splitlines() if any(word in line for word in words)]
        self.assertEqual(
            ['`large`', '`child`', 'LOCK', '`parent`'],
            [line.removesuffix(' EXTENDED').split('.')[-1].split()[-1] for line in asked],
        )
