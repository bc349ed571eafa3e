# SPDX-License-Identifier: Apache-2.0
"""Opening of a database for clients: a real server, kept from them by real packet filters in a
network of the test's own.
"""

import socket
import subprocess

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.guestagent.datastores import factory
from trove_upgrade.guestagent.datastores.mysql_family import isolated, socket_place
from trove_upgrade.guestagent.datastores.mysql_family.engines.mariadb import MariaDB
from trove_upgrade.guestagent.datastores.mysql_family.hosts.host import HostPorts
from trove_upgrade.guestagent.machine import packet_filter
from trove_upgrade.guestagent.machine.commands import Completed, SystemCommands
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import private_mariadb, private_network
from trove_upgrade.tests.functional.host.test_mariadb_driver import MariaDBTestCase
from trove_upgrade.waiting import wait_until

#: A client gives up so soon; nothing is waited for where the port is open.
_SECONDS = 0.3
#: Rows that only a running event adds.
_EVENT = (
    'CREATE DATABASE app',
    'CREATE TABLE app.ticks (id INT PRIMARY KEY AUTO_INCREMENT)',
    'CREATE EVENT app.tick ON SCHEDULE EVERY 1 SECOND DO INSERT INTO app.ticks () VALUES ()',
)

_PYTHON = '/usr/bin/python3'  #: one that every user may run
_LISTEN = (
    'import socket, sys; s = socket.create_server(("127.0.0.1", int(sys.argv[1]))); '
    'print("listens", flush=True); sys.stdin.read()'
)
_CONNECT = (
    'import socket, sys; '
    'socket.create_connection(("127.0.0.1", int(sys.argv[1])), float(sys.argv[2])).close()'
)


class Without(SystemCommands):
    """A guest that lacks some programs."""

    def __init__(self, *names):
        self.names = names

    def run(self, argv, timeout_seconds=60):
        if argv[0] in self.names:
            return Completed(127, '', f'{argv[0]}: command not found')
        return super().run(argv, timeout_seconds)


class OlderIptables(Without):
    """A guest whose iptables is of the older kind, and an agent that has the capabilities of its
    unit alone.
    """

    def run(self, argv, timeout_seconds=60):
        if argv[0] in {'iptables', 'ip6tables'}:
            program = f'{argv[0]}-legacy'
            argv = ['setpriv', '--bounding-set=-net_raw', program, *argv[1:]]
        return super().run(argv, timeout_seconds)


class OpeningTestCase(MariaDBTestCase):
    def setUp(self):
        self.useFixture(private_network.PrivateNetwork())
        super().setUp()
        my_cnf = self.root.path / 'etc/mysql/my.cnf'
        my_cnf.write_text(my_cnf.read_text().replace('= 127.0.0.1', '= *'))
        self.packets = packet_filter.Either(SystemCommands())
        self.driver = self.another_agent()

    def another_agent(self):
        """The driver as an agent has it that has just been started."""
        return factory.as_service(
            MariaDB(),
            self.root.context,
            self.service,
            HostPorts(start_seconds=private_mariadb.DEADLINE_SECONDS, proc=self.root.path / 'proc'),
            user=private_mariadb.ACCOUNT.pw_name,
            packets=self.packets,
        )

    def reached(self):
        """Addresses of this machine at which a client is greeted."""
        return [address for address in ('127.0.0.1', '::1') if self.greets(address)]

    def greets(self, address):
        try:
            with socket.create_connection((address, self.root.port), _SECONDS) as connected:
                return bool(connected.recv(1))
        except OSError:
            return False

    def starts(self):
        return [arguments for name, arguments in self.service.starts if name != 'mariadb']

    def variables(self):
        return dict(self.root.sql('SHOW GLOBAL VARIABLES'))

    def upgrade(self, *seed):
        """Stop the server and start it isolated, after `seed`."""
        self.start()
        if seed:
            self.root.sql(*seed)
        before = self.stop()
        self.driver.own_data()
        self.driver.start_isolated()
        return before

    def assert_opened_by_a_start(self):
        self.driver.open_for_clients()
        self.assertEqual(((), ['127.0.0.1', '::1']), (self.starts()[-1], self.reached()))


