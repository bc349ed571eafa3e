# SPDX-License-Identifier: Apache-2.0
import datetime

from hypothesis import example, given
from hypothesis import strategies as st

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.datastores.mysql_family import connection, dialect, fingerprint
from trove_upgrade.guestagent.datastores.table_facts import NOT_READ, RowFacts, TableKind
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent.datastores import fakes

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class TestPhotographer(base.TestCase):
    def setUp(self):
        super().setUp()
        self.clock = fakes.Clock()
        self.percents = []

    def session(
        self,
        *rules,
        tables=(
            ('a', 'big', 'BASE TABLE', 900, 'InnoDB'),
            ('a', 'small', 'BASE TABLE', 10, 'InnoDB'),
            ('a', 'w', 'VIEW', 0, None),
        ),
    ):
        return fakes.Session(
            *rules,
            ('ENGINE IN', []),
            ('SELECT VERSION', [('10.11.14-MariaDB',)]),
            ('mysql.global_priv', [('u', '%', '{"plugin": "p"}')]),
            ("TABLE_NAME = 'global_priv'", [(1,)]),
            ('SHOW GRANTS', [("GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*1'",)]),
            ('SHOW GLOBAL VARIABLES', [('sql_mode', 'A')]),
            (r'FROM information_schema.TABLES', list(tables)),
            ('information_schema.VIEWS', [('a', 'w', 'select 1', 'NONE', 'd', 'DEFINER')]),
            (r'COUNT\(\*\)', [(5,)]),
            ('CHECKSUM TABLE', [('t', 77)]),
        )

    def take(self, session, budget=60, counting=None, ahead=None):
        session.rules.sort(key=lambda rule: "TABLE_NAME = 'global_priv'" not in rule[0].pattern)
        return fingerprint.FingerprintCollector(
            session,
            dialect.MariaDB(),
            budget_seconds=budget,
            monotonic=self.clock,
            now=lambda: NOW,
            progress=lambda percent, text: self.percents.append(percent),
            counting=counting,
            ahead=ahead,
        ).take()

    def test_the_smallest_tables_come_first(self):
        session = self.session()
        found = self.take(session)
        self.assertEqual(
            ['CHECKSUM TABLE `a`.`small` EXTENDED', 'CHECKSUM TABLE `a`.`big` EXTENDED'],
            [said for said in session.statements if said.startswith('CHECKSUM')],
        )
        self.assertEqual(RowFacts(count=5, checksum='77'), found.tables['a.big'].rows)
        self.assertEqual([], found.counted_only_by_file)

    def test_the_rows_of_large_tables_are_counted_by_the_second_session(self):
        session = self.session(
            tables=[
                ('a', 'big', 'BASE TABLE', 100 << 20, 'InnoDB'),
                ('a', 'small', 'BASE TABLE', 10, 'InnoDB'),
            ]
        )
        counting = self.session((r'COUNT\(\*\)', [(6,)]))
        found = self.take(session, counting=counting)
        self.assertEqual(
            (RowFacts(count=6, checksum='77'), RowFacts(count=5, checksum='77')),
            (found.tables['a.big'].rows, found.tables['a.small'].rows),
        )
        self.assertEqual(
            ['SET SESSION max_statement_time = 60.000', 'SELECT COUNT(*) FROM `a`.`big`'],
            counting.statements,
        )

    def test_rows_that_were_read_before_are_taken_and_a_wait_for_nothing_costs_no_time(self):
        tables = [('a', name, 'BASE TABLE', 100 << 20, 'InnoDB') for name in ('one', 'two')]

        def ahead(_session, table, tell):
            tell()
            self.clock.seconds += 50
            return RowFacts(count=9, checksum='99') if table.name == 'two' else None

        session = self.session(tables=[*tables, ('a', 'small', 'BASE TABLE', 10, 'InnoDB')])
        found = self.take(session, ahead=ahead)
        self.assertEqual(
            (5, 9, 5),
            tuple(found.tables[f'a.{name}'].rows.count for name in ('one', 'two', 'small')),
        )
        self.assertEqual([], found.counted_only_by_file)
        self.assertEqual(sorted(self.percents), self.percents)

    def test_a_second_session_that_takes_too_long_leaves_the_table_to_its_file(self):
        tables = [('a', 'big', 'BASE TABLE', 100 << 20, 'InnoDB')]
        for failing in ('session', 'counting'):
            number = fakes.refusal(1969, 'too long')
            session = self.session(
                *([('CHECKSUM TABLE', number)] if failing == 'session' else []), tables=tables
            )
            counting = self.session(*([(r'COUNT\(\*\)', number)] if failing == 'counting' else []))
            found = self.take(session, counting=counting)
            self.assertEqual(['a.big'], found.counted_only_by_file, failing)

    def test_a_table_with_generated_columns_is_summed_by_the_values_that_were_given(self):
        columns = [
            ('a', 'small', 'net', 'int', '', None),
            ('a', 'small', 'gross', 'int', 'STORED GENERATED', '(`net` * 2)'),
            ('a', 'small', 'made', 'datetime', 'DEFAULT_GENERATED', ''),
            ('a', 'small', 'hidden', 'int', 'INVISIBLE', ''),
            ('a', 'big', 'net', 'int', '', None),
            ('a', 'shown', 'net', 'int', '', None),
            ('a', 'shown', 'name', 'text', 'VIRTUAL GENERATED', 'upper(`net`)'),
        ]
        tables = [
            ('a', name, 'BASE TABLE', size, 'InnoDB')
            for size, name in enumerate(('small', 'shown', 'big'))
        ]
        session = self.session(
            ('GENERATION_EXPRESSION', columns), ('BIT_XOR', [(5, 11, 13)]), tables=tables
        )
        found = self.take(session)
        self.assertEqual(
            ['CHECKSUM TABLE `a`.`big` EXTENDED'],
            [said for said in session.statements if said.startswith('CHECKSUM')],
        )
        self.assertEqual(
            RowFacts(count=5, checksum='11:13', checksum_of='values'), found.tables['a.small'].rows
        )
        asked, of_virtual = [said for said in session.statements if 'BIT_XOR' in said]
        self.assertEqual((True, False), ('`net`' in of_virtual, '`name`' in of_virtual), of_virtual)
        self.assertEqual(
            [True, False, True, True],
            [f'CAST(`{name}` AS BINARY)' in asked for name in ('net', 'gross', 'made', 'hidden')],
        )
        self.assertIsNone(found.tables['a.big'].rows.checksum_of)

    def test_what_does_not_fit_into_the_budget_is_listed(self):
        def slow():
            self.clock.seconds += 40
            return [('t', 77)]

        found = self.take(self.session(('CHECKSUM TABLE', slow)))
        self.assertEqual(['a.big'], found.counted_only_by_file)
        self.assertIsNone(found.tables['a.big'].rows.count)
        self.assertEqual(5, found.tables['a.small'].rows.count)

    def test_no_budget_counts_nothing_but_still_knows_users_and_objects(self):
        found = self.take(self.session(), budget=0)
        self.assertEqual(['a.small', 'a.big'], found.counted_only_by_file)
        self.assertEqual(['u@%'], found.users)
        self.assertIn('view:a.w', found.objects)
        self.assertEqual({'sql_mode': 'A'}, found.settings)

    def test_a_statement_that_the_server_cut_off_did_not_fit(self):
        found = self.take(self.session((r'COUNT\(\*\) FROM `a`.`big`', fakes.refusal(1969))))
        self.assertEqual(['a.big'], found.counted_only_by_file)

    def test_a_table_that_cannot_be_read_is_a_refusal(self):
        for rule in (
            (r'COUNT\(\*\) FROM `a`.`big`', fakes.refusal(1034, 'Incorrect key file')),
            ('CHECKSUM TABLE `a`.`big`', [('t', None)]),
        ):
            error = self.assertRaises(exceptions.StepRefused, self.take, self.session(rule))
            self.assertEqual('TABLE_UNREADABLE', error.code)
            self.assertIn('a.big', error.message)

    def test_a_lost_connection_is_not_taken_for_a_broken_table(self):
        self.assertRaises(
            connection.SessionError,
            self.take,
            self.session(('CHECKSUM TABLE', fakes.refusal(2013))),
        )

    def test_versioned_tables_are_summed_by_their_visible_columns(self):
        session = self.session(
            (
                'GENERATION_EXPRESSION',
                [
                    ('a', 'v', 'id', 'int', '', None),
                    ('a', 'v', 's', 'timestamp', 'STORED GENERATED', 'ROW START'),
                    ('a', 'v', 'h', 'int', 'INVISIBLE', None),
                ],
            ),
            ('FOR SYSTEM_TIME ALL', [(7, 11, 13)]),
            tables=[('a', 'v', 'SYSTEM VERSIONED', 1, 'InnoDB')],
        )
        found = self.take(session)
        self.assertEqual(
            RowFacts(count=5, history=2, checksum='11:13', checksum_of_all='11:13'),
            found.tables['a.v'].rows,
        )
        summed = next(said for said in session.statements if 'FOR SYSTEM_TIME ALL' in said)
        self.assertIn('`id`', summed)
        self.assertNotIn('`s`', summed)
        self.assertNotIn('`h`', summed)
        of_all = [
            said for said in session.statements if 'FOR SYSTEM_TIME ALL' in said and '`h`' in said
        ]
        self.assertEqual(1, len(of_all))

    def test_a_table_in_memory_is_not_counted_for_the_stop_empties_it(self):
        session = self.session(tables=[('a', 'm', 'BASE TABLE', 1, 'MEMORY')])
        found = self.take(session)
        self.assertEqual(
            (NOT_READ, TableKind.TABLE),
            (found.tables['a.m'].rows, found.tables['a.m'].kind),
        )
        self.assertEqual([], found.counted_only_by_file)
        self.assertFalse([said for said in session.statements if 'a`.`m' in said])

    def test_a_table_of_another_server_is_known_by_its_columns_and_never_opened(self):
        far = (
            'ENGINE IN',
            [("o'x", 'far', 'BASE TABLE', 'FEDERATED'), ('a', 'sheet', 'BASE TABLE', 'CONNECT')],
        )
        session = self.session(
            far, ('GENERATION_EXPRESSION', [("o'x", 'far', 'n', 'int', '', None)])
        )
        found = self.take(session)
        self.assertEqual(
            (NOT_READ, TableKind.TABLE),
            (found.tables["o'x.far"].rows, found.tables["o'x.far"].kind),
        )
        self.assertNotEqual(found.tables["o'x.far"].columns, found.tables['a.sheet'].columns)
        for opening, schema in (
            ('DATA_LENGTH', 'TABLE_SCHEMA'),
            ('REFERENTIAL_CONSTRAINTS', 'CONSTRAINT_SCHEMA'),
        ):
            (said,) = [said for said in session.statements if opening in said]
            self.assertTrue(
                said.endswith(
                    f" AND NOT ({schema} = 'o''x' AND TABLE_NAME = 'far') AND NOT ({schema} = 'a' "
                    "AND TABLE_NAME = 'sheet')"
                ),
                said,
            )
        self.assertFalse(
            [said for said in session.statements if '`far`' in said or '`sheet`' in said]
        )

    def test_no_hash_of_a_password_is_kept_in_the_grants(self):
        found = self.take(self.session())
        self.assertEqual(['GRANT USAGE ON *.* TO `u`@`%`'], found.grants['u@%'])
        self.assertNotIn('*1', str(found))

    def test_the_limit_of_time_is_lifted_in_the_end(self):
        session = self.session()
        self.take(session)
        self.assertEqual(
            'SET SESSION max_statement_time = 0.000',
            [said for said in session.statements if 'max_statement_time' in said][-1],
        )


