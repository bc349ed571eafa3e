# SPDX-License-Identifier: Apache-2.0
import pathlib
import pwd
import struct

import fixtures

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.datastores import base as datastore
from trove_upgrade.guestagent.datastores import factory
from trove_upgrade.guestagent.datastores.image_facts import ImageFacts
from trove_upgrade.guestagent.datastores.mysql_family import (
    checks,
    connection,
    option_files,
    redo_log,
)
from trove_upgrade.guestagent.datastores.mysql_family.engines import mysql
from trove_upgrade.guestagent.datastores.mysql_family.engines.mariadb import MariaDB
from trove_upgrade.guestagent.datastores.mysql_family.engines.mysql import MySQL
from trove_upgrade.guestagent.datastores.mysql_family.hosts.host import HostPorts
from trove_upgrade.guestagent.datastores.mysql_family.hosts.service_host import ServiceHost
from trove_upgrade.guestagent.machine.finished import Finished
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent.datastores import fakes


def context(root):
    return datastore.DriverContext(
        volume=root / 'v',
        data_directory=root / 'v/data',
        etc=root / 'etc',
        run=root / 'run/trove-upgrade',
        image_facts=ImageFacts(),
        now=None,
        monotonic=fakes.Clock(),
    )


class DriverTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (self.root / 'v/data').mkdir(parents=True)
        self.context = context(self.root)


class TestDialects(DriverTestCase):
    """A file that servers of both read: each its own groups."""

    def unknown(self, engine, version):
        (self.root / 'etc/mysql').mkdir(parents=True, exist_ok=True)
        (self.root / 'etc/mysql/my.cnf').write_text(
            '[mariadb]\naria_pagecache_buffer_size = 1M\n[mysqld-9.7]\nmysqlx_port = '
            '1\n[mysqld]\nport = 1\n'
        )
        session = fakes.Session(
            ('SELECT VERSION', [(version,)]),
            ('TABLE_TYPE, COALESCE', []),
            ('COUNT|COALESCE', [(0,)]),
            ('pid_file', [('/nonexistent',)]),
            ('datadir', [('datadir', str(self.root / 'v/data'))]),
        )
        ports = HostPorts(connect=lambda credentials, timeout_seconds: session)
        driver = factory.as_service(engine, self.context, fakes.Service(), ports)
        results = {
            result.name: result
            for result in driver.checks(
                TargetFacts(server_version=version, options=('port',)), GuestOptions()
            )
        }
        return results['configuration_options'].message

    def test_options_of_the_other_dialect_are_not_held_against_the_target(self):
        found = self.unknown(MySQL(), '9.7.4')
        self.assertIn('mysqlx-port', found)
        self.assertNotIn('aria', found)
        found = self.unknown(MariaDB(), '11.8.6-MariaDB')
        self.assertIn('aria', found)
        self.assertNotIn('mysqlx', found)


class TestFactory(DriverTestCase):
    def test_each_manager_has_its_driver(self):
        for engine in (MariaDB, MySQL):
            driver = factory.driver(engine.manager, self.context, fakes.Service())
            self.assertIsInstance(driver.engine, engine)
            self.assertIsInstance(driver.host, ServiceHost)
            self.assertEqual(engine.manager, driver.manager)

    def test_what_has_no_driver_is_refused_by_name(self):
        driver = factory.driver('couchbase', self.context, fakes.Service())
        error = self.assertRaises(exceptions.StepRefused, driver.checks, GuestOptions(), {})
        self.assertEqual('DATASTORE_NOT_SUPPORTED', error.code)
        self.assertIn("'couchbase'", error.message)


