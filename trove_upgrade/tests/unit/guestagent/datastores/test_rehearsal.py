# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.guestagent.datastores.mysql_family import connection, dialect, rehearsal
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent.datastores import fakes

TABLES = [
    ('app', 'plain', 'BASE TABLE', 10, 'InnoDB'),
    ('app', 'stored', 'BASE TABLE', 10, 'InnoDB'),
    ('app', 'history', 'SYSTEM VERSIONED', 10, 'InnoDB'),
    ('app', 'numbers', 'SEQUENCE', 10, 'InnoDB'),
    ('app', 'v', 'VIEW', 0, None),
]
COLUMNS = [
    ('app', 'stored', 'net', 'int', '', None),
    ('app', 'stored', 'gross', 'int', 'STORED GENERATED', '(`net` * 2)'),
    ('app', 'history', 'id', 'int', '', None),
]


class TestRehearsal(base.TestCase):
    def rehearse(self, *rules, tables=TABLES):
        self.clock = fakes.Clock()
        self.session = fakes.Session(
            *rules,
            ("TABLE_NAME = 'global_priv'", [(1,)]),
            ('mysql.global_priv', [('u', '%', '{"plugin": "p"}')]),
            ('SHOW GRANTS FOR', [('GRANT USAGE ON *.* TO `u`@`%`',)]),
            ('SHOW GRANTS', [('GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost`',)]),
            ('ENGINE IN', [('app', 'far', 'BASE TABLE', 'FEDERATED')]),
            ('SELECT VERSION', [('10.11.14-MariaDB',)]),
            ('SELECT 1 FROM information_schema.TABLES', [(1,)]),
            ('FROM information_schema.TABLES', tables),
            ('GENERATION_EXPRESSION', COLUMNS),
            ('BIT_XOR', [(1, 2, 3)]),
            (r'COUNT\(\*\)', [(1,)]),
            ('numbers', [(1, 2)]),
        )
        return rehearsal.rehearse(self.session, dialect.MariaDB(), self.clock)

    def assert_refused(self, code, result, *words):
        self.assertEqual(('refused', code), (result.outcome, result.code), result)
        for word in words:
            self.assertIn(word, result.message)

    def test_what_can_be_read_is_read_one_row_at_a_time_and_no_table_of_another_server(self):
        result = self.rehearse()
        self.assertEqual(('ok', None), (result.outcome, result.code), result)
        self.assertIn('1 accounts, 4 of 4 tables', result.message)
        asked = [said for said in self.session.statements if '`app`' in said]
        self.assertTrue(asked)
        self.assertFalse(
            [said for said in asked if 'CHECKSUM' in said or '`far`' in said or '`v`' in said]
        )
        for name in ('plain', 'stored', 'history'):
            said = next(said for said in asked if f'`app`.`{name}`' in said)
            self.assertIn('LIMIT 1', said)

    def test_each_table_that_cannot_be_read_is_named_with_the_reason(self):
        result = self.rehearse(
            ('`app`.`stored`', fakes.refusal(1305, 'FUNCTION net does not exist')),
            ('`app`.`plain`', fakes.refusal(1034, 'Incorrect key file')),
        )
        self.assert_refused(
            'TABLE_UNREADABLE',
            result,
            'app.plain (Incorrect key file)',
            'app.stored (FUNCTION net does not exist)',
        )

    def test_no_more_than_five_are_named(self):
        many = [('app', f't{number}', 'BASE TABLE', 1, 'MyISAM') for number in range(8)]
        result = self.rehearse(
            (r'`app`\.', fakes.refusal(145, 'is marked as crashed')), tables=many
        )
        self.assert_refused('TABLE_UNREADABLE', result, 'app.t4', 'and 3 more')
        self.assertNotIn('app.t5', result.message)

    def test_a_table_that_is_held_by_another_or_has_gone_meanwhile_is_no_broken_one(self):
        for rules in (
            [('`app`.`plain`', fakes.refusal(1205))],
            [('`app`.`plain`', fakes.refusal(1969))],
            [
                ('`app`.`plain`', fakes.refusal(1146)),
                ('SELECT 1 FROM information_schema.TABLES', []),
            ],
        ):
            result = self.rehearse(*rules)
            self.assertEqual('ok', result.outcome, result)
            self.assertIn('3 of 4 tables', result.message)

    def test_tables_that_hang_do_not_hold_up_the_check(self):
        def slow():
            self.clock.seconds += 60
            return [(1, 1, 1)]

        result = self.rehearse((r'`app`\.', slow))
        self.assertEqual('ok', result.outcome)
        self.assertIn('1 of 4 tables', result.message)

    def test_a_statement_of_the_catalog_that_fails_is_named(self):
        for pattern in (
            'information_schema.VIEWS',
            'information_schema.ROUTINES',
            'mysql.func',
            'mysql.roles_mapping',
            'SHOW GRANTS FOR',
            'information_schema.COLUMNS',
        ):
            result = self.rehearse((pattern, fakes.refusal(1194, 'Table is marked as crashed')))
            self.assert_refused('FINGERPRINT_FAILED', result, 'marked as crashed')

    def test_a_catalog_that_is_held_at_this_time_is_a_warning(self):
        result = self.rehearse(('information_schema.TRIGGERS', fakes.refusal(1205, 'Lock wait')))
        self.assertEqual(('warning', 'DATABASE_BUSY'), (result.outcome, result.code))

    def test_an_account_that_has_gone_or_was_never_loaded_has_no_grants(self):
        result = self.rehearse(('SHOW GRANTS FOR', fakes.refusal(1141)))
        self.assertEqual('ok', result.outcome, result)

    def test_privileges_that_the_stop_needs_are_looked_for(self):
        for granted, lacking in (
            ('SELECT, PROCESS, SUPER', 'RELOAD, SHUTDOWN'),
            ('SELECT, PROCESS, RELOAD, SUPER', 'SHUTDOWN'),
            ('USAGE', 'PROCESS, RELOAD, SELECT, SHUTDOWN'),
        ):
            rule = ('SHOW GRANTS$', [(f'GRANT {granted} ON *.* TO `os_admin`@`localhost`',)])
            self.assert_refused('AGENT_PRIVILEGES', self.rehearse(rule), lacking)
        for rule in (
            [('GRANT SELECT, PROCESS, RELOAD, SHUTDOWN ON *.* TO `os_admin`@`localhost`',)],
            fakes.refusal(1290, '--skip-grant-tables'),
            [],
        ):
            self.assertEqual('ok', self.rehearse(('SHOW GRANTS$', rule)).outcome)

    def test_a_lost_connection_is_no_broken_table(self):
        for pattern in ('SHOW GRANTS$', 'mysql.func', '`app`.`plain`'):
            self.assertRaises(
                connection.SessionError, self.rehearse, (pattern, fakes.refusal(2013))
            )
