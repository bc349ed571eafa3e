# SPDX-License-Identifier: Apache-2.0
"""Accounts of one server in its two tables.

The rows of `FORMER` and `PRESENT` were taken from real servers: MySQL 5.6.24, and MariaDB 10.11.19
after mariadb-upgrade had moved that server's accounts.
"""

import json

from hypothesis import given
from hypothesis import strategies as some

from trove_upgrade.guestagent.datastores.mysql_family import accounts, connection, dialect
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent.datastores import fakes

HASH = '*B69027D44F6E5EDC07F1AEAD1477967B16F28227'
OLD_HASH = '606717496665bcba'
COLUMNS = {
    'password': '',
    'ssl_type': '',
    'ssl_cipher': b'',
    'x509_issuer': b'',
    'x509_subject': b'',
    'max_questions': 0,
    'max_updates': 0,
    'max_connections': 0,
    'max_user_connections': 0,
    'plugin': 'mysql_native_password',
    'authentication_string': '',
    'password_expired': 'N',
}
#: Of MariaDB 10.1 to 10.3 besides.
MARIADB_COLUMNS = {'is_role': 'N', 'default_role': '', 'max_statement_time': '0.000000'}
MOVED = {
    'access': 0,
    'ssl_type': 0,
    'ssl_cipher': '',
    'x509_issuer': '',
    'x509_subject': '',
    'max_questions': 0,
    'max_updates': 0,
    'max_connections': 0,
    'max_user_connections': 0,
    'max_statement_time': 0.0,
    'plugin': 'mysql_native_password',
    'authentication_string': '',
    'password_last_changed': 1795873115,
    'password_lifetime': -1,
    'account_locked': False,
    'default_role': '',
    'is_role': False,
}
FORMER = {
    ('', 'localhost'): {'authentication_string': None},
    ('root', 'localhost'): {},
    ('native', '%'): {'password': HASH},
    ('before_plugins', '%'): {'password': HASH, 'plugin': ''},
    ('no_password', '%'): {'plugin': ''},
    ('old', '%'): {'password': OLD_HASH, 'plugin': ''},
    ('old_named', '%'): {'password': OLD_HASH, 'plugin': 'mysql_old_password'},
    ('invalid', '%'): {'password': 'nonsense', 'plugin': ''},
    ('sha', '%'): {'plugin': 'sha256_password'},
    ('expired', '%'): {'password': HASH, 'password_expired': 'Y'},
    ('any_tls', '%'): {'password': HASH, 'ssl_type': 'ANY'},
    ('x509', '%'): {'password': HASH, 'ssl_type': 'X509'},
    ('issuer', '%'): {
        'password': HASH,
        'ssl_type': 'SPECIFIED',
        'ssl_cipher': b'EDH-RSA-DES-CBC3-SHA',
        'x509_issuer': b'/C=FI/O=MySQL',
        'x509_subject': b'/CN=x',
    },
    ('limited', '%'): {
        'password': HASH,
        'max_questions': 5,
        'max_updates': 6,
        'max_connections': 7,
        'max_user_connections': 8,
    },
}
PRESENT = {
    ('', 'localhost'): {},
    ('root', 'localhost'): {'access': 1073741823},
    ('native', '%'): {'authentication_string': HASH},
    ('before_plugins', '%'): {'authentication_string': HASH},
    ('no_password', '%'): {},
    ('old', '%'): {'authentication_string': OLD_HASH, 'plugin': 'mysql_old_password'},
    ('old_named', '%'): {'authentication_string': OLD_HASH, 'plugin': 'mysql_old_password'},
    ('invalid', '%'): {'authentication_string': 'nonsense'},
    ('sha', '%'): {'plugin': 'sha256_password'},
    ('expired', '%'): {'authentication_string': HASH, 'password_last_changed': 0},
    ('any_tls', '%'): {'authentication_string': HASH, 'ssl_type': 1},
    ('x509', '%'): {'authentication_string': HASH, 'ssl_type': 2},
    ('issuer', '%'): {
        'authentication_string': HASH,
        'ssl_type': 3,
        'ssl_cipher': 'EDH-RSA-DES-CBC3-SHA',
        'x509_issuer': '/C=FI/O=MySQL',
        'x509_subject': '/CN=x',
    },
    ('limited', '%'): {
        'authentication_string': HASH,
        'max_questions': 5,
        'max_updates': 6,
        'max_connections': 7,
        'max_user_connections': 8,
    },
}