class TestAServerThatIsOpenedAsItRuns(OpeningTestCase):
    def test_none_reaches_it_before_the_opening_and_all_do_after_it_without_a_start(self):
        before = self.upgrade('CREATE DATABASE app', 'CREATE TABLE app.t AS SELECT 1')
        self.assertEqual([], self.reached())
        self.assertEqual([isolated.BEHIND_A_FILTER], self.starts())
        self.driver.upgrade_data(self.progress)
        after = self.driver.fingerprint(GuestOptions(), self.progress)
        compared = self.driver.compare(before, after)
        self.assertEqual(([], []), (compared.missing, compared.settings_changed))
        self.assertEqual([], self.reached())
        self.driver.open_for_clients()
        self.assertEqual(['127.0.0.1', '::1'], self.reached())
        self.driver.open_for_clients()
        self.assertEqual([isolated.BEHIND_A_FILTER], self.starts())
        self.driver.write_probe()

    def test_it_has_the_same_settings_as_after_a_start(self):
        self.configure(
            '[mysqld]\nmax-statement-time=0.01\nread-only=1\nautocommit=0\nmax-join-size=1000\n'
            'completion-type=RELEASE\nmax-user-connections=7\nidle-transaction-timeout=1\n'
            'max-allowed-packet=2097152\ntransaction-read-only\n'
        )
        self.upgrade()
        shown = self.variables()
        self.assertEqual(
            ('0.000000', 'OFF', 'ON', '0'),
            tuple(
                shown[name]
                for name in (
                    'max_statement_time',
                    'read_only',
                    'autocommit',
                    'max_user_connections',
                )
            ),
        )
        self.driver.upgrade_data(self.progress)
        self.driver.open_for_clients()
        opened = self.variables()
        self.service.stop('trove-upgrade-database')
        self.service.start('trove-upgrade-database')
        started = self.variables()
        self.assertEqual([isolated.BEHIND_A_FILTER, ()], self.starts())
        self.assertEqual(
            {},
            {
                name: (value, opened.get(name))
                for name, value in started.items()
                if opened.get(name) != value and not name.startswith('gtid_')
            },
        )

    def test_events_run_from_the_opening_on(self):
        self.configure('[mysqld]\nevent-scheduler=ON\n')
        self.start()
        self.root.sql(*_EVENT)
        self.stop()
        self.driver.start_isolated()
        running = "SELECT USER FROM information_schema.PROCESSLIST WHERE USER = 'event_scheduler'"
        self.assertEqual([], self.root.sql(running))
        rows = self.root.sql('SELECT COUNT(*) FROM app.ticks')
        self.driver.open_for_clients()
        self.assertTrue(
            wait_until(lambda: self.root.sql('SELECT COUNT(*) FROM app.ticks') > rows, 30)
        )
        self.assertEqual([isolated.BEHIND_A_FILTER], self.starts())

    def test_a_guest_with_iptables_alone_closes_both_families_as_well(self):
        self.packets = packet_filter.Either(Without('nft'))
        self.driver = self.another_agent()
        self.upgrade()
        self.assertEqual([], self.reached())
        self.driver.open_for_clients()
        self.assertEqual(['127.0.0.1', '::1'], self.reached())
        self.assertEqual([isolated.BEHIND_A_FILTER], self.starts())


