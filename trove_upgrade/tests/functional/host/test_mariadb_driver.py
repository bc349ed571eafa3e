# SPDX-License-Identifier: Apache-2.0
"""The MariaDB driver with a real server of its own: stopping, comparing, refusing, trying
configurations.
"""

import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import subprocess

import pymysql

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.datastores import factory
from trove_upgrade.guestagent.datastores.mysql_family import connection, isolated
from trove_upgrade.guestagent.datastores.mysql_family.engines.mariadb import MariaDB
from trove_upgrade.guestagent.datastores.mysql_family.hosts.host import HostPorts
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import private_mariadb
from trove_upgrade.waiting import wait_until

SEED = (
    'CREATE DATABASE app',
    'USE app',
    (
        'CREATE TABLE words (id INT PRIMARY KEY AUTO_INCREMENT, word TEXT, amount DECIMAL(20,4), '
        'made DATETIME(3), FULLTEXT (word))'
    ),
    (
        "INSERT INTO words (word, amount, made) SELECT CONCAT('word ', seq), seq / 3, NOW(3) FROM "
        'seq_1_to_20000'
    ),
    'CREATE TABLE history (id INT PRIMARY KEY, n INT) WITH SYSTEM VERSIONING',
    'INSERT INTO history VALUES (1, 1), (2, 2)',
    'UPDATE history SET n = 3 WHERE id = 1',
    'CREATE TABLE plain (id INT PRIMARY KEY) ENGINE=MyISAM',
    'INSERT INTO plain VALUES (1)',
    'CREATE SEQUENCE numbers',
    'SELECT NEXTVAL(numbers)',
    'CREATE VIEW short AS SELECT id, word FROM words',
    "CREATE USER reader@'%' IDENTIFIED BY 'secret'",
    "GRANT SELECT (id) ON app.words TO reader@'%'",
    'CREATE ROLE auditor',
    "GRANT auditor TO reader@'%'",
    "SET DEFAULT ROLE auditor FOR reader@'%'",
    'CREATE PROCEDURE twice(IN n INT) SELECT 2 * n',
    'CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM plain',
    'CREATE TRIGGER upper BEFORE INSERT ON words FOR EACH ROW SET NEW.word = UPPER(NEW.word)',
)

_STRUCTURES = (
    (
        "CREATE TABLE defaults (a INT DEFAULT 5, b VARCHAR(9) DEFAULT 'it''s', c DATETIME(3) "
        "DEFAULT NOW(3) ON UPDATE NOW(3), d TEXT DEFAULT (CONCAT('a', _utf8'b')), e BINARY(2) "
        "DEFAULT x'00ff', f DOUBLE DEFAULT 0.1, g BIT(3) DEFAULT b'101', h TIMESTAMP DEFAULT "
        "'2024-06-01 00:00:00', i TEXT COMPRESSED)"
    ),
    (
        'CREATE TABLE keyed (a INT, b VARCHAR(99), c TEXT, d POINT NOT NULL, UNIQUE u (a, b(7)), '
        'UNIQUE long_one (c), FULLTEXT words (b), SPATIAL place (d), KEY down (b DESC), KEY '
        'unused (a) IGNORED, CONSTRAINT positive CHECK (a > 0), j JSON)'
    ),
    (
        'CREATE TABLE hidden (a INT, h INT INVISIBLE DEFAULT 1, v INT AS (a + 1) VIRTUAL) WITH '
        'SYSTEM VERSIONING'
    ),
    'INSERT INTO hidden (a) VALUES (1)',
    'CREATE TABLE plain (a INT) ENGINE=MyISAM',
    'CREATE TABLE parted (a INT) PARTITION BY HASH (a) PARTITIONS 2',
    'CREATE TABLE open (a INT) ENCRYPTED=NO',
    'CREATE SEQUENCE numbers START 5 INCREMENT 3',
    'CREATE ROLE auditor',
    "CREATE USER reader@'%'",
    "GRANT auditor TO reader@'%' WITH ADMIN OPTION",
    "CREATE SERVER elsewhere FOREIGN DATA WRAPPER mysql OPTIONS (HOST '127.0.0.1')",
)
_LOSSES = (
    (['ALTER TABLE defaults ALTER a DROP DEFAULT'], 'table app.defaults has another column a now'),
    (['ALTER TABLE defaults ALTER d DROP DEFAULT'], 'table app.defaults has another column d now'),
    (['ALTER TABLE defaults MODIFY i TEXT'], 'table app.defaults has another column i now'),
    (
        ['ALTER TABLE keyed DROP KEY u, ADD KEY u (a, b(7))'],
        'table app.keyed has another index u now',
    ),
    (['ALTER TABLE keyed DROP KEY long_one'], 'table app.keyed has no index long_one any more'),
    (
        ['ALTER TABLE keyed ALTER KEY unused NOT IGNORED'],
        'table app.keyed has another index unused now',
    ),
    (
        ['ALTER TABLE keyed DROP CONSTRAINT positive'],
        'table app.keyed has no CHECK constraint positive any more',
    ),
    (
        ['ALTER TABLE keyed MODIFY j LONGTEXT COLLATE utf8mb4_bin'],
        'table app.keyed has no CHECK constraint j any more',
    ),
    (['ALTER TABLE plain ENGINE=Aria'], 'table app.plain has another engine now'),
    (['ALTER TABLE parted REMOVE PARTITIONING'], 'table app.parted has another partitioning now'),
    (
        ['ALTER TABLE open ENCRYPTED=DEFAULT'],
        'table app.open has another encryption or compression now',
    ),
    (
        ['ALTER SEQUENCE numbers INCREMENT 4'],
        (
            'sequence app.numbers has another checksum: 5 1 9223372036854775806 5 3 1000 0 0 '
            'before, 5 1 9223372036854775806 5 4 1000 0 0 now'
        ),
    ),
    (
        [
            (
                'SET STATEMENT system_versioning_alter_history=KEEP FOR ALTER TABLE hidden MODIFY '
                'h INT INVISIBLE DEFAULT 2'
            )
        ],
        'versioned app.hidden has another column h now',
    ),
    (['DROP SERVER elsewhere'], 'foreign server elsewhere is gone'),
    (
        ["REVOKE ADMIN OPTION FOR auditor FROM reader@'%'"],
        'account reader@% has lost ADMIN OPTION on role auditor',
    ),
)