def of_columns(rows, columns=COLUMNS, server=dialect.MariaDB):
    """Accounts of a server that has these columns in mysql.user."""
    wanted = [name for name in accounts._COLUMNS if name in columns]
    table = [
        (user, host, *({**columns, **row}[name] for name in wanted))
        for (user, host), row in rows.items()
    ]
    session = fakes.Session(
        ("TABLE_NAME = 'global_priv'", [(0,)]),
        ('SHOW COLUMNS', [(name.title(),) for name in ('host', 'user', *columns)]),
        ('FROM mysql.user', table),
    )
    return {account.name: account for account in server().accounts(session)}


def of_json(rows, moved=MOVED):
    """Accounts of a server that has mysql.global_priv."""
    session = fakes.Session(
        ("TABLE_NAME = 'global_priv'", [(1,)]),
        (
            'mysql.global_priv',
            [(user, host, json.dumps({**moved, **row})) for (user, host), row in rows.items()],
        ),
    )
    return {account.name: account for account in dialect.MariaDB().accounts(session)}


def changed(before, after):
    """Names of the aspects that are others."""
    return {
        aspect for aspect in before.aspects if before.aspects[aspect] != after.aspects.get(aspect)
    }


class TestOneFormForBothTables(base.TestCase):
    def test_what_mariadb_upgrade_has_moved_is_what_it_was(self):
        former, present = of_columns(FORMER), of_json(PRESENT)
        self.assertEqual(former.keys(), present.keys())
        for name in former:
            self.assertEqual(set(), changed(former[name], present[name]), name)

    def test_columns_that_mariadb_has_and_mysql_has_not(self):
        columns = {**COLUMNS, **MARIADB_COLUMNS}
        former = of_columns(
            {
                ('report', ''): {'is_role': 'Y', 'plugin': ''},
                ('user', '%'): {'default_role': 'report', 'max_statement_time': '1.500000'},
                ('socket', 'localhost'): {'plugin': 'unix_socket'},
                ('ed', '%'): {'plugin': 'ed25519', 'authentication_string': 'x'},
            },
            columns,
        )
        present = of_json(
            {
                ('report', ''): {'is_role': True},
                ('user', '%'): {'default_role': 'report', 'max_statement_time': 1.5},
                ('socket', 'localhost'): {'plugin': 'unix_socket'},
                ('ed', '%'): {'plugin': 'ed25519', 'authentication_string': 'x'},
            }
        )
        self.assertEqual({'report', 'user@%', 'socket@localhost', 'ed@%'}, former.keys())
        for name in former:
            self.assertEqual(set(), changed(former[name], present[name]), name)

    def test_what_a_server_leaves_out_of_its_json_is_the_default(self):
        full = of_json({('u', '%'): {}})['u@%']
        sparse = of_json(
            {('u', '%'): {'plugin': 'mysql_native_password', 'version_id': 101119}}, moved={}
        )
        self.assertEqual(set(), changed(full, sparse['u@%']))

    def test_each_real_difference_is_found_in_whichever_table(self):
        for aspect, row, entry in (
            ('authentication', {'password': OLD_HASH}, {'authentication_string': OLD_HASH}),
            ('authentication', {'plugin': 'unix_socket'}, {'plugin': 'unix_socket'}),
            ('TLS requirement', {'ssl_type': 'X509'}, {'ssl_type': 2}),
            ('TLS requirement', {'x509_issuer': b'/CN=y'}, {'x509_issuer': '/CN=y'}),
            ('resource limit', {'max_questions': 1}, {'max_questions': 1}),
            ('password expiry', {'password_expired': 'Y'}, {'password_last_changed': 0}),
            ('password expiry', {'password_lifetime': 0}, {'password_lifetime': 0}),
            ('password expiry', {'password_lifetime': 90}, {'password_lifetime': 90}),
            ('lock', {'account_locked': 'Y'}, {'account_locked': True}),
            ('default role', {'default_role': 'r'}, {'default_role': 'r'}),
        ):
            columns = {
                **COLUMNS,
                **MARIADB_COLUMNS,
                'password_lifetime': None,
                'account_locked': 'N',
            }
            former = of_columns({('u', '%'): {}, ('v', '%'): row}, columns)
            present = of_json({('u', '%'): {}, ('v', '%'): entry})
            self.assertEqual({aspect}, changed(former['u@%'], former['v@%']), row)
            self.assertEqual({aspect}, changed(present['u@%'], present['v@%']), entry)
            self.assertEqual({aspect}, changed(former['u@%'], present['v@%']), entry)
            self.assertEqual(set(), changed(former['v@%'], present['v@%']), entry)

    def test_ways_in_that_are_alternatives_count_in_their_order(self):
        def with_ways(*ways):
            return of_json({('u', '%'): {'authentication_string': HASH, 'auth_or': list(ways)}})[
                'u@%'
            ]

        socket = {'plugin': 'unix_socket'}
        both = with_ways({}, socket)
        self.assertEqual(
            set(), changed(both, with_ways({}, {**socket, 'authentication_string': ''}))
        )
        alone = of_json({('u', '%'): {'authentication_string': HASH}})['u@%']
        for other in (
            with_ways(socket, {}),
            with_ways({}),
            alone,
            with_ways({}, {'plugin': 'pam'}),
        ):
            self.assertEqual({'authentication'}, changed(both, other))
        self.assertEqual(set(), changed(alone, with_ways({})))

    def test_no_hash_can_be_read_from_an_aspect(self):
        for account in (*of_columns(FORMER).values(), *of_json(PRESENT).values()):
            self.assertNotIn('B69027', json.dumps(account.aspects))

    @given(some.text(max_size=40), some.sampled_from(['', 'mysql_native_password']))
    def test_any_text_in_the_column_of_hashes_moves_as_the_script_moves_it(self, text, plugin):
        """Source: mysql_system_tables_fix.sql."""
        former = of_columns({('u', '%'): {'password': text, 'plugin': plugin}})
        moved = plugin or ('mysql_old_password' if len(text) == 16 else 'mysql_native_password')
        present = of_json({('u', '%'): {'plugin': moved, 'authentication_string': text}})
        self.assertEqual(set(), changed(former['u@%'], present['u@%']))


