# SPDX-License-Identifier: Apache-2.0
"""Definitions and accounts across a server's upgrade: what counts, and what changes by itself."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as some

from trove_upgrade.guestagent.datastores import base as datastore
from trove_upgrade.guestagent.datastores.mysql_family import (
    aspects,
    comparison,
    connection,
    definitions,
)
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent.datastores import fakes

GONE = (
    'DB2,MAXDB,MSSQL,MYSQL323,MYSQL40,NO_AUTO_CREATE_USER,NO_FIELD_OPTIONS,NO_KEY_OPTIONS,'
    'NO_TABLE_OPTIONS,ORACLE,POSTGRESQL'
)
KEPT = ('ANSI_QUOTES', 'PIPES_AS_CONCAT', 'STRICT_TRANS_TABLES', 'NO_ZERO_DATE', 'IGNORE_SPACE')
#: A row of each kind as information_schema has it: schema, name, and what defines it.
ROWS = {
    'view': ('app', 'v', 'select 1', 'NONE', 'root@localhost', 'DEFINER'),
    'routine': ('app', 'p (procedure)', 'SELECT 1', 'NO', 'CONTAINS SQL', 'DEFINER', 'd@%', ''),
    'parameter': ('app', 'p procedure 1', 'n', 'IN', 'int', None, 10, 0, 'int(11)'),
    'trigger': ('app', 't', 'orders', 'INSERT', 'BEFORE', 'SET NEW.a = 1', 'd@%', ''),
    'event': ('app', 'e', 'DO 1', 'RECURRING', None, '1', 'DAY', 'ENABLED', 'd@%', ''),
    'foreign key': ('app', 'c.k', 'orders', 'RESTRICT', 'CASCADE'),
}
TABLES = {
    'view': 'VIEWS',
    'routine': 'ROUTINES',
    'parameter': 'PARAMETERS',
    'trigger': 'TRIGGERS',
    'event': 'EVENTS',
    'foreign key': 'REFERENTIAL_CONSTRAINTS',
}


def fingerprint(version, objects, users=(), grants=None):
    return datastore.Fingerprint(
        server_version=version,
        taken_at='',
        tables={},
        counted_only_by_file=(),
        users=users,
        grants=grants or {},
        objects=objects,
        settings={},
    )


def objects(**changes):
    """Objects as they are read of a server that has one object of each kind; `changes` has other
    rows, by kind.
    """
    rows = {**ROWS, **{kind.replace('_', ' '): row for kind, row in changes.items()}}
    return definitions.read(
        fakes.Session(
            *((f'information_schema.{TABLES[kind]}', [row]) for kind, row in rows.items())
        )
    )


def row(kind, position, value):
    """The row of `kind` with one column changed; -1 is the last."""
    changed = list(ROWS[kind])
    changed[position] = value
    return tuple(changed)


class AspectsTestCase(base.TestCase):
    def missing(self, before, after, former='5.7.44', present='8.0.40'):
        found = comparison.compare(fingerprint(former, before), fingerprint(present, after))
        return list(found.missing)


class TestSqlModes(AspectsTestCase):
    def test_flags_that_mysql_8_has_no_more_are_no_difference_in_any_kind_of_stored_program(self):
        for kind in ('routine', 'trigger', 'event'):
            before = objects(**{kind: row(kind, -1, f'ANSI_QUOTES,{GONE},STRICT_TRANS_TABLES')})
            after = objects(**{kind: row(kind, -1, 'ANSI_QUOTES,STRICT_TRANS_TABLES')})
            self.assertEqual([], self.missing(before, after))

    def test_a_flag_that_the_target_has_counts_beside_one_that_it_has_not(self):
        for kind, name in (('routine', 'p (procedure)'), ('trigger', 't'), ('event', 'e')):
            before = objects(**{kind: row(kind, -1, 'ANSI_QUOTES,NO_AUTO_CREATE_USER')})
            for after in ('', 'NO_AUTO_CREATE_USER', 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'):
                self.assertEqual(
                    [f'{kind} app.{name} has another sql_mode now'],
                    self.missing(before, objects(**{kind: row(kind, -1, after)})),
                )

    def test_the_same_flags_count_where_the_target_has_them(self):
        for former, present in (
            ('5.7.30', '5.7.44'),
            ('5.6.24', '5.7.44'),
            ('10.11.14-MariaDB', '11.8.6-MariaDB-0+deb13u1'),
        ):
            for flag in ('NO_AUTO_CREATE_USER', 'ORACLE'):
                self.assertEqual(
                    ['routine app.p (procedure) has another sql_mode now'],
                    self.missing(
                        objects(routine=row('routine', -1, flag)), objects(), former, present
                    ),
                )

    @given(
        some.sets(some.sampled_from(GONE.split(','))),
        some.sets(some.sampled_from(KEPT)),
        some.sets(some.sampled_from(KEPT)),
    )
    def test_only_flags_of_the_target_are_compared(self, gone, kept, others):
        before, after = ','.join(sorted(gone | kept)), ','.join(sorted(others))
        found = self.missing(
            objects(routine=row('routine', -1, before)), objects(routine=row('routine', -1, after))
        )
        self.assertEqual(kept == others, not found)


class TestWordsThatChangeByThemselves(AspectsTestCase):
    def test_names_of_the_character_set_in_views(self):
        for former, present in (
            (
                "select convert(`a` using utf8) AS `a`, _utf8'x'",
                "select convert(`a` using utf8mb3) AS `a`, _utf8mb3'x'",
            ),
            ('select `a` collate utf8_bin', 'select `a` collate utf8mb3_bin'),
        ):
            before, after = (objects(view=row('view', 2, text)) for text in (former, present))
            self.assertEqual([], self.missing(before, after))
        before, after = (
            objects(view=row('view', 2, f'select `a` collate {name}'))
            for name in ('utf8_bin', 'utf8mb4_bin')
        )
        self.assertEqual(['view app.v has another definition now'], self.missing(before, after))

    def test_display_widths_of_parameters(self):
        for former, present in (
            ('int(11)', 'int'),
            ('bigint(20) unsigned', 'bigint unsigned'),
            ('tinyint(4)', 'tinyint'),
            ('year(4)', 'year'),
            ('int(5) unsigned zerofill', 'int(5) unsigned zerofill'),
            ('varchar(10) CHARSET utf8', 'varchar(10)'),
            ('datetime /* mariadb-5.3 */', 'datetime'),
        ):
            before, after = (
                objects(parameter=row('parameter', -1, text)) for text in (former, present)
            )
            self.assertEqual([], self.missing(before, after))

    def test_the_type_of_a_parameter_counts(self):
        for former, present in (
            ('int(11)', 'bigint'),
            ('int(10) unsigned', 'int'),
            ('decimal(5,2)', 'decimal(5,3)'),
            ('varchar(10)', 'varchar(11)'),
            ('int(5) unsigned zerofill', 'int(6) unsigned zerofill'),
            ("enum('a','b')", "enum('a','B')"),
        ):
            before, after = (
                objects(parameter=row('parameter', -1, text)) for text in (former, present)
            )
            self.assertEqual(
                ['parameter app.p procedure 1 has another definition now'],
                self.missing(before, after),
            )

    def test_rules_of_foreign_keys_and_states_of_events_that_have_two_names(self):
        before = objects(
            foreign_key=row('foreign key', 3, 'RESTRICT'),
            event=row('event', 7, 'SLAVESIDE_DISABLED'),
        )
        after = objects(
            foreign_key=row('foreign key', 3, 'NO ACTION'),
            event=row('event', 7, 'REPLICA_SIDE_DISABLED'),
        )
        self.assertEqual([], self.missing(before, after, '8.0.40', '8.4.5'))
        other = objects(
            foreign_key=row('foreign key', 3, 'CASCADE'), event=row('event', 7, 'DISABLED')
        )
        self.assertEqual(2, len(self.missing(before, other, '8.0.40', '8.4.5')))

    def test_anything_else_in_a_definition_counts(self):
        for kind, columns in ROWS.items():
            for position in range(2, len(columns) - (kind == 'parameter') * 5):
                after = objects(**{kind.replace(' ', '_'): row(kind, position, 'other')})
                self.assertEqual(1, len(self.missing(objects(), after)), (kind, position))

    def test_a_server_without_a_table_of_loadable_functions_has_none(self):
        missing = fakes.Session(('mysql.func', fakes.refusal(1146)))
        self.assertEqual({}, definitions.read(missing))
        broken = fakes.Session(('mysql.func', fakes.refusal(1194)))
        self.assertRaises(connection.SessionError, definitions.read, broken)


class TestAccountNames(base.TestCase):
    def compare(self, before, after, version='10.2.44-MariaDB'):
        def taken(server_version, name):
            key, value = aspects.entry('account', name, {'lock': 'x'})
            found = {key: value, f'account:{name}': server_version}
            grants = {name: [f'GRANT SELECT ON `app`.* TO {name}']}
            return fingerprint(server_version, found, (name,), grants)

        return list(
            comparison.compare(taken(version, before), taken('10.11.14-MariaDB', after)).missing
        )

    def test_hosts_in_capitals_become_small_and_users_do_not(self):
        self.assertEqual([], self.compare('u@Example.COM', 'u@example.com'))
        self.assertEqual(['account U@%'], [found[:11] for found in self.compare('U@%', 'u@%')])

    def test_a_role_of_the_former_table_is_no_account_without_a_host(self):
        self.assertEqual([], self.compare('reporting@', 'reporting'))


class TestAccountsOfTheServer(base.TestCase):
    def taken(self, name, version, plugin, granted):
        key, value = aspects.entry('account', name, {'authentication': plugin})
        found = {key: value, f'account:{name}': plugin}
        return fingerprint(version, found, (name,), {name: [f'GRANT {granted} ON *.* TO {name}']})

    def compare(self, name):
        before = self.taken(name, '8.0.40', 'mysql_native_password', 'SUPER')
        after = self.taken(name, '8.4.5', 'caching_sha2_password', 'SHUTDOWN')
        return list(comparison.compare(before, after).missing)

    def test_what_a_server_makes_of_its_own_accounts_is_no_difference(self):
        for name in ('mysql.sys', 'mysql.session', 'mysql.infoschema', 'mariadb.sys'):
            self.assertEqual([], self.compare(f'{name}@localhost'))
            self.assertEqual(2, len(self.compare(f'{name}@%')))
        self.assertEqual(2, len(self.compare('root@localhost')))


class TestAgentsOfFormerReleases(AspectsTestCase):
    """They keep and compare digests of what is shown, and call gone what they do not find."""

    def former(self, found):
        return {key: value for key, value in found.items() if not aspects.is_one(key)}

    def test_what_they_have_kept_is_compared_as_they_did(self):
        before = self.former(objects())
        versions = ('10.11.14-MariaDB', '11.8.6-MariaDB')
        self.assertEqual([], self.missing(before, objects(), *versions))
        self.assertEqual(
            ['view app.v has another definition now'],
            self.missing(before, objects(view=row('view', 2, 'select 2')), *versions),
        )

    def test_what_they_have_kept_is_not_compared_where_the_server_shows_it_in_another_way(self):
        before = self.former(objects(routine=row('routine', -1, GONE)))
        self.assertEqual([], self.missing(before, objects()))
        gone = {key: value for key, value in objects().items() if 'routine' not in key}
        self.assertEqual(['routine app.p (procedure) is gone'], self.missing(before, gone))
        accounts = ({'account:u@%': 'of columns'}, {'account:u@%': 'of JSON'})
        for former, present, found in (
            ('10.3.39-MariaDB', '10.11.14-MariaDB', []),
            ('5.6.24', '5.7.44', []),
            (
                '10.4.1-MariaDB',
                '10.11.14-MariaDB',
                ['account u@% authenticates in another way now'],
            ),
            ('5.7.44', '5.7.45', ['account u@% authenticates in another way now']),
        ):
            self.assertEqual(found, self.missing(*accounts, former, present))

    def test_what_is_new_is_written_where_they_pass_over_it(self):
        """As `compare` of the first release read the keys."""
        new = set(objects()) - set(self.former(objects()))
        self.assertEqual({'account'}, {key.partition(':')[0] for key in new})
        self.assertEqual(len(ROWS), len(new))

    def test_an_aspect_that_one_agent_does_not_know_is_not_compared(self):
        before, after = (
            dict([aspects.entry('account', 'u@%', found)])
            for found in ({'lock': '1', 'limits': '2'}, {'lock': '1', 'rank': '3'})
        )
        both = [{**found, 'account:u@%': 'x'} for found in (before, after)]
        self.assertEqual([], self.missing(*both))
        other = {**dict([aspects.entry('account', 'u@%', {'lock': '2'})]), 'account:u@%': 'x'}
        self.assertEqual(['account u@% has another lock now'], self.missing(both[0], other))


class TestDataclass(base.TestCase):
    def test_a_fingerprint_has_the_fields_that_agents_of_former_releases_read(self):
        """They read a fingerprint of an unknown field not at all."""
        self.assertEqual(
            {
                'server_version',
                'taken_at',
                'tables',
                'counted_only_by_file',
                'users',
                'grants',
                'objects',
                'settings',
            },
            {field.name for field in dataclasses.fields(datastore.Fingerprint)},
        )