class TestChecks(DriverTestCase):
    def probe(self, *rules, target=None, options=None, configuration=()):
        return checks.Probe(
            context=self.context,
            session=fakes.Session(*rules),
            configuration=option_files.Configuration(options=tuple(configuration), files=()),
            version='10.11.14-MariaDB',
            target=TargetFacts(server_version='11.8.6', plugins=('auth_ed25519.so',))
            if target is None
            else target,
            options=options or GuestOptions(),
            proc=self.root,
        )

    def assert_refused(self, code, result):
        self.assertEqual(('refused', code), (result.outcome, result.code), result)
        self.assertRegex(result.message, r'^The .*: .*\. [A-Z].*\.$')

    def test_prepared_transactions_are_refused(self):
        self.assert_refused(
            'PREPARED_TRANSACTIONS',
            checks.prepared_transactions(self.probe(('XA RECOVER', [(1,)]))),
        )

    def test_a_backup_is_seen_by_its_process_or_by_its_statements(self):
        self.assertEqual('ok', checks.backup(self.probe()).outcome)
        self.assert_refused(
            'BACKUP_RUNNING', checks.backup(self.probe(('PROCESSLIST', [(7, 'dump')])))
        )
        (self.root / '42').mkdir()
        (self.root / '42/comm').write_text('mariadb-backup\n')
        self.assert_refused('BACKUP_RUNNING', checks.backup(self.probe()))

    def test_any_part_in_replication_is_refused_unless_allowed(self):
        self.assertEqual('ok', checks.replication(self.probe(('COUNT', [(0,)]))).outcome)
        for rules in (
            [('Binlog Dump', [(2,)])],
            [('Binlog Dump', [(0,)]), ('SHOW ALL SLAVES', [('x',)])],
            [
                ('Binlog Dump', [(0,)]),
                ('SHOW ALL SLAVES', fakes.refusal(1064)),
                ('SHOW REPLICA STATUS', [('x',)]),
            ],
            [('Binlog Dump', [(0,)]), ('wsrep_on', [('wsrep_on', 'ON')])],
        ):
            self.assert_refused('REPLICATION', checks.replication(self.probe(*rules)))
            self.assertEqual(
                'warning',
                checks.replication(
                    self.probe(*rules, options=GuestOptions(allow_replication=True))
                ).outcome,
            )

    def test_a_full_volume_is_refused(self):
        rebuilt = ('SYSTEM VERSIONED', [(0,)])
        self.assertEqual('ok', checks.disk_space(self.probe(rebuilt)).outcome)
        self.assert_refused(
            'DISK_SPACE',
            checks.disk_space(self.probe(rebuilt, options=GuestOptions(min_free_bytes=1 << 60))),
        )
        self.assert_refused(
            'DISK_SPACE', checks.disk_space(self.probe(('SYSTEM VERSIONED', [(1 << 60,)])))
        )
        self.assertEqual(
            'ok',
            checks.disk_space(
                self.probe(
                    ('SYSTEM VERSIONED', [(1 << 60,)]),
                    target=TargetFacts(server_version='10.11.20'),
                )
            ).outcome,
        )

    def test_forced_recovery_is_refused(self):
        self.assertEqual(
            'ok',
            checks.clean_stop(
                self.probe(
                    ('VARIABLES', [('innodb_force_recovery', '0'), ('innodb_read_only', 'OFF')])
                )
            ).outcome,
        )
        self.assert_refused(
            'UNCLEAN_SHUTDOWN',
            checks.clean_stop(self.probe(('VARIABLES', [('innodb_force_recovery', '3')]))),
        )

    def test_tables_in_memory_are_told(self):
        self.assertEqual('ok', checks.tables_in_memory(self.probe()).outcome)
        found = checks.tables_in_memory(
            self.probe(('MEMORY', [('app', f't{number}') for number in range(7)]))
        )
        self.assertEqual(('warning', 'TABLES_IN_MEMORY'), (found.outcome, found.code))
        self.assertIn('app.t0, app.t1, app.t2, app.t3, app.t4 and 2 more', found.message)

    def test_long_statements_are_told(self):
        self.assertEqual(
            'DATABASE_BUSY', checks.statements(self.probe(('PROCESSLIST', [(1, 'u', 99)]))).code
        )


class TestDriverChecks(DriverTestCase):
    def driver(self, connect):
        ports = HostPorts(connect=connect, proc=self.root)
        return factory.as_service(MariaDB(), self.context, fakes.Service(), ports)

    def test_no_answer_is_one_refusal_and_the_state_of_the_files(self):
        def silent(credentials, timeout_seconds):
            raise connection.NoAnswer(socket=credentials.socket, found='refused')

        found = self.driver(silent).checks(TargetFacts(), GuestOptions())
        self.assertEqual(
            [('database_answers', 'DATABASE_NOT_RUNNING'), ('clean_shutdown', None)],
            [(one.name, one.code) for one in found],
        )
        (self.root / 'v/data/ibtmp1').touch()
        self.assertEqual(
            'UNCLEAN_SHUTDOWN', self.driver(silent).checks(TargetFacts(), GuestOptions())[-1].code
        )

    def test_one_check_that_fails_hides_no_other(self):
        session = fakes.Session(
            ('XA RECOVER', fakes.refusal(1227, 'denied')),
            ('SELECT VERSION', [('10.11.14-MariaDB',)]),
            ('TABLE_TYPE, COALESCE', []),
            ('COUNT|COALESCE', [(0,)]),
            ('pid_file', [('/nonexistent',)]),
            ('datadir', [('datadir', str(self.root / 'v/data'))]),
        )
        found = {
            one.name: one
            for one in self.driver(lambda credentials, timeout_seconds: session).checks(
                TargetFacts(server_version='11.8.6'), GuestOptions()
            )
        }
        self.assertEqual('unknown', found['prepared_transactions'].outcome)
        self.assertEqual('ok', found['replication'].outcome)
        self.assertTrue(session.closed)


