# SPDX-License-Identifier: Apache-2.0
"""The demo's camera in front of a real server: what it takes for the same content, and what not."""

import subprocess

import sqlalchemy as sa

from lab.demo import snapshots
from lab.images import provision, samples_mysql
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases


class TestContent(databases.OneServer, base.TestCase):
    server_class = databases.MariaDB

    def setUp(self):
        super().setUp()
        self.database = sa.make_url(self.server.create()).database

    def ask(self, statements):
        """As the lab asks the database in a guest."""
        command = ['mariadb', '--no-defaults', f'--socket={self.server.folder}/s', '--user=root']
        done = subprocess.run(
            [*command, '--batch', '--skip-column-names'],
            input=statements,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout

    def content(self, table):
        return snapshots._content(self.ask, f'{self.database}.{table}')

    def make(self, *statements):
        self.ask(f'USE {self.database};\n' + ';\n'.join(statements) + ';')

    def test_results_that_the_server_stores_are_not_looked_at_and_values_that_were_given_are(self):
        for word in ('STORED', 'PERSISTENT'):
            self.make(
                f'CREATE OR REPLACE TABLE one (a INT, s INT AS (a * 2) {word}, b TEXT, v INT AS '
                '(a) VIRTUAL)',
                f'CREATE OR REPLACE TABLE other (a INT, s INT AS (a * 3) {word}, b TEXT, v INT AS '
                '(a) VIRTUAL)',
                "INSERT INTO one (a, b) VALUES (1, 'x'), (2, NULL), (2, NULL)",
                "INSERT INTO other (a, b) VALUES (2, NULL), (1, 'x'), (2, NULL)",
            )
            self.assertEqual(self.content('one'), self.content('other'))
            self.assertEqual(3, self.content('one')[0])
            for change in (
                "UPDATE changed SET b = 'y' WHERE a = 1",
                "UPDATE changed SET b = '' WHERE a = 2 LIMIT 1",
                'DELETE FROM changed WHERE a = 2 LIMIT 1',
                'UPDATE changed SET a = NULL',
            ):
                self.make(
                    'CREATE OR REPLACE TABLE changed LIKE other',
                    'INSERT INTO changed (a, b) SELECT a, b FROM other',
                )
                self.assertEqual(self.content('one'), self.content('changed'))
                self.make(change)
                self.assertNotEqual(self.content('one'), self.content('changed'), change)

    def test_a_table_without_generated_columns_has_the_server_s_own_checksum(self):
        self.make(
            'CREATE TABLE plain (a INT)',
            'INSERT INTO plain (a) VALUES (1), (2)',
        )
        rows, checksum = self.content('plain')
        shown = self.ask(f'CHECKSUM TABLE {self.database}.plain EXTENDED;').split()
        self.assertEqual((2, shown[1]), (rows, checksum))

    def test_the_sample_with_a_column_of_each_kind_is_taken_and_taken_alike_in_any_time_zone(self):
        self.make(samples_mysql.INVOICES.rstrip(';'))
        first = self.content('invoices')
        self.assertEqual(2, first[0])
        self.ask("SET GLOBAL time_zone = '+05:00';")
        self.addCleanup(self.ask, "SET GLOBAL time_zone = 'SYSTEM';")
        self.assertEqual(first, self.content('invoices'))
        self.make("UPDATE invoices SET paid_at = '2026-01-01 00:00:01' WHERE id = 1")
        self.assertNotEqual(first, self.content('invoices'))

    def test_the_sample_database_has_such_a_table(self):
        for sample in (
            provision.accounts_sql(provision.LAB_CREDENTIALS),
            samples_mysql.accounts_sql(*[provision.LAB_CREDENTIALS.admin] * 3, 'shop'),
        ):
            self.assertIn(' STORED', sample)