class MariaDBTestCase(base.TestCase):
    """A server on a socket of its own, run by the service `mariadb` as on a guest before its first
    upgrade.
    """

    def setUp(self):
        super().setUp()
        self.root = self.useFixture(private_mariadb.Root())
        self.service = self.root.service
        self.driver = factory.as_service(
            MariaDB(),
            self.root.context,
            self.service,
            HostPorts(
                start_seconds=private_mariadb.DEADLINE_SECONDS,
                proc=self.root.path / 'proc',  # other tests make backups meanwhile
            ),
            user=private_mariadb.ACCOUNT.pw_name,
        )
        self.said = []

    def progress(self, percent, sentence):
        self.said.append(sentence)

    def start(self):
        self.service.start('mariadb')

    def seed(self):
        self.start()
        self.root.sql(*SEED)

    def hours_pass_before(self, sentence):
        """A progress: when it is told `sentence`, an hour has passed for the driver."""
        passed = []
        clock = self.driver.context.monotonic
        self.driver.context = dataclasses.replace(
            self.driver.context, monotonic=lambda: clock() + 3600 * len(passed)
        )

        def progress(_percent, said):
            if sentence in said and not passed:
                passed.append(said)

        return progress

    def stop(self, **options):
        return self.driver.fingerprint_and_stop(GuestOptions(**options), self.progress)

    def checks(self, target=None, options=None):
        found = self.driver.checks(
            TargetFacts.from_wire({'server_version': '11.8.6', **(target or {})}),
            options or GuestOptions(),
        )
        return {result.name: result for result in found}

    def configure(self, text, name='etc/mysql/conf.d/99-custom.cnf'):
        (self.root.path / name).write_text(text)

    def assert_serving(self):
        self.root.sql(
            'CREATE DATABASE IF NOT EXISTS still',
            'CREATE OR REPLACE TABLE still.t (i INT)',
            'INSERT INTO still.t VALUES (1)',
        )


