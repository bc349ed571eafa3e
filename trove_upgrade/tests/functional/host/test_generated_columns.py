# SPDX-License-Identifier: Apache-2.0
"""Tables with generated columns over the restart of a real server, whose own checksum of virtual
ones is another one each time.
"""

from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.tests.functional.host.test_mariadb_driver import MariaDBTestCase

_COLUMNS = {
    'people': "last VARCHAR(30), name VARCHAR(61) AS (CONCAT(word, ' ', last)) VIRTUAL",
    'documents': "doc JSON, mail VARCHAR(100) AS (JSON_VALUE(doc, '$.mail')) VIRTUAL, KEY (mail)",
    'amounts': 'p DECIMAL(10,2), q INT, total DECIMAL(12,2) AS (p * q) VIRTUAL',
    'numbers': 'v BIGINT AS (id * 7) VIRTUAL',
    'days': 'made TIMESTAMP, day DATE AS (CAST(made AS DATE)) VIRTUAL',
    'kept': 'v BIGINT AS (id * 7) PERSISTENT, made TIMESTAMP',
    'mixed': 'v INT AS (id + 1) VIRTUAL INVISIBLE, s INT AS (id + 2) STORED',
    'large': 'v BIGINT AS (id * 7) VIRTUAL, made TIMESTAMP',
}
_LARGE = 70000
#: Of a server of another series, after which the engine's own upgrade runs.
_FORMER = '10.6.18-MariaDB'


class TestTablesWithGeneratedColumns(MariaDBTestCase):
    def setUp(self):
        super().setUp()
        self.configure("[mysqld]\ndefault_time_zone = '+05:00'\n")
        self.start()
        self.root.sql('CREATE DATABASE app')
        for engine in ('InnoDB', 'MyISAM'):
            for name, columns in _COLUMNS.items():
                table = f'app.{name}_{engine}'
                self.root.sql(
                    f'CREATE TABLE {table} (id INT PRIMARY KEY, word VARCHAR(200), '
                    f'{columns}) ENGINE={engine}',
                    f"INSERT INTO {table} (id, word) SELECT seq, REPEAT('word ', 40) FROM "
                    f'app.seq_1_to_100000 LIMIT {_LARGE if name == "large" else 100}',
                )
        self.root.sql('ANALYZE TABLE app.large_InnoDB', 'ANALYZE TABLE app.large_MyISAM')
        self.before = self.stop()
        self.driver.own_data()
        self.driver.start_isolated()

    def compared(self):
        after = self.driver.fingerprint(GuestOptions(), self.progress)
        return self.driver.compare(self.before, after)

    def test_are_what_they_were_after_another_start_and_beside_an_upgrade(self):
        self.driver.upgrade_data(self.progress, _FORMER)
        found = self.compared()
        self.assertEqual(([], []), (list(found.missing), list(found.not_compared)))
        self.assertEqual(2 * len(_COLUMNS), found.tables_compared)
        self.assertEqual([], list(self.compared().missing))

    def test_are_not_what_they_were_where_a_value_is_another(self):
        tables = [f'{name}_{engine}' for engine in ('InnoDB', 'MyISAM') for name in _COLUMNS]
        for table in tables:
            self.root.sql(f"UPDATE app.{table} SET word = 'other' WHERE id = 7")
        missing = '; '.join(self.compared().missing)
        self.assertEqual(
            [], [table for table in tables if f'app.{table} has another checksum' not in missing]
        )