class TestRulesThatOthersChange(OpeningTestCase):
    """The guest's own firewall is loaded anew, or its operator works on it."""

    def run_program(self, *argv):
        subprocess.run(argv, check=True, capture_output=True)

    def assert_isolated_anew(self, changes, reached):
        """Upgrade, change the packet filter, and go on as the guest agent does."""
        self.driver = self.another_agent()
        before = self.upgrade()
        self.driver.upgrade_data(self.progress)
        self.assertTrue(self.driver.is_isolated())
        for argv in changes:
            self.run_program(*argv)
        self.assertEqual(reached, self.reached(), changes)
        self.assertFalse(self.driver.is_isolated(), changes)
        self.driver.keep_closed()
        self.assertEqual([], self.reached(), changes)
        self.assertFalse(self.driver.is_isolated(), changes)
        self.service.stop('trove-upgrade-database')
        self.driver.start_isolated()
        self.assertEqual((isolated.WITHOUT_TLS, []), (self.starts()[-1], self.reached()))
        self.assertTrue(self.driver.is_isolated())
        after = self.driver.fingerprint(GuestOptions(), self.progress)
        self.assertEqual([], self.driver.compare(before, after).missing)
        self.assert_opened_by_a_start()
        self.service.stop('trove-upgrade-database')

    def test_with_nft_are_missed_whichever_part_of_them_has_gone(self):
        table = ('inet', packet_filter.TABLE)
        both = ['127.0.0.1', '::1']
        for changes, reached in (
            ([('nft', 'flush', 'ruleset')], both),
            ([('nft', 'delete', 'table', *table)], both),
            ([('nft', 'flush', 'table', *table)], both),
            ([('nft', 'flush', 'chain', *table, 'input')], []),
            ([('nft', 'add', 'table', *table, '{ flags dormant; }')], both),
            (
                [
                    ('nft', 'insert', 'rule', *table, chain, 'accept')
                    for chain in ('input', 'output')
                ],
                both,
            ),
        ):
            self.assert_isolated_anew(changes, reached)

    def test_with_iptables_are_missed_in_one_family_alone_too(self):
        self.packets = packet_filter.Either(Without('nft'))
        for changes, reached in (
            ([('iptables', '-F')], ['127.0.0.1']),
            ([('ip6tables', '-F')], ['::1']),
            ([('iptables', '-F', f'{packet_filter.TABLE}_INPUT')], []),
            (
                [('iptables', '-I', hook, '1', '-j', 'ACCEPT') for hook in ('INPUT', 'OUTPUT')],
                ['127.0.0.1'],
            ),
        ):
            self.assert_isolated_anew(changes, reached)

    def test_with_nft_keep_clients_away_whatever_accepts_them_in_another_table(self):
        self.upgrade()
        self.run_program(
            'nft',
            'table inet other { chain input { type filter hook input priority -300; accept; }; '
            'chain output { type filter hook output priority -300; accept; }; }',
        )
        self.assertTrue(self.driver.is_isolated())
        self.assertEqual([], self.reached())
        self.driver.open_for_clients()
        self.assertEqual([isolated.BEHIND_A_FILTER], self.starts())


class FlushedAtTheStart:
    """A guest whose firewall is loaded anew while the server starts."""

    def __init__(self, packets):
        self._packets = packets

    def close(self, token, ports, user):
        made_by = self._packets.close(token, ports, user)
        self._packets.open()
        return made_by

    def __getattr__(self, name):
        return getattr(self._packets, name)


class TestRulesThatAreLostWhileTheServerStarts(OpeningTestCase):
    def test_have_it_started_without_a_network_once_that_is_known(self):
        self.packets = FlushedAtTheStart(packet_filter.Either(SystemCommands()))
        self.driver = self.another_agent()
        self.upgrade()
        self.assertFalse(self.driver.is_isolated())
        self.driver.keep_closed()
        self.driver.start_isolated()
        self.assertTrue(self.driver.is_isolated())
        self.assertEqual(
            ([isolated.BEHIND_A_FILTER, isolated.WITHOUT_TLS], []), (self.starts(), self.reached())
        )
        self.assert_opened_by_a_start()


class TestTheServersOwnConnections(base.TestCase):
    """A key server, for instance, is asked at the start."""

    def setUp(self):
        super().setUp()
        self.useFixture(private_network.PrivateNetwork())

    def connected(self, listener, client):
        """Return whether a client with one user reaches a port of the other's."""
        port, user = '5000', private_mariadb.ACCOUNT.pw_uid
        accounts = {'server': {'user': user, 'group': user, 'extra_groups': ()}, 'root': {}}
        with subprocess.Popen(
            [_PYTHON, '-c', _LISTEN, port],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            cwd='/',
            **accounts[listener],
        ) as listening:
            listening.stdout.readline()
            asked = subprocess.run(
                [_PYTHON, '-c', _CONNECT, port, str(_SECONDS)],
                capture_output=True,
                cwd='/',
                **accounts[client],
            )
        return asked.returncode == 0

    def test_go_out_while_no_port_of_its_user_takes_any(self):
        for packets in (Without(), Without('nft')):
            filter_ = packet_filter.Either(packets)
            filter_.close('abc', [3306], private_mariadb.ACCOUNT.pw_uid)
            self.assertTrue(filter_.is_closed('abc'))
            self.assertTrue(self.connected('root', 'server'), packets.names)
            self.assertFalse(self.connected('server', 'root'), packets.names)
            filter_.open()
            self.assertTrue(self.connected('server', 'root'), packets.names)


