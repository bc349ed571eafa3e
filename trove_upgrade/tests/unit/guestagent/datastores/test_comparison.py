# SPDX-License-Identifier: Apache-2.0
import dataclasses
import pathlib

import fixtures

from trove_upgrade.domain.notes import SettingChange
from trove_upgrade.guestagent.datastores import base as datastore
from trove_upgrade.guestagent.datastores.mysql_family import comparison, foreign_servers, settings
from trove_upgrade.guestagent.datastores.table_facts import TableFacts
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent.datastores import fakes


def table(rows=2, checksum='7', kind='table', **more):
    """The facts of a table, by the keys of a stash."""
    return TableFacts.from_json(
        {'rows': rows, 'checksum': checksum, 'kind': kind, 'columns': 'c', **more}
    )


BEFORE = datastore.Fingerprint(
    server_version='10.11.14-MariaDB',
    taken_at='2026-01-01T00:00:00+00:00',
    tables={'a.t': table(), 'a.v': table(kind='versioned', history_rows=3)},
    counted_only_by_file=(),
    users=('root@localhost', 'u@%'),
    grants={'u@%': ['GRANT SELECT ON `a`.* TO `u`@`%`']},
    objects={'view:a.w': 'd1', 'routine:a.p (procedure)': 'd2', 'account:u@%': 'd3'},
    settings={'sql_mode': 'A', 'port': '3306'},
)


class TestComparison(base.TestCase):
    def missing(self, **changes):
        return list(comparison.compare(BEFORE, dataclasses.replace(BEFORE, **changes)).missing)

    def test_the_same_is_the_same(self):
        found = comparison.compare(BEFORE, BEFORE)
        self.assertEqual(
            ([], [], 2, 4),
            (found.missing, found.settings_changed, found.tables_compared, found.rows_compared),
        )

    def test_what_is_new_is_no_loss(self):
        self.assertEqual(
            [],
            self.missing(
                tables={**BEFORE.tables, 'a.n': table()},
                users=(*BEFORE.users, 'mariadb.sys@localhost'),
                objects={**BEFORE.objects, 'view:a.n': 'x'},
            ),
        )

    def test_a_checksum_of_another_kind_is_not_compared_and_rows_are(self):
        """An agent of the release before took the server's own of every table."""
        now = table(checksum='11:13', checksum_of='values')
        found = comparison.compare(
            BEFORE, dataclasses.replace(BEFORE, tables={**BEFORE.tables, 'a.t': now})
        )
        self.assertEqual(
            ([], ['a.t'], 1), (found.missing, found.not_compared, found.tables_compared)
        )
        self.assertEqual(
            ['table a.t had 2 rows and has 1 now'],
            self.missing(
                tables={
                    **BEFORE.tables,
                    'a.t': table(rows=1, checksum='11:13', checksum_of='values'),
                }
            ),
        )

    def test_each_loss_is_named(self):
        self.assertEqual(['table a.t is gone'], self.missing(tables={'a.v': BEFORE.tables['a.v']}))
        self.assertEqual(
            ['table a.t had 2 rows and has 1 now'],
            self.missing(tables={**BEFORE.tables, 'a.t': table(rows=1)}),
        )
        self.assertEqual(
            ['table a.t has another checksum: 7 before, 8 now'],
            self.missing(tables={**BEFORE.tables, 'a.t': table(checksum='8')}),
        )
        self.assertEqual(
            ['versioned a.v had 3 rows of history and has 0 now'],
            self.missing(tables={**BEFORE.tables, 'a.v': table(kind='versioned', history_rows=0)}),
        )
        self.assertEqual(
            ['a.t was a table and is a view now'],
            self.missing(tables={**BEFORE.tables, 'a.t': table(kind='view')}),
        )
        self.assertEqual(
            ['table a.t has other columns now'],
            self.missing(tables={**BEFORE.tables, 'a.t': table(columns='d')}),
        )
        self.assertEqual(['account u@% is gone'], self.missing(users=('root@localhost',)))
        self.assertEqual(["account u@% has lost SELECT on 'a'.*"], self.missing(grants={'u@%': []}))
        self.assertEqual(
            ['view a.w is gone'],
            self.missing(objects={k: v for k, v in BEFORE.objects.items() if k != 'view:a.w'}),
        )
        self.assertEqual(
            ['routine a.p (procedure) has another definition now'],
            self.missing(objects={**BEFORE.objects, 'routine:a.p (procedure)': 'x'}),
        )
        self.assertEqual(
            ['account u@% authenticates in another way now'],
            self.missing(objects={**BEFORE.objects, 'account:u@%': 'x'}),
        )

    def test_lost_parts_of_a_table_are_named_and_agents_that_knew_none_are_believed(self):
        then = table(
            structure={'index': {'u': '1', 'v': '2'}, 'column': {'n': '3'}, '': {'engine': '4'}}
        )
        now = table(
            structure={'index': {'v': '5', 'new': '6'}, 'column': {'n': '3'}, '': {'engine': '7'}}
        )
        before = dataclasses.replace(BEFORE, tables={'a.t': then})
        self.assertEqual(
            [
                'table a.t has another engine now',
                'table a.t has no index u any more',
                'table a.t has another index v now',
            ],
            comparison.compare(before, dataclasses.replace(before, tables={'a.t': now})).missing,
        )
        self.assertEqual(
            [],
            comparison.compare(
                before, dataclasses.replace(before, tables={'a.t': table()})
            ).missing,
        )
        self.assertEqual(
            [],
            comparison.compare(
                BEFORE, dataclasses.replace(BEFORE, tables={**BEFORE.tables, 'a.t': then})
            ).missing,
        )

    def test_values_of_invisible_columns_are_compared_where_both_agents_summed_them(self):
        then, now = (
            table(kind='versioned', checksum_of_all='1'),
            table(kind='versioned', checksum_of_all='2'),
        )
        before = dataclasses.replace(BEFORE, tables={'a.t': then})
        self.assertEqual(
            ['versioned a.t has other values in its invisible columns now'],
            comparison.compare(before, dataclasses.replace(before, tables={'a.t': now})).missing,
        )
        self.assertEqual(
            [],
            comparison.compare(
                before, dataclasses.replace(before, tables={'a.t': table(kind='versioned')})
            ).missing,
        )

    def test_foreign_servers_are_compared_where_both_agents_looked_for_them(self):
        def objects(*rows):
            return foreign_servers.read(
                fakes.Session(
                    (
                        'mysql.servers',
                        [(name, host, 'd', 'u', 3306, '', 'mysql', '') for name, host in rows],
                    )
                )
            )

        before = dataclasses.replace(
            BEFORE, objects={**BEFORE.objects, **objects(('s', '1.1.1.1'), ('t', '2.2.2.2'))}
        )
        for now, missing in (
            (objects(('s', '1.1.1.1'), ('t', '2.2.2.2'), ('n', '3.3.3.3')), []),
            (
                objects(('t', '1.1.1.1')),
                ['foreign server s is gone', 'foreign server t has another definition now'],
            ),
            (objects(), ['foreign server s is gone', 'foreign server t is gone']),
            ({}, []),
        ):
            self.assertEqual(
                missing,
                comparison.compare(
                    before, dataclasses.replace(BEFORE, objects={**BEFORE.objects, **now})
                ).missing,
            )
        self.assertEqual([], comparison.compare(BEFORE, before).missing)
        self.assertEqual(
            {}, foreign_servers.read(fakes.Session(('mysql.servers', fakes.refusal(1146))))
        )

    def test_a_table_that_was_not_counted_is_neither_lost_nor_compared(self):
        found = comparison.compare(
            BEFORE,
            dataclasses.replace(
                BEFORE, tables={**BEFORE.tables, 'a.t': table(rows=None, checksum=None)}
            ),
        )
        self.assertEqual(
            ([], ['a.t'], 1), (found.missing, found.not_compared, found.tables_compared)
        )

    def test_a_table_in_memory_is_compared_by_kind_and_columns(self):
        memory = table(rows=None, checksum=None)
        for old in (
            memory,
            table(rows=7),
        ):  # an agent that counted it before is no reason to miss it now
            before = dataclasses.replace(BEFORE, tables={'a.m': old})
            self.assertEqual(
                [],
                comparison.compare(
                    before, dataclasses.replace(BEFORE, tables={'a.m': memory})
                ).missing,
            )
            for other in (
                {},
                {'a.m': dataclasses.replace(memory, columns='d')},
                {'a.m': dataclasses.replace(memory, kind='view')},
            ):
                self.assertEqual(
                    1,
                    len(
                        comparison.compare(
                            before, dataclasses.replace(BEFORE, tables=other)
                        ).missing
                    ),
                )

    def test_settings_are_reported_but_not_those_of_the_isolated_start(self):
        found = comparison.compare(
            BEFORE, dataclasses.replace(BEFORE, settings={'sql_mode': 'B', 'port': '0', 'new': '1'})
        )
        self.assertEqual(
            [SettingChange(name='sql_mode', before='A', after='B')], found.settings_changed
        )
        self.assertEqual([], found.missing)