class TestTheWholeWay(MariaDBTestCase):
    def test_a_server_is_stopped_started_isolated_compared_and_opened_again(self):
        self.seed()
        refused = [
            result for result in self.checks().values() if result.outcome not in {'ok', 'warning'}
        ]
        self.assertEqual([], refused)
        self.driver.set_autostart(enabled=False)
        before = self.stop()
        self.assertIsNotNone(self.service.process.poll())
        self.assertTrue(self.driver.shutdown_was_clean())
        self.assertEqual(set(), self.service.enabled)
        self.assertEqual('ok', self.driver.check_configuration(GuestOptions()).outcome)
        self.driver.own_data()
        self.driver.start_isolated()
        self.assertEqual(('trove-upgrade-database', isolated.WITHOUT_TLS), self.service.starts[-1])
        self.assertRaises(OSError, self.tcp)
        self.driver.upgrade_data(self.progress)
        self.driver.upgrade_data(self.progress)
        after = self.driver.fingerprint(GuestOptions(), self.progress)
        comparison = self.driver.compare(before, after)
        self.assertEqual([], comparison.missing)
        self.assertEqual([], comparison.settings_changed)
        self.assertEqual(20000 + 2 + 1 + 1, comparison.rows_compared)
        self.driver.open_for_clients()
        self.driver.open_for_clients()
        self.tcp()
        self.driver.write_probe()
        self.driver.set_autostart(enabled=True)
        self.assertEqual({'trove-upgrade-database'}, self.service.enabled)
        self.assertIn('10.11.', self.driver.server_version())
        self.assertNotIn('trove_upgrade_probe', [row[0] for row in self.root.sql('SHOW DATABASES')])

    def test_between_releases_of_one_series_there_is_no_upgrade_and_the_engine_says_the_same(self):
        self.seed()
        version = self.driver.server_version()
        self.stop()
        self.driver.start_isolated()
        self.driver.upgrade_data(self.progress, '10.6.18-MariaDB')
        self.assertTrue([said for said in self.said if said.startswith('Phase')])
        done = subprocess.run(
            [
                'mariadb-upgrade',
                '--no-defaults',
                '--check-if-upgrade-is-needed',
                f'--socket={self.root.path}/run/mysqld/mysqld.sock',
            ],
            capture_output=True,
            text=True,
        )
        self.assertEqual(1, done.returncode, done.stdout + done.stderr)
        self.driver.own_data()
        self.said.clear()
        self.driver.upgrade_data(self.progress, version)
        self.assertEqual([f'from {version} to {version} there is none'], self.said)

    def test_limits_that_the_customer_has_set_for_his_statements_do_not_hold_for_the_upgrade(self):
        self.seed()
        before = self.stop()
        self.configure(
            '[mysqld]\ntransaction-read-only\nmax-allowed-packet=1024\nmax-statement-time=0.01\nread-only=1\nautocommit=0\n'
            'completion-type=RELEASE\nmax-user-connections=1\nidle-transaction-timeout=1\n'
        )
        self.driver.start_isolated()
        self.driver.upgrade_data(self.progress)
        comparison = self.driver.compare(
            before, self.driver.fingerprint(GuestOptions(), self.progress)
        )
        self.assertEqual(([], []), (comparison.missing, comparison.settings_changed))
        self.driver.open_for_clients()
        self.driver.write_probe()
        self.assertEqual(
            [(1, 0.01)],
            [
                (int(only), float(seconds))
                for only, seconds in self.root.sql(
                    'SELECT @@global.read_only, @@global.max_statement_time'
                )
            ],
        )

    def test_events_of_every_interval_are_read_where_the_scheduler_is_disabled(self):
        self.seed()
        intervals = (
            "'3-7' YEAR_MONTH",
            "'2 5' DAY_HOUR",
            "'2 5:07' DAY_MINUTE",
            "'2 5:07:09' DAY_SECOND",
            "'30:05' HOUR_MINUTE",
            "'3:4:5' HOUR_SECOND",
            "'90:05' MINUTE_SECOND",
            '3 YEAR',
            '2 QUARTER',
            '1 MONTH',
            '2 WEEK',
            '1 DAY',
            '5 HOUR',
            '6 MINUTE',
            '9 SECOND',
        )
        self.root.sql(
            "SET time_zone = '+03:00'",
            *(
                f'CREATE EVENT app.of_{interval.split()[-1]} ON SCHEDULE EVERY {interval} DO SET '
                '@x = 1'
                for interval in intervals
            ),
            "CREATE EVENT app.once ON SCHEDULE AT '2036-01-01 10:00:00' ON COMPLETION PRESERVE "
            "DISABLE DO SET @x = 'ä'",
            'CREATE EVENT app.elsewhere ON SCHEDULE EVERY 1 DAY DISABLE ON SLAVE DO SET @x = 2',
        )
        shown = self.driver.fingerprint(GuestOptions(), self.progress)
        self.service.stop('mariadb')
        self.configure('[mysqld]\nevent-scheduler=DISABLED\n')
        self.start()
        self.assertEqual('ok', self.checks()['readings'].outcome)
        self.assertEqual(shown.objects, self.stop().objects)

    def tcp(self):
        try:
            pymysql.connect(
                host='127.0.0.1', port=self.root.port, user='reader', password='secret'
            ).close()
        except pymysql.err.OperationalError as error:
            raise OSError(*error.args) from error

    def test_an_undo_brings_back_the_service_that_ran_before(self):
        self.seed()
        self.driver.set_autostart(enabled=False)
        self.stop()
        fresh = factory.as_service(
            MariaDB(), self.root.context, self.service
        )  # as after a restart of the agent
        fresh.undo_autostart()
        fresh.start()
        fresh.start()
        self.assertEqual('mariadb', self.service.name)
        self.assertEqual({'mariadb'}, self.service.enabled)
        self.assert_serving()

    def test_a_table_in_memory_is_told_of_and_its_empty_rows_are_no_loss(self):
        self.start()
        self.root.sql(
            'CREATE DATABASE app',
            'CREATE TABLE app.sessions (id INT PRIMARY KEY) ENGINE=MEMORY',
            'INSERT INTO app.sessions VALUES (1), (2), (3)',
        )
        found = self.checks()['tables_in_memory']
        self.assertEqual(('warning', 'TABLES_IN_MEMORY'), (found.outcome, found.code))
        self.assertIn('app.sessions', found.message)
        before = self.stop()
        self.driver.start_isolated()
        after = self.driver.fingerprint(GuestOptions(), self.progress)
        self.assertEqual(
            ([], ['app.sessions']),
            tuple(
                getattr(self.driver.compare(before, after), name)
                for name in ('missing', 'not_compared')
            ),
        )
        self.root.sql('DROP TABLE app.sessions')
        self.assertEqual(
            ['table app.sessions is gone'],
            self.driver.compare(
                before, self.driver.fingerprint(GuestOptions(), self.progress)
            ).missing,
        )

    def test_what_a_server_has_from_its_environment_is_found_by_the_check(self):
        self.configure('[mysqld_prod]\nsort_buffer_size = 3M\n[mysqld]\nbind-address = 127.0.0.1\n')
        self.service.environment |= {
            'MYSQL_GROUP_SUFFIX': '_prod',
            'TZ': '/usr/share/zoneinfo/Europe/London',
            'MALLOC_ARENA_MAX': '2',
        }
        self.start()
        self.assertEqual(
            [(3 << 20,)],
            self.root.sql('SELECT @@global.sort_buffer_size'),
            'the server reads groups of the suffix',
        )
        found = self.checks()
        self.assertEqual(
            ('refused', 'SERVER_ENVIRONMENT'),
            (found['server_environment'].outcome, found['server_environment'].code),
        )
        self.assertIn('MYSQL_GROUP_SUFFIX', found['server_environment'].message)
        self.assertEqual('TIME_ZONE_OF_SYSTEM', found['time_zone'].code)
        self.assertIn('Europe/London', found['time_zone'].message)
        self.assertEqual(
            ['ok', 'ok'], [found[name].outcome for name in ('bind_address', 'server_unit')]
        )

    def test_accounts_that_need_the_operating_system_are_found_by_the_check(self):
        self.start()
        self.root.sql(
            'CREATE USER alice@localhost IDENTIFIED VIA mysql_native_password OR unix_socket'
        )
        found = self.checks()['system_accounts']
        self.assertEqual(('warning', 'ACCOUNTS_OF_SYSTEM'), (found.outcome, found.code))
        self.assertIn('user alice (alice@localhost)', found.message)

    def test_an_address_that_this_root_disk_does_not_have_is_refused_before_the_data_is_touched(
        self,
    ):
        self.configure('[mysqld]\nbind-address = 192.0.2.77\n')
        found = self.driver.check_configuration(GuestOptions())
        self.assertEqual(('refused', 'BIND_ADDRESS'), (found.outcome, found.code))

    def test_each_part_of_a_table_that_is_lost_is_named_and_the_rest_is_the_same(self):
        """Two readings of a real server: the words of its catalog for each kind of default, index
        and constraint.
        """
        self.start()
        self.root.sql('CREATE DATABASE app', 'USE app', *_STRUCTURES)
        before = self.stop()
        self.driver.start_isolated()
        self.assertEqual(
            [],
            self.driver.compare(
                before, self.driver.fingerprint(GuestOptions(), self.progress)
            ).missing,
        )
        for statements, sentence in _LOSSES:
            self.root.sql('USE app', *statements)
            after = self.driver.fingerprint(GuestOptions(), self.progress)
            self.assertEqual([sentence], self.driver.compare(before, after).missing, statements)
            before = after

    def test_a_file_that_says_the_data_was_upgraded_already_is_not_believed(self):
        self.start()
        version = self.root.sql('SELECT VERSION()')[0][0].partition('-MariaDB')[0] + '-MariaDB'
        for name in ('mysql_upgrade_info', 'mariadb_upgrade_info'):
            (self.root.context.data_directory / name).write_text(version)
        percents = []
        self.driver.upgrade_data(lambda percent, text: percents.append(percent))
        self.assertGreater(len(percents), 3, 'no phase was run')

    def test_a_data_directory_full_of_traps_is_checked_and_its_server_stopped(self):
        self.seed()
        data, secret = self.root.context.data_directory, self.root.path / 'etc/secret'
        secret.write_text('S3CRET/x')
        (data / 'app/l.isl').symlink_to(secret)
        (self.root.path / 'var/log/mysql/x.err').symlink_to(secret)
        for name in ('app/p.isl', 'p.err'):
            os.mkfifo(data / name)
        found = self.checks()['volume_layout']
        self.assertEqual('VOLUME_LAYOUT', found.code)
        self.assertNotIn('S3CRET', found.message)
        for name in ('app/l.isl', 'app/p.isl'):
            (data / name).unlink()
        process_file = self.root.path / 'run/mysqld/mysqld.pid'
        process_file.unlink()
        os.mkfifo(process_file)
        self.stop()
        self.configure('[mysqld]\nunheard_of = 1\n')
        error = self.assertRaises(exceptions.StepFailed, self.driver.start_isolated)
        self.assertIn("unknown variable 'unheard_of=1'", error.message)

    def test_the_client_file_s_user_is_used(self):
        self.start()
        self.root.sql(
            "CREATE USER os_admin@localhost IDENTIFIED BY 'it''s'",
            'GRANT ALL ON *.* TO os_admin@localhost WITH GRANT OPTION',
        )
        (self.root.path / 'root/.my.cnf').write_text(
            '[client]\nuser = os_admin\npassword = "it\'s"\n'
        )
        self.assertIn('os_admin', str(self.driver.host.server.session_with_credentials(5)[1]))
        self.driver.upgrade_data(self.progress)
        self.stop()

    def test_each_kind_of_loss_is_noticed(self):
        self.seed()
        before = self.driver.fingerprint(GuestOptions(), self.progress)
        for statement, words in (
            (
                'UPDATE app.words SET amount = 0 WHERE id = 7',
                'table app.words has another checksum',
            ),
            (
                'DELETE HISTORY FROM app.history',
                'versioned app.history had 1 rows of history and has 0 now',
            ),
            (
                'SELECT NEXTVAL(app.numbers) FROM seq_1_to_2000',
                'sequence app.numbers has another checksum',
            ),
            (
                "SET PASSWORD FOR reader@'%' = PASSWORD('other')",
                'account reader@% authenticates in another way now',
            ),
            ("ALTER USER reader@'%' ACCOUNT LOCK", 'account reader@% has another lock now'),
            (
                "ALTER USER reader@'%' REQUIRE X509",
                'account reader@% has another TLS requirement now',
            ),
            (
                "ALTER USER reader@'%' WITH MAX_QUERIES_PER_HOUR 3",
                'account reader@% has another resource limit now',
            ),
            (
                "ALTER USER reader@'%' PASSWORD EXPIRE NEVER",
                'account reader@% has another password expiry now',
            ),
            (
                "SET DEFAULT ROLE NONE FOR reader@'%'",
                'account reader@% has another default role now',
            ),
            ("REVOKE auditor FROM reader@'%'", 'account reader@% has lost role on auditor'),
            ('DROP EVENT app.nightly', 'event app.nightly is gone'),
            (
                'CREATE OR REPLACE PROCEDURE app.twice(IN n INT) SELECT 3 * n',
                'routine app.twice (procedure) has another definition',
            ),
            (
                'CREATE OR REPLACE VIEW app.short AS SELECT id FROM app.words',
                'view app.short has another definition',
            ),
            ('DROP TRIGGER app.upper', 'trigger app.upper is gone'),
        ):
            self.root.sql('USE app', statement)
            missing = self.driver.compare(
                before, self.driver.fingerprint(GuestOptions(), self.progress)
            ).missing
            self.assertTrue(
                any(sentence.startswith(words) for sentence in missing), (statement, missing)
            )