class TestDigestsOfFormerReleases(base.TestCase):
    """Recorded of the first release, whose agents compare them."""

    def test_they_are_what_they_were(self):
        row = {
            ('u', '%'): {
                'plugin': 'p',
                'authentication_string': 'a',
                'password': 'b',
                'ssl_type': 'X509',
            }
        }
        self.assertEqual(
            'e2e096081def5fb641c4508cf6f090c6f9816d0cd8ce54b38aa0066296cbee18',
            of_columns(row, server=dialect.MySQL)['u@%'].digest,
        )
        entry = (
            '{"access":0,"plugin":"p","authentication_string":"a","max_questions":5,'
            '"max_updates":6,"ssl_type":2,"account_locked":true,"default_role":"r"}'
        )
        session = fakes.Session(
            ("TABLE_NAME = 'global_priv'", [(1,)]),
            ('mysql.roles_mapping', [('u%', 'r')]),
            ('mysql.global_priv', [('u', '%', entry)]),
        )
        self.assertEqual(
            '5135d9ef490c4489b37f7b29b1266305c22ca02e3c4e170b5df1e4fbeea9dbeb',
            dialect.MariaDB().accounts(session)[0].digest,
        )


class TestMySQL(base.TestCase):
    def account(self, **row):
        columns = {
            **{key: value for key, value in COLUMNS.items() if key != 'password'},
            'account_locked': 'N',
            'password_lifetime': None,
            'password_reuse_history': None,
            'password_reuse_time': None,
            'password_require_current': None,
            'user_attributes': None,
        }
        return of_columns({('u', '%'): row}, columns, dialect.MySQL)['u@%']

    def test_what_5_6_kept_in_two_columns_5_7_keeps_in_one(self):
        former = of_columns({('u', '%'): {'password': HASH, 'plugin': ''}}, server=dialect.MySQL)
        self.assertEqual(set(), changed(former['u@%'], self.account(authentication_string=HASH)))

    def test_default_roles_are_in_a_table_of_their_own_since_8_0(self):
        def with_roles(answer):
            session = fakes.Session(
                ('SHOW COLUMNS', [('User',), ('plugin',)]),
                ('mysql.default_roles', answer),
                ('FROM mysql.user', [('u', '%', 'p')]),
            )
            return dialect.MySQL().accounts(session)[0]

        none, one = with_roles([]), with_roles([('u', '%', 'r', '%'), ('v', '%', 's', '%')])
        two = with_roles([('u', '%', 'r', '%'), ('u', '%', 's', '%')])
        for former, present, found in (
            (none, one, {'default role'}),
            (one, two, {'default role'}),
            (two, two, set()),
            (with_roles(fakes.refusal(1146)), none, set()),
        ):
            self.assertEqual(found, changed(former, present))
        broken = fakes.refusal(1194)
        self.assertRaises(connection.SessionError, with_roles, broken)

    def test_rules_for_passwords_and_second_passwords_count(self):
        second = '{"additional_password": "$A$005$x", "metadata": {"a": 1}}'
        self.assertEqual(
            {'set of password rules'},
            changed(self.account(), self.account(password_reuse_history=3)),
        )
        self.assertEqual(
            {'set of attributes'}, changed(self.account(), self.account(user_attributes=second))
        )
        reordered = json.dumps(dict(reversed(json.loads(second).items())))
        self.assertEqual(
            set(),
            changed(self.account(user_attributes=second), self.account(user_attributes=reordered)),
        )
