# SPDX-License-Identifier: Apache-2.0
"""Accounts that the image's entrypoint makes beside the customer's."""

import pathlib

import fixtures

from trove_upgrade.guestagent.datastores.base import Stashed
from trove_upgrade.guestagent.datastores.mysql_family.container import health_account
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent.datastores import fakes as family
from trove_upgrade.tests.unit.guestagent.datastores.container import test_driver

TROVES = {
    'Test': [
        'CMD',
        'healthcheck.sh',
        '--defaults-file',
        '/var/lib/mysql/data/.my-healthcheck.cnf',
        '--connect',
    ]
}
OTHER = {'Test': ['CMD', 'mysqladmin', 'ping']}
HOSTS = ('localhost', '127.0.0.1', '::1')
RESOLVES = ('skip_name_resolve', [(0,)])


def accounts(*hosts, secret='*AB'):
    return ('authentication_string FROM mysql.user', [(host, secret) for host in hosts])


class HealthAccountTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.account = health_account.HealthAccount(self.root / 'state/x.json', self.root)

    def dropped(self, *rules):
        session = family.Session(*rules)
        self.account.drop_listed(session)
        return [said for said in session.statements if said.startswith(('DROP', 'SET'))]


class TestWhetherTheyMayBeMade(HealthAccountTestCase):
    def test_where_the_data_has_the_file_nothing_is_made_and_all_is_as_trove_has_it(self):
        self.account.remember(['root@localhost', 'healthcheck@127.0.0.1'])
        (self.root / health_account.FILE).touch()
        self.assertTrue(self.account.may_be_made(OTHER))

    def test_only_a_health_check_that_reads_the_file_needs_them(self):
        self.account.remember(['root@localhost', 'healthcheck@%', 'healthchecker@localhost'])
        for check, needed in (
            (TROVES, True),
            ({'Test': ['CMD-SHELL', 'healthcheck.sh --connect']}, True),
            (OTHER, False),
            ({'Test': ['NONE']}, False),
            (None, False),
        ):
            self.assertEqual(needed, self.account.may_be_made(check), check)

    def test_never_where_the_customer_has_one_of_that_name(self):
        for host in HOSTS:
            self.account.remember([f'healthcheck@{host}'])
            self.assertFalse(self.account.may_be_made(TROVES), host)

    def test_what_an_agent_of_a_former_release_has_kept_leaves_it_to_trove(self):
        self.assertTrue(self.account.may_be_made(OTHER))
        self.account.path.parent.mkdir()
        self.account.path.write_text('[]')
        self.assertTrue(self.account.may_be_made(OTHER))


class TestThoseThatTroveLists(HealthAccountTestCase):
    def test_they_go_and_the_one_at_localhost_stays(self):
        self.account.remember(['app@%'])
        self.assertEqual(
            [
                'SET SESSION sql_log_bin = 0',
                "DROP USER healthcheck@'127.0.0.1'",
                "DROP USER healthcheck@'::1'",
            ],
            self.dropped(accounts(*HOSTS), RESOLVES),
        )
        self.assertEqual([], self.dropped(accounts('localhost'), RESOLVES))

    def test_what_was_there_before_stays(self):
        for host in HOSTS:
            self.account.remember([f'healthcheck@{host}'])
            self.assertEqual([], self.dropped(accounts(*HOSTS), RESOLVES))

    def test_one_with_another_password_is_not_the_entrypoint_s(self):
        self.account.remember([])
        rows = [('localhost', '*AB'), ('127.0.0.1', '*CD'), ('::1', '*AB'), ('%', '*AB')]
        self.assertEqual(
            ['SET SESSION sql_log_bin = 0', "DROP USER healthcheck@'::1'"],
            self.dropped(('authentication_string FROM mysql.user', rows), RESOLVES),
        )
        for secret in ('', None):
            self.assertEqual([], self.dropped(accounts(*HOSTS, secret=secret), RESOLVES))

    def test_all_stay_where_the_check_comes_by_tcp_and_the_server_resolves_no_names(self):
        self.account.remember([])
        of_the_project = (
            '[mariadb-client]\nport=3306\nsocket=/run/mysqld/mysqld.sock\n'
            'user=healthcheck\npassword=a%=#b\n'
        )
        for content, number, dropped in (
            (of_the_project, 0, 3),
            (of_the_project, 1, 3),
            ('[client]\nuser=healthcheck\nprotocol=tcp\nhost=127.0.0.1\n', 0, 3),
            ('[client]\nuser=healthcheck\nprotocol = TCP\nhost=127.0.0.1\n', 1, 0),
            ('no option file', 1, 0),
        ):
            (self.root / health_account.FILE).write_text(content)
            found = self.dropped(accounts(*HOSTS), ('skip_name_resolve', [(number,)]))
            self.assertEqual(dropped, len(found), content)
        (self.root / health_account.FILE).unlink()
        self.assertEqual([], self.dropped(accounts(*HOSTS), ('skip_name_resolve', [(1,)])))

    def test_a_server_that_says_no_does_not_end_an_upgrade_that_is_done(self):
        self.account.remember([])
        rule = ('DROP USER', family.refusal(1396))
        self.assertEqual(2, len(self.dropped(rule, accounts(*HOSTS), RESOLVES)))

    def test_nothing_remembered_nothing_dropped(self):
        self.assertEqual([], self.dropped(accounts(*HOSTS), RESOLVES))


class TestTheFinalContainer(test_driver.ContainerTestCase):
    """As the driver makes it, from the stop on the former root disk to the open database on the new
    one.
    """

    def opened(self, *before, health_check=TROVES, after=HOSTS):
        self.guest.trove_creates(Healthcheck=health_check)
        users = [(*name.rsplit('@', 1), '{"plugin": "p"}') for name in before]
        self.guest.session_rules = [
            ("TABLE_NAME = 'global_priv'", [(1,)]),
            ('mysql.global_priv', users),
        ]
        driver = self.restored()
        driver.start_isolated()
        said = []
        self.guest.session_rules = [
            ('DROP USER (.*)', lambda: said.append(1) or []),
            accounts(*after),
            RESOLVES,
        ]
        driver.open_for_clients()
        environment = self.database.definition['Config']['Env']
        return [item for item in environment if item.startswith('MARIADB_AUTO_UPGRADE')], len(said)

    def test_a_guest_of_trove_keeps_its_accounts(self):
        (self.guest.volume / 'data' / health_account.FILE).touch()
        names = [f'healthcheck@{host}' for host in HOSTS]
        self.assertEqual((['MARIADB_AUTO_UPGRADE=1'], 0), self.opened('app@%', *names))

    def test_accounts_that_were_not_there_do_not_come_onto_the_customer_s_list(self):
        self.assertEqual((['MARIADB_AUTO_UPGRADE=1'], 2), self.opened('app@%'))

    def test_none_is_made_where_nothing_needs_them(self):
        self.assertEqual(
            (['MARIADB_AUTO_UPGRADE='], 0), self.opened('app@%', health_check=OTHER, after=())
        )

    def test_the_customer_s_own_is_not_touched(self):
        self.assertEqual(
            (['MARIADB_AUTO_UPGRADE='], 0), self.opened('app@%', 'healthcheck@127.0.0.1')
        )

    def test_what_was_remembered_comes_back_on_the_new_root_disk(self):
        driver = self.stopped()
        kept = [str(path) for path in driver.stash_roots()]
        self.assertEqual(
            kept,
            driver.restore_paths(
                Stashed(paths=kept, files=kept, links={}, content=lambda _name: b'')
            ),
        )
        self.assertIn('database-health-accounts.json', kept[-1])