class TestStopping(MariaDBTestCase):
    def test_no_acknowledged_write_falls_between_fingerprint_and_end(self):
        self.start()
        self.root.sql('CREATE DATABASE app', 'CREATE TABLE app.t (i INT PRIMARY KEY)')
        acknowledged = []

        writers = 8

        def write(first):
            session = self.root.session()  # as root: read_only does not keep it out
            try:
                for number in range(first, 1_000_000, writers):
                    session.rows(f'INSERT INTO app.t VALUES ({number})')
                    acknowledged.append(number)
            except connection.SessionError:
                return
            finally:
                session.close()

        with concurrent.futures.ThreadPoolExecutor(writers) as pool:
            writing = [pool.submit(write, first) for first in range(writers)]
            wait_until(lambda: len(acknowledged) > 100, private_mariadb.DEADLINE_SECONDS)
            before = self.stop()
            for one in writing:
                one.result()
        self.assertEqual(len(acknowledged), before.tables['app.t'].rows.count)
        self.driver.start()
        self.assertEqual(
            [],
            self.driver.compare(
                before, self.driver.fingerprint(GuestOptions(), self.progress)
            ).missing,
        )

    def test_a_statement_that_does_not_end_is_a_refusal_and_the_server_goes_on(self):
        self.seed()
        holder = self.root.session()
        self.addCleanup(holder.close)
        holder.rows('LOCK TABLES app.words WRITE')
        error = self.assertRaises(exceptions.StepRefused, self.stop, lock_seconds=1)
        self.assertEqual('DATABASE_BUSY', error.code)
        self.assert_serving()

    def test_a_deadline_that_passes_during_the_fingerprint_releases_the_locks(self):
        self.seed()

        def too_late(percent, sentence):
            if 'fingerprint of table' in sentence:
                raise TimeoutError(sentence)

        self.assertRaises(TimeoutError, self.driver.fingerprint_and_stop, GuestOptions(), too_late)
        self.assert_serving()

    def test_without_budget_all_tables_are_counted_by_file_and_the_rest_is_taken(self):
        self.seed()
        found = self.stop(fingerprint_seconds=0)
        self.assertEqual(
            {'app.history', 'app.numbers', 'app.plain', 'app.words'},
            set(found.counted_only_by_file),
        )
        self.assertIn('reader@%', found.users)

    def test_a_table_too_big_for_the_budget_is_left_to_its_file_and_the_server_stops_all_the_same(
        self,
    ):
        self.start()
        self.root.sql(
            'CREATE DATABASE app',
            'USE app',
            'CREATE TABLE small (i INT)',
            'CREATE TABLE big (i INT, c CHAR(200))',
            'INSERT INTO big SELECT seq, MD5(seq) FROM seq_1_to_400000',
            'ANALYZE TABLE big',
        )
        hours = self.hours_pass_before('fingerprint of table 2 of 2')
        found = self.driver.fingerprint_and_stop(GuestOptions(fingerprint_seconds=3600.005), hours)
        self.assertEqual(['app.big'], found.counted_only_by_file)
        self.assertIsNone(found.tables['app.big'].rows.checksum)
        self.assertTrue(self.driver.shutdown_was_clean())

    def test_a_hasty_shutdown_setting_does_not_make_it_unclean(self):
        self.seed()
        self.root.sql(
            'SET GLOBAL innodb_fast_shutdown = 2', 'UPDATE app.words SET amount = amount + 1'
        )
        self.stop()
        self.assertTrue(self.driver.shutdown_was_clean())

    def test_a_killed_server_is_unclean_by_its_files_and_by_its_log(self):
        self.seed()
        self.root.sql('UPDATE app.words SET amount = amount + 1')
        self.service.kill()
        self.assertFalse(self.driver.shutdown_was_clean())
        for name in ('ibtmp1', 'ddl_recovery.log'):
            (self.root.context.data_directory / name).unlink(missing_ok=True)
        self.assertFalse(self.driver.shutdown_was_clean())
        self.assertEqual('UNCLEAN_SHUTDOWN', self.checks()['clean_shutdown'].code)
        self.assertEqual('DATABASE_NOT_RUNNING', self.checks()['database_answers'].code)