class TestMySQL(DriverTestCase):
    def test_one_series_at_a_time(self):
        for version, wanted, outcome in (
            ('9.7.4', '9.7.4', 'ok'),
            ('5.7.44', '8.0.40', 'ok'),
            ('8.0.40', '8.4.3', 'ok'),
            ('5.7.44', '8.4.3', 'refused'),
            ('8.0.40', '9.7.4', 'refused'),
            ('5.6.24', '9.7.4', 'refused'),
            ('5.6.24', '5.7.44', 'refused'),
            ('9.1.0', '9.7.4', 'ok'),
            ('8.0.40', '8.3.0', 'ok'),
            ('8.4.3', '9.2.0', 'ok'),
            ('9.7.4', '10.0.1', 'refused'),
            ('9.7.4', '8.4.3', 'ok'),
            ('9.7.4', '', 'ok'),
        ):
            self.assertEqual(outcome, mysql.check_path(version, wanted).outcome, (version, wanted))

    def driver(self, run):
        return factory.as_service(
            MySQL(),
            self.context,
            fakes.Service(),
            HostPorts(connect=lambda credentials, seconds: fakes.Session()),
            runs=run,
            user='daemon',
        )

    def test_the_configuration_is_validated_by_the_server_itself(self):
        run = fakes.Programs(
            Finished(1, "2026-01-01 [ERROR] [MY-000067] [Server] unknown variable 'x=1'.")
        )
        found = self.driver(run).check_configuration(GuestOptions())
        self.assertEqual('CONFIGURATION_REFUSED', found.code)
        self.assertIn('unknown variable', found.message)
        self.assertIn('--validate-config', run.calls[0][0])
        self.assertEqual(
            [(pwd.getpwnam('daemon').pw_uid, pwd.getpwnam('daemon').pw_gid)], run.users
        )
        self.assertEqual(
            'CONFIGURATION_NOT_TRIED',
            self.driver(fakes.Programs(installed=False)).check_configuration(GuestOptions()).code,
        )

    def test_the_server_has_upgraded_its_data_itself(self):
        run = fakes.Programs()
        self.driver(run).upgrade_data(lambda percent, text: None)
        self.assertEqual([], run.calls)


class TestRedoLog(DriverTestCase):
    FIRST_LSN, SIZE = 12288, 12288 + 65536

    def write(self, after=b'', checkpoint=12288 + 100, bit=1, magic=0x50687973):
        log = bytearray(self.SIZE)
        log[0:4], log[8:16] = struct.pack('>I', magic), struct.pack('>Q', self.FIRST_LSN)
        log[4096:4112] = struct.pack('>QQ', checkpoint, checkpoint)
        record = b'\xfa\0\0' + struct.pack('>Q', checkpoint)
        content = record + bytes([bit]) + struct.pack('>I', redo_log.crc32c(record)) + after
        ring = self.SIZE - 12288
        for offset, byte in enumerate(content):
            log[12288 + (checkpoint - self.FIRST_LSN + offset) % ring] = byte
        (self.root / 'v/data/ib_logfile0').write_bytes(log)

    def is_clean(self):
        return redo_log.is_clean(self.root / 'v/data')

    def group(self, bit=1):
        record = b'\x34\x00\x00\x75\xa5' + b'\x31\x01'
        return record + bytes([bit]) + struct.pack('>I', redo_log.crc32c(record))

    def test_nothing_after_the_checkpoint_is_clean(self):
        self.write()
        self.assertTrue(self.is_clean())

    def test_a_change_after_the_checkpoint_is_not(self):
        self.write(after=self.group())
        self.assertFalse(self.is_clean())

    def test_what_an_earlier_round_of_the_ring_left_does_not_count(self):
        self.write(after=self.group(bit=0))
        self.assertTrue(self.is_clean())
        self.write(after=self.group()[:-1] + b'\xff')
        self.assertTrue(self.is_clean())

    def test_the_ring_may_close_within_the_record(self):
        self.write(checkpoint=self.FIRST_LSN + self.SIZE - 12288 - 5)
        self.assertTrue(self.is_clean())

    def test_files_that_only_a_crash_leaves_are_proof(self):
        self.write()
        (self.root / 'v/data/ddl_recovery.log').touch()
        self.assertFalse(self.is_clean())

    def test_a_log_of_another_format_is_not_judged(self):
        self.write(after=self.group(), magic=103)
        self.assertTrue(self.is_clean())

    def test_the_checksum_is_the_one_that_the_server_writes(self):
        self.assertEqual(
            0x894828DC, redo_log.crc32c(bytes.fromhex('fa0000000000000000bb17'))
        )  # from a server's own log