class TestLimits(base.TestCase):
    @given(st.floats(min_value=0, max_value=1e6))
    @example(0.0004)  # rounded, it would be no limit
    def test_each_is_one_that_is_enough_and_only_zero_is_none(self, seconds):
        for server, told_in in ((dialect.MariaDB(), 1), (dialect.MySQL(), 1000)):
            session = fakes.Session()
            server.limit_statements(session, seconds)
            limit = float(session.statements[-1].split('=')[1]) / told_in
            self.assertEqual(seconds == 0, limit == 0)
            self.assertGreaterEqual(limit, seconds - 1e-9)
            self.assertLessEqual(limit, seconds + 0.001 + 1e-9)


class TestAccounts(base.TestCase):
    def test_a_change_of_password_changes_the_digest_and_a_server_s_own_notes_do_not(self):
        def account(text):
            session = fakes.Session(
                ("TABLE_NAME = 'global_priv'", [(1,)]), ('mysql.global_priv', [('u', '%', text)])
            )
            return dialect.MariaDB().accounts(session)[0].digest

        one = account(
            '{"plugin": "p", "authentication_string": "a", "access": 1, "version_id": 101114}'
        )
        self.assertEqual(
            one,
            account(
                '{"plugin": "p", "authentication_string": "a", "access": 9, "version_id": 110806}'
            ),
        )
        self.assertNotEqual(
            one, account('{"plugin": "p", "authentication_string": "b", "access": 1}')
        )

    def test_quotes_in_names_are_quoted(self):
        self.assertEqual(
            "'o''x'@'%'", dialect.Account(user="o'x", host='%', is_role=False, digest='').grantee
        )

    def test_mysql_answers_from_its_user_table(self):
        session = fakes.Session(
            ('SHOW COLUMNS', [('User', ''), ('plugin', ''), ('authentication_string', '')]),
            ('FROM mysql.user', [('u', '%', 'p', 'a')]),
        )
        self.assertEqual(['u@%'], [account.name for account in dialect.MySQL().accounts(session)])