class TestRefusals(MariaDBTestCase):
    def assert_refused(self, name, code, **arguments):
        result = self.checks(**arguments)[name]
        self.assertEqual(('refused', code), (result.outcome, result.code), result.message)
        self.assert_serving()
        return result

    def test_prepared_xa_transactions(self):
        self.seed()
        self.root.sql(
            "XA START 'x'",
            'INSERT INTO app.words (word) VALUES (1)',
            "XA END 'x'",
            "XA PREPARE 'x'",
        )
        self.assert_refused('prepared_transactions', 'PREPARED_TRANSACTIONS')
        error = self.assertRaises(exceptions.StepRefused, self.stop)
        self.assertEqual('PREPARED_TRANSACTIONS', error.code)
        self.assert_serving()

    def test_an_option_that_the_target_does_not_know(self):
        self.configure('[mysqld]\nmax_tmp_tables = 32\nmax_connections = 50\n')
        self.start()
        found = self.assert_refused('configuration_options', 'UNKNOWN_OPTION')
        self.assertIn('max-tmp-tables', found.message)
        found = self.assert_refused(
            'configuration_options',
            'UNKNOWN_OPTION',
            target={'options': ['socket', 'pid_file', 'port', 'bind_address', 'lc_messages_dir']},
        )
        self.assertIn('max-connections', found.message)
        self.assertNotIn('pid-file', found.message)

    def test_a_group_that_the_target_does_not_read(self):
        self.configure('[mariadb-10.11]\nwait_timeout = 1234\n')
        self.start()
        self.assert_refused('option_groups', 'OPTION_GROUP_DROPPED')
        self.assertEqual('ok', self.checks({'server_version': '10.11.30'})['option_groups'].outcome)

    def test_a_plugin_that_the_target_lacks(self):
        self.start()
        self.root.sql(
            "INSERT INTO mysql.plugin VALUES ('ed25519', 'auth_ed25519.so')"
        )  # as INSTALL SONAME does
        self.assert_refused('plugins', 'PLUGIN_MISSING', target={'plugins': ['auth_gssapi.so']})
        self.assertEqual('ok', self.checks({'plugins': ['auth_ed25519.so']})['plugins'].outcome)

    def test_tables_whose_files_are_broken_are_found_by_the_check_as_by_the_stop(self):
        self.seed()
        self.root.sql(
            'USE app',
            'CREATE TABLE lost (a INT)',
            'CREATE TABLE cut (a INT) ENGINE=MyISAM',
            'INSERT INTO cut VALUES (1)',
            'CREATE TABLE parts (a INT) ENGINE=MERGE UNION=(plain, none)',
            'CREATE TABLE base (a INT)',
            'CREATE VIEW of_nothing AS SELECT * FROM base',
            'DROP TABLE base',
            'CREATE DEFINER=nobody@nowhere VIEW of_nobody AS SELECT 1 AS one',
        )
        self.service.stop('mariadb')
        (self.root.context.data_directory / 'app/lost.ibd').unlink()
        (self.root.context.data_directory / 'app/cut.MYI').write_bytes(b'x')
        self.start()
        found = self.assert_refused('readings', 'TABLE_UNREADABLE')
        for name in ('app.lost (', 'app.cut (', 'app.parts ('):
            self.assertIn(name, found.message)
        for name in ('of_nothing', 'of_nobody', 'app.words', 'app.history'):
            self.assertNotIn(name, found.message)
        error = self.assertRaises(exceptions.StepRefused, self.stop)
        self.assertEqual('TABLE_UNREADABLE', error.code)
        self.root.sql('DROP TABLE app.lost, app.cut, app.parts')
        self.assertEqual('ok', self.checks()['readings'].outcome)
        self.stop()

    def test_a_table_that_another_connection_holds_does_not_hold_up_the_check(self):
        self.seed()
        holder = self.root.session()
        self.addCleanup(holder.close)
        holder.rows('LOCK TABLES app.words WRITE')
        found = self.checks()['readings']
        self.assertEqual('ok', found.outcome, found.message)
        self.assertIn('3 of 4 tables', found.message)

    def test_an_agent_without_the_privileges_of_the_stop(self):
        self.start()
        self.root.sql(
            "CREATE USER agent@localhost IDENTIFIED BY 'x'",
            'GRANT SELECT, PROCESS, RELOAD, SUPER, SHOW VIEW ON *.* TO agent@localhost',
        )
        (self.root.path / 'root/.my.cnf').write_text('[client]\nuser = agent\npassword = x\n')
        found = self.assert_refused('readings', 'AGENT_PRIVILEGES')
        self.assertIn('lacks SHUTDOWN.', found.message)

    def test_accounts_that_the_server_has_not_loaded_fail_neither_check_nor_stop(self):
        self.configure('[mysqld]\nskip_name_resolve = ON\n')
        self.start()
        self.root.sql(
            "CREATE USER far@'app.example.com'",
            "CREATE USER near@'10.0.0.1'",
            "GRANT SELECT ON mysql.* TO near@'10.0.0.1'",
            "INSERT INTO mysql.global_priv VALUES ('%', 'unloaded', '{}')",
        )
        self.service.stop('mariadb')
        self.start()
        self.assertEqual('ok', self.checks()['readings'].outcome)
        before = self.stop()
        self.assertIn('far@app.example.com', before.users)
        self.assertNotIn('far@app.example.com', before.grants)
        self.driver.start_isolated()
        self.assertEqual(
            [],
            self.driver.compare(
                before, self.driver.fingerprint(GuestOptions(), self.progress)
            ).missing,
        )

    def test_a_replica_unless_it_is_allowed(self):
        self.start()
        self.root.sql(
            "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_USER = 'nobody', MASTER_PORT = 1"
        )
        self.assert_refused('replication', 'REPLICATION')
        self.assertEqual(
            'warning',
            self.checks(options=GuestOptions(allow_replication=True))['replication'].outcome,
        )

    def test_binary_logs_on_the_root_disk(self):
        self.configure(f'[mysqld]\nlog_bin = {self.root.path}/run/mysqld/binlog\nserver_id = 1\n')
        self.start()
        self.assert_refused('volume_layout', 'VOLUME_LAYOUT')

    def test_a_backup_by_its_statement(self):
        self.seed()
        dumping = self.root.session()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            running = pool.submit(
                self.quietly, dumping, 'SELECT /*!40001 SQL_NO_CACHE */ SLEEP(60) FROM app.words'
            )
            try:
                self.assertTrue(
                    wait_until(
                        lambda: self.checks()['backup_running'].code == 'BACKUP_RUNNING',
                        private_mariadb.DEADLINE_SECONDS,
                    )
                )
            finally:
                self.root.sql(
                    *[
                        f'KILL {row[0]}'
                        for row in self.root.sql(
                            'SELECT id FROM information_schema.processlist WHERE info LIKE '
                            "'%SLEEP(60)%' AND id <> CONNECTION_ID()"
                        )
                    ]
                    or ['SELECT 1']
                )
                running.result()

    @staticmethod
    def quietly(session, statement):
        with contextlib.suppress(connection.SessionError):
            session.rows(statement)