class TestKeptSettings(base.TestCase):
    def test_only_what_changes_the_meaning_of_statements_is_kept(self):
        found = settings.changed(
            {'sql_mode': 'A', 'innodb_io_capacity': '1'},
            {'sql_mode': 'B', 'innodb_io_capacity': '2'},
        )
        self.assertEqual({'sql_mode': 'A'}, found)

    def test_flags_that_the_new_server_does_not_have_are_left_out_of_its_sql_mode(self):
        before = {'sql_mode': 'ANSI_QUOTES,NO_AUTO_CREATE_USER,NO_ZERO_DATE'}
        self.assertEqual(
            {'sql_mode': 'ANSI_QUOTES,NO_ZERO_DATE'},
            settings.changed(before, {'sql_mode': 'X', 'version': '8.0.40'}),
        )
        self.assertEqual(
            {},
            settings.changed(before, {'sql_mode': 'ANSI_QUOTES,NO_ZERO_DATE', 'version': '8.0.40'}),
        )
        self.assertEqual(
            before, settings.changed(before, {'sql_mode': 'X', 'version': '11.8.6-MariaDB'})
        )

    def test_a_new_mapping_of_collations_is_emptied(self):
        self.assertEqual(
            {'character_set_collations': ''},
            settings.changed({}, {'character_set_collations': 'utf8mb4=x'}),
        )

    def test_a_value_that_the_server_refuses_is_not_written(self):
        mysql = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'mysql'
        session = fakes.Session(('SET GLOBAL old_mode', fakes.refusal(1231)))
        with settings.place(mysql) as directory:
            taken = settings.keep(
                session,
                {'old_mode': 'X', 'collation_server': 'latin1_swedish_ci', 'sql_mode': ''},
                directory,
            )
        self.assertEqual(['collation_server', 'sql_mode'], taken)
        text = (mysql / 'conf.d' / settings.FILE_NAME).read_text()
        self.assertIn('[mysqld]\ncollation_server = latin1_swedish_ci\nsql_mode = ""\n', text)
        self.assertNotIn('old_mode', text)