class TestAnAgentThatDies(OpeningTestCase):
    def test_leaves_the_database_closed_and_the_next_one_opens_it(self):
        self.upgrade()
        self.driver = self.another_agent()
        self.driver.keep_closed()
        self.driver.start_isolated()
        self.assertEqual([], self.reached())
        self.driver.open_for_clients()
        self.assertEqual(['127.0.0.1', '::1'], self.reached())
        self.assertEqual([isolated.BEHIND_A_FILTER], self.starts())

    def test_between_the_rules_and_the_record_s_removal_opens_by_a_start(self):
        self.upgrade()
        self.packets.open()
        self.driver = self.another_agent()
        self.driver.keep_closed()
        self.assertEqual([], self.reached())
        self.assert_opened_by_a_start()

    def test_before_the_server_had_its_limits_taken_away_starts_it_anew(self):
        self.upgrade()
        record = self.root.context.run / 'database-closed.json'
        record.write_text(record.read_text().replace('"settings": {', '"others": {'))
        self.driver = self.another_agent()
        self.driver.start_isolated()
        self.assertEqual([isolated.BEHIND_A_FILTER] * 2, self.starts())
        self.assertEqual([], self.reached())

    def test_and_a_server_that_no_service_knows_of_stays_closed(self):
        self.upgrade()
        self.service.name = None
        self.packets.open()  # so that the next opening is a start
        self.driver = self.another_agent()
        self.driver.keep_closed()
        error = self.assertRaises(exceptions.StepFailed, self.driver.open_for_clients)
        self.assertEqual(('DATABASE_NOT_STOPPED', []), (error.code, self.reached()))

    def test_and_comes_back_after_the_database_was_undone_leaves_it_open(self):
        self.upgrade()
        self.driver.start()
        self.driver = self.another_agent()
        self.driver.keep_closed()
        self.assertEqual(['127.0.0.1', '::1'], self.reached())


class TestIptablesOfTheOlderKind(OpeningTestCase):
    """Every call fails of an agent without CAP_NET_RAW."""

    def test_beside_nft_changes_nothing(self):
        self.packets = packet_filter.Either(OlderIptables())
        self.driver = self.another_agent()
        self.upgrade()
        self.assertEqual([], self.reached())
        self.driver.open_for_clients()
        self.assertEqual(['127.0.0.1', '::1'], self.reached())
        self.driver = self.another_agent()
        self.driver.keep_closed()
        self.driver.open_for_clients()
        self.assertEqual(['127.0.0.1', '::1'], self.reached())
        self.assertEqual([isolated.BEHIND_A_FILTER], self.starts())

    def test_alone_is_found_by_the_trial_and_the_database_starts_without_it(self):
        self.packets = packet_filter.Either(OlderIptables('nft'))
        self.start()
        self.stop()
        for is_tried in (True, False):
            self.driver = self.another_agent()
            self.driver.own_data()
            if is_tried:
                self.assertEqual('ok', self.driver.check_configuration(GuestOptions()).outcome)
            self.driver.start_isolated()
            self.assertEqual((isolated.WITHOUT_TLS, []), (self.starts()[-1], self.reached()))
            self.assert_opened_by_a_start()
            self.service.stop('trove-upgrade-database')