class TestTryingAConfiguration(MariaDBTestCase):
    def try_it(self, text):
        self.configure(text)
        places = [pathlib.Path('/dev/shm'), self.root.path / 'scratch']
        driver = factory.as_service(
            MariaDB(),
            self.root.context,
            self.service,
            scratch_places=places,
            user=private_mariadb.ACCOUNT.pw_name,
        )
        before = self.listing()
        result = driver.check_configuration(GuestOptions())
        self.assertEqual(before, self.listing())
        self.assertEqual([], [path for place in places for path in place.glob('configuration-*')])
        return result

    def listing(self):
        return sorted(
            (str(path), path.lstat().st_mtime_ns)
            for path in self.root.context.data_directory.rglob('*')
        )

    def test_each_kind_of_mistake_is_refused_and_the_data_is_not_touched(self):
        for text, words in (
            ('unheard_of = 1', 'unknown variable'),
            ('sql_mode = NONSENSE', 'NONSENSE'),
            ('character_set_server = klingon', 'klingon'),
        ):
            found = self.try_it(f'[mysqld]\n{text}\n')
            self.assertEqual(
                ('refused', 'CONFIGURATION_REFUSED'), (found.outcome, found.code), found.message
            )
            self.assertIn(words, found.message)

    def test_what_works_is_accepted_whatever_it_says_of_sizes_and_places(self):
        found = self.try_it(
            '[mysqld]\ninnodb_buffer_pool_size = 900G\nlog_error = '
            '/nonexistent/x.log\ninnodb_log_file_size = 50G\n'
            'innodb_log_group_home_dir = /nonexistent\nlog_bin = '
            '/nonexistent/binlog\ninnodb_page_size = 32768\n'
            'lower_case_table_names = 1\ninnodb_undo_tablespaces = 3\ninit_file = /nonexistent\n'
        )
        self.assertEqual('ok', found.outcome, found.message)

    def test_what_forbids_a_server_to_make_files_is_accepted_where_there_are_files(self):
        for option in ('innodb_read_only = 1', 'innodb_force_recovery = 1'):
            found = self.try_it(f'[mysqld]\n{option}\n')
            self.assertEqual('ok', found.outcome, found.message)


