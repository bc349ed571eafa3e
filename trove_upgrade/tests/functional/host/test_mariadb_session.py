# SPDX-License-Identifier: Apache-2.0
"""A session of the agent's with a real MariaDB whose tenant has set what new sessions begin
with.
"""

import shutil
import subprocess

from trove_upgrade.guestagent.datastores.mysql_family import connection
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import private_mariadb

#: What each makes of the agent's statements, were they not its own: other answers, fewer rows, no
#: answer.
_CROOKED = {
    'sql_mode': "'ANSI_QUOTES,ORACLE'",
    'sql_select_limit': '1',
    'sql_safe_updates': '1',
    'sql_auto_is_null': '1',
    'sql_quote_show_create': '0',
    'autocommit': '0',
    'completion_type': '2',
    'group_concat_max_len': '4',
    'max_sort_length': '64',
    'lc_messages': "'de_DE'",
    'wait_timeout': '1',
    'max_statement_time': '0.001',
    'system_versioning_asof': "'2000-01-01'",
    'tx_read_only': '1',
    'character_set_client': 'latin1',
    'character_set_results': 'latin1',
}
_ROGUE = 'CREATE TEMPORARY TABLE shop.orders (id INT); USE shop'


class TestSession(base.TestCase):
    def setUp(self):
        super().setUp()
        self.root = self.useFixture(private_mariadb.Root())
        self.root.service.start('mariadb')
        self.root.sql(
            'CREATE DATABASE shop',
            'CREATE TABLE shop.orders (id INT) WITH SYSTEM VERSIONING',
            'INSERT INTO shop.orders VALUES (1), (2), (3)',
        )

    def session(self, user='root', password=''):
        found = connection.open_session(
            connection.Credentials(f'{self.root.path}/run/mysqld/mysqld.sock', user, password), 30
        )
        self.addCleanup(found.close)
        return found

    def test_what_the_tenant_has_set_for_new_sessions_changes_no_answer(self):
        names = ', '.join(f'@@session.{name}' for name in _CROOKED)
        straight = self.session().rows(f'SELECT {names}')
        for name, value in _CROOKED.items():
            self.root.sql(f'SET GLOBAL {name} = {value}')
        crooked = self.session()
        self.assertEqual(straight, crooked.rows(f'SELECT {names}'))
        self.assertEqual([(1,), (2,), (3,)], crooked.rows('SELECT id FROM shop.orders ORDER BY id'))
        crooked.rows('INSERT INTO shop.orders VALUES (4)')
        self.assertEqual([(4,)], self.session().rows('SELECT COUNT(*) FROM shop.orders'))

    def test_statements_that_the_server_runs_for_an_account_without_privileges_leave_nothing_behind(
        self,
    ):
        self.root.sql(
            "CREATE USER poor@localhost IDENTIFIED BY 'p'",
            'GRANT ALL ON shop.* TO poor@localhost',
            f"SET GLOBAL init_connect = '{_ROGUE}'",
        )
        poor = self.session('poor', 'p')
        self.assertEqual([(3,)], poor.rows('SELECT COUNT(*) FROM shop.orders'))
        self.assertEqual([('information_schema',)], poor.rows('SELECT DATABASE()'))


class TestTLS(base.TestCase):
    """A server that offers TLS, as MariaDB 11.4 and newer do without being asked."""

    def setUp(self):
        super().setUp()
        self.root = self.useFixture(private_mariadb.Root())
        keys = self.root.path / 'scratch'
        subprocess.run(
            [
                *('openssl', 'req', '-x509', '-nodes', '-newkey', 'rsa:2048'),
                *('-subj', '/CN=db', '-days', '1'),
                *('-keyout', str(keys / 'key.pem'), '-out', str(keys / 'cert.pem')),
            ],
            check=True,
            capture_output=True,
        )
        shutil.chown(keys / 'key.pem', private_mariadb.ACCOUNT.pw_uid)
        self.options = f'[mysqld]\nssl-cert = {keys}/cert.pem\nssl-key = {keys}/key.pem\n'

    def start(self, more=''):
        (self.root.path / 'etc/mysql/conf.d/tls.cnf').write_text(self.options + more)
        self.root.service.start('mariadb')

    def open(self, user):
        socket = f'{self.root.path}/run/mysqld/mysqld.sock'
        return connection.open_session(connection.Credentials(socket, user, 'p'), 30)

    def cipher_of(self, user, password=''):
        ((_name, found),) = self.root.sql(
            "SHOW SESSION STATUS LIKE 'Ssl_cipher'", user=user, password=password
        )
        return found

    def test_the_socket_is_not_encrypted(self):
        self.start()
        self.assertEqual([('YES',)], self.root.sql('SELECT @@have_ssl'))
        self.assertEqual('', self.cipher_of('root'))

    def test_an_account_that_requires_it_has_it(self):
        self.start()
        self.root.sql("CREATE USER strict@localhost IDENTIFIED BY 'p' REQUIRE SSL")
        self.assertNotEqual('', self.cipher_of('strict', 'p'))

    def test_so_has_one_that_logs_in_by_the_socket(self):
        self.start()
        self.root.sql('ALTER USER root@localhost REQUIRE SSL')
        self.assertNotEqual('', self.cipher_of('root'))

    def test_what_else_is_wrong_with_it_is_told(self):
        self.start()
        self.root.sql(
            "CREATE USER locked@localhost IDENTIFIED BY 'p' REQUIRE SSL ACCOUNT LOCK",
            "CREATE USER one@localhost IDENTIFIED BY 'p' REQUIRE SSL "
            'WITH MAX_CONNECTIONS_PER_HOUR 1',
        )
        error = self.assertRaises(connection.LoginRefused, self.cipher_of, 'locked', 'p')
        self.assertIn('locked', error.message)
        self.open('one').close()
        error = self.assertRaises(connection.NoAnswer, self.open, 'one')
        self.assertNotIsInstance(error, connection.LoginRefused)

    def test_an_account_that_requires_it_of_a_server_without_is_denied(self):
        self.options = ''
        self.start()
        self.root.sql("CREATE USER strict@localhost IDENTIFIED BY 'p' REQUIRE SSL")
        error = self.assertRaises(connection.LoginRefused, self.cipher_of, 'strict', 'p')
        self.assertIn('Access denied', error.message)

    def test_a_server_that_requires_secure_connections_takes_the_socket_for_one(self):
        self.start('require_secure_transport = ON\n')
        self.assertEqual('', self.cipher_of('root'))

    def test_a_refusal_is_told_as_such(self):
        self.start()
        self.root.sql("CREATE USER app@localhost IDENTIFIED BY 'p'")
        error = self.assertRaises(connection.LoginRefused, self.cipher_of, 'app', 'wrong')
        self.assertIn('Access denied', error.message)