class TestRulesWithoutARecord(OpeningTestCase):
    def test_of_a_trial_are_gone_when_it_ends(self):
        self.start()
        self.stop()
        for packets in (SystemCommands(), Without('nft')):
            self.packets = packet_filter.Either(packets)
            self.driver = self.another_agent()
            self.driver.check_configuration(GuestOptions())
            for program in (['nft', 'list', 'ruleset'], ['iptables', '-S'], ['ip6tables', '-S']):
                self.assertNotIn(packet_filter.TABLE, SystemCommands().run(program).stdout)

    def test_that_a_boot_has_brought_back_are_lifted_by_the_agent_s_start(self):
        for packets in (SystemCommands(), Without('nft')):
            self.packets = packet_filter.Either(packets)
            self.driver = self.another_agent()
            self.upgrade()
            (self.root.context.run / 'database-closed.json').unlink()
            self.service.stop('trove-upgrade-database')
            self.start()
            self.assertEqual([], self.reached())
            self.driver = self.another_agent()
            self.driver.keep_closed()
            self.assertEqual(['127.0.0.1', '::1'], self.reached())
            self.service.stop('mariadb')


class TestWhereAStartMustStay(OpeningTestCase):
    def assert_isolated_as_ever(self):
        self.assertEqual((isolated.WITHOUT_TLS, []), (self.starts()[-1], self.reached()))
        self.assert_opened_by_a_start()

    def test_a_guest_without_a_packet_filter(self):
        self.packets = packet_filter.Either(Without('nft', 'iptables', 'ip6tables'))
        self.driver = self.another_agent()
        self.upgrade()
        self.assert_isolated_as_ever()

    def test_a_guest_whose_filter_takes_one_address_family_alone(self):
        self.packets = packet_filter.Either(Without('nft', 'ip6tables'))
        self.driver = self.another_agent()
        self.upgrade()
        self.assert_isolated_as_ever()

    def test_an_init_file_by_whichever_beginning_of_its_name(self):
        statements = self.root.path / 'init.sql'
        statements.write_text('CREATE DATABASE of_the_init_file;\n')
        self.configure(f'[mariadb]\ninit_fil={statements}\n')
        self.start()
        self.root.sql('DROP DATABASE of_the_init_file')
        self.stop()
        self.driver.start_isolated()
        self.assertNotIn(('of_the_init_file',), self.root.sql('SHOW DATABASES'))
        self.assert_isolated_as_ever()
        self.assertIn(('of_the_init_file',), self.root.sql('SHOW DATABASES'))

    def test_a_socket_in_a_directory_that_is_open_to_all_users(self):
        path = self.root.path / 'tmp/mysqld.sock'
        self.configure(f'[client-server]\nsocket = {path}\n')
        self.service.sockets.append(path)
        before = self.upgrade()
        told = socket_place.argument(self.root.path)
        self.assertEqual([(*isolated.WITHOUT_TLS, told)], self.starts())
        self.assertFalse(path.exists())
        self.driver = self.another_agent()
        self.driver.start_isolated()
        self.driver.upgrade_data(self.progress)
        after = self.driver.fingerprint(GuestOptions(), self.progress)
        compared = self.driver.compare(before, after)
        self.assertEqual(([], []), (compared.missing, compared.settings_changed))
        self.assertEqual(([], False), (self.reached(), path.exists()))
        self.assert_opened_by_a_start()
        self.assertTrue(path.exists())
        self.driver.write_probe()

    def test_an_event_scheduler_that_is_disabled(self):
        self.configure('[mysqld]\nevent_scheduler=DISABLED\n')
        self.upgrade()
        self.assert_isolated_as_ever()

    def test_a_server_that_replicates_is_found_by_its_own_word(self):
        self.upgrade("CHANGE MASTER 'far' TO MASTER_HOST='127.0.0.1', MASTER_USER='x'")
        self.assertEqual([isolated.BEHIND_A_FILTER, isolated.WITHOUT_TLS], self.starts())
        self.assert_isolated_as_ever()

    def test_rules_that_others_have_removed_meanwhile(self):
        self.upgrade()
        self.packets.open()
        self.assert_opened_by_a_start()

    def test_a_setting_that_was_changed_meanwhile(self):
        self.upgrade()
        self.root.sql('SET GLOBAL sql_mode = ANSI')
        self.assert_opened_by_a_start()
        self.assertNotIn('ANSI', self.variables()['sql_mode'])