class TestKeptSettings(MariaDBTestCase):
    def test_an_old_default_is_kept_where_the_operator_wants_it(self):
        self.configure('[mysqld]\nsql_mode = ANSI_QUOTES\n', 'etc/mysql/conf.d/50-was.cnf')
        self.start()
        before = self.stop()
        (self.root.path / 'etc/mysql/conf.d/50-was.cnf').unlink()
        self.driver.start_isolated()
        after = self.driver.fingerprint(GuestOptions(), self.progress)
        self.assertEqual(
            ['sql_mode'],
            [change.name for change in self.driver.compare(before, after).settings_changed],
        )
        self.assertEqual((), self.driver.keep_settings(before, after, GuestOptions()))
        self.assertEqual(
            ['sql_mode'],
            list(
                self.driver.keep_settings(before, after, GuestOptions(keep_changed_defaults=True))
            ),
        )
        self.driver.open_for_clients()
        self.assertEqual([('ANSI_QUOTES',)], self.root.sql('SELECT @@global.sql_mode'))


class TestStarting(MariaDBTestCase):
    def test_a_start_that_fails_ends_with_the_server_s_own_words(self):
        self.configure('[mysqld]\nunheard_of = 1\n')
        error = self.assertRaises(exceptions.StepFailed, self.driver.start_isolated)
        self.assertEqual('DATABASE_NOT_STARTED', error.code)
        self.assertIn("unknown variable 'unheard_of=1'", error.message)

    def test_a_wrong_owner_is_put_right_by_name(self):
        data = self.root.context.data_directory
        os.chown(data / 'ibdata1', 0, 0)
        self.driver.own_data()
        self.assertEqual(data.owner(), (data / 'ibdata1').owner())
        self.assertEqual(private_mariadb.ACCOUNT.pw_name, data.owner())
