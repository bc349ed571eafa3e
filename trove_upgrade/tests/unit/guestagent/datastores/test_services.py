# SPDX-License-Identifier: Apache-2.0
import dataclasses
import os
import pathlib
import pwd
import time

import fixtures

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.datastores import base as datastore
from trove_upgrade.guestagent.datastores.image_facts import ImageFacts
from trove_upgrade.guestagent.datastores.mysql_family import (
    autostart,
    connection,
    engine_upgrade,
    option_files,
    option_groups,
    ownership,
    probe,
    programs,
    scratch,
    server,
    stopping,
)
from trove_upgrade.guestagent.machine.finished import Finished
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent.datastores import fakes

OURS = 'trove-upgrade-database'


class TestAutostart(base.TestCase):
    def setUp(self):
        super().setUp()
        self.memory = (
            pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'state/autostart.json'
        )
        self.service = fakes.Service()

    def autostart(self):
        return autostart.Autostart(
            self.service, self.memory
        )  # anew each time: as after a restart of the agent

    def test_what_was_switched_off_is_switched_on_again(self):
        self.autostart().switch_off()
        self.assertEqual(set(), self.service.enabled)
        self.autostart().undo()
        self.assertEqual({'mariadb'}, self.service.enabled)

    def test_a_second_switching_off_forgets_nothing(self):
        self.autostart().switch_off()
        self.service.running = None
        self.autostart().switch_off()
        self.assertEqual('mariadb', self.autostart().former())
        self.autostart().undo()
        self.assertEqual({'mariadb'}, self.service.enabled)

    def test_undoing_twice_enables_nothing_more(self):
        self.autostart().switch_off()
        self.autostart().undo()
        self.autostart().undo()
        self.assertEqual({'mariadb'}, self.service.enabled)

    def test_a_later_upgrade_remembers_anew(self):
        self.autostart().switch_off()
        self.autostart().undo()
        self.service.enabled, self.service.running = {OURS}, OURS
        self.autostart().switch_off()
        self.assertEqual(OURS, self.autostart().former())
        self.autostart().undo()
        self.assertEqual({OURS}, self.service.enabled)

    def test_ours_replaces_the_distribution_s(self):
        self.autostart().switch_on_ours()
        self.assertEqual({OURS}, self.service.enabled)

    def test_a_server_that_nothing_started_at_boot_is_started_by_nothing_afterwards(self):
        self.service.enabled = set()
        self.autostart().switch_off()
        self.autostart().undo()
        self.assertEqual(set(), self.service.enabled)

    def test_what_was_enabled_before_is_enabled_and_nothing_else(self):
        self.autostart().switch_off()
        self.service.enabled = {OURS}
        self.autostart().undo()
        self.assertEqual({'mariadb'}, self.service.enabled)

    def test_what_an_operator_has_changed_since_an_undo_is_left_alone(self):
        self.autostart().switch_off()
        self.autostart().undo()
        self.service.enabled = set()
        self.autostart().undo()
        self.assertEqual(set(), self.service.enabled)

    def test_where_nothing_was_switched_off_nothing_is_switched_on(self):
        self.service.enabled = set()
        self.autostart().undo()
        self.autostart().remember_running()
        self.autostart().undo()
        self.assertEqual(set(), self.service.enabled)

    def test_what_the_release_before_has_remembered_is_enabled(self):
        self.memory.parent.mkdir()
        self.memory.write_text('{"enabled": ["mariadb"], "running": "mariadb"}')
        self.service.enabled = set()
        self.autostart().undo()
        self.assertEqual({'mariadb'}, self.service.enabled)


class TestJudgingAConfiguration(base.TestCase):
    def test_an_end_with_an_error_is_a_refusal_that_names_the_option(self):
        found = scratch.judge(
            Finished(
                7,
                "2026-01-01 [ERROR] mariadbd: unknown variable 'x=1'\n2026-01-01 [ERROR] "
                'Aborting\n',
            )
        )
        self.assertEqual(('refused', 'CONFIGURATION_REFUSED'), (found.outcome, found.code))
        self.assertIn("unknown variable 'x=1'", found.message)
        self.assertNotIn('Aborting', found.message)

    def test_each_way_to_end_is_a_refusal(self):
        for code in (1, 7, 9, 13, 42, -6):
            self.assertEqual('refused', scratch.judge(Finished(code, 'words')).outcome)

    def test_a_removed_option_and_a_missing_plugin_are_warnings(self):
        for line in (
            "[Warning] 'innodb-file-format' was removed. It does nothing now",
            "[ERROR] Couldn't load plugins from 'x.so'",
        ):
            self.assertEqual('CONFIGURATION_PARTLY_IGNORED', scratch.judge(Finished(0, line)).code)

    def test_silence_is_consent(self):
        self.assertEqual('ok', scratch.judge(Finished(0, '[Note] started')).outcome)

    def try_it(self, run, place=None):
        room = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        for directory in (room, *room.parents):
            if directory.stat().st_mode & 0o001 == 0:
                directory.chmod(0o755)
        return scratch.try_configuration(
            run,
            option_files.Configuration(options=(), files=()),
            places=[place or room],
            defaults_file=None,
            user='daemon',
        ), room

    def test_nothing_is_left_of_the_scratch_directory_and_everything_points_there(self):
        run = fakes.Programs()
        found, room = self.try_it(run)
        self.assertEqual('ok', found.outcome)
        self.assertEqual([], list(room.iterdir()))
        daemon = pwd.getpwnam('daemon')
        self.assertEqual(
            [(daemon.pw_uid, daemon.pw_gid)], run.users
        )  # whatever user the files name
        command = run.calls[0][0]
        for name in (
            'datadir',
            'innodb-log-group-home-dir',
            'innodb-undo-directory',
            'aria-log-dir-path',
            'tmpdir',
        ):
            self.assertTrue(
                any(argument.startswith(f'--{name}={room}/') for argument in command), name
            )
        self.assertIn('--bootstrap', command)

    def test_what_an_empty_directory_does_not_let_start_is_tried_with_system_tables(self):
        refused = Finished(1, '[ERROR] InnoDB: Cannot create file when --innodb-read-only is set\n')
        run = fakes.Programs(refused)
        self.assertEqual('ok', self.try_it(run)[0].outcome)
        self.assertEqual(
            ['/usr/sbin/mariadbd', '/usr/sbin/mariadb-install-db', '/usr/sbin/mariadbd'],
            [arguments[0] for arguments, _ in run.calls],
        )
        unknown = Finished(7, "[ERROR] mariadbd: unknown variable 'x=1'\n")
        self.assertIn(
            "'x=1'", self.try_it(fakes.Programs(unknown, Finished(0, ''), unknown))[0].message
        )

    def test_without_room_or_server_it_is_a_refusal_and_not_a_guess(self):
        self.assertEqual(
            'CONFIGURATION_NOT_TRIED',
            self.try_it(fakes.Programs(), pathlib.Path('/proc/no-such-place'))[0].code,
        )
        self.assertEqual(
            'CONFIGURATION_NOT_TRIED', self.try_it(fakes.Programs(installed=False))[0].code
        )
        self.assertEqual(
            'CONFIGURATION_NOT_TRIED',
            self.try_it(fakes.Programs(*[Finished(1, 'no space')] * 2))[0].code,
        )


class TestEngineUpgrade(base.TestCase):
    CREDENTIALS = connection.Credentials('/run/s', 'os_admin', 'secret')

    def test_a_password_is_not_on_the_command_line(self):
        run = fakes.Programs()
        engine_upgrade.run(run, self.CREDENTIALS, lambda percent, text: None)
        arguments, environment = run.calls[0]
        self.assertEqual(
            ['--no-defaults', '--force', '--skip-ssl', '--socket=/run/s', '--user=os_admin'],
            arguments[1:],
        )
        self.assertEqual('secret', environment['MYSQL_PWD'])

    def test_phases_are_progress(self):
        seen = []
        engine_upgrade.run(
            fakes.Programs(lines=['Phase 1/8: a', 'x', 'Phase 5/8: b']),
            self.CREDENTIALS,
            lambda percent, text: seen.append(percent),
        )
        self.assertEqual([0, 50], seen)

    def test_a_failure_ends_with_its_last_words(self):
        run = fakes.Programs(Finished(1, 'one\nFATAL ERROR: Upgrade failed\n'))
        error = self.assertRaises(
            exceptions.StepFailed,
            engine_upgrade.run,
            run,
            self.CREDENTIALS,
            lambda percent, text: None,
        )
        self.assertEqual('ENGINE_UPGRADE_FAILED', error.code)
        self.assertIn('FATAL ERROR: Upgrade failed', error.message)

    def test_a_table_that_it_has_not_repaired_is_a_failure_whatever_its_code(self):
        lines = [
            'Repairing tables',
            'Error: Query execution was interrupted (max_statement_time exceeded)',
            '`a b`.`v`              FAILED',
            '`a`.`FAILED`           OK',
        ]
        run = fakes.Programs(Finished(0, '\n'.join(lines)), lines=lines)
        error = self.assertRaises(
            exceptions.StepFailed,
            engine_upgrade.run,
            run,
            self.CREDENTIALS,
            lambda percent, text: None,
        )
        self.assertEqual('ENGINE_UPGRADE_FAILED', error.code)
        self.assertIn('`a b`.`v` (1 in all)', error.message)
        self.assertIn('max_statement_time exceeded', error.message)

    def is_needed(self, former, present, last, name='mysql_upgrade_info'):
        data = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        if last is not None:
            (data / name).write_text(last)
        return engine_upgrade.is_needed(former, present, data)

    def test_it_is_not_needed_between_releases_of_one_series_by_three_words(self):
        for name, last in (
            ('mysql_upgrade_info', '10.11.2-MariaDB'),
            ('mariadb_upgrade_info', '10.11.19-MariaDB\n'),
        ):
            self.assertFalse(
                self.is_needed('10.11.14-MariaDB', '10.11.19-MariaDB-0+deb12u1', last, name)
            )

    def test_it_is_needed_where_one_of_them_is_of_another_series_or_says_nothing(self):
        same, other = '10.11.19-MariaDB', '11.8.6-MariaDB'
        for words in (
            (other, same, same),
            (same, other, same),
            (same, same, other),
            (same, same, None),
            (same, same, ''),
            (same, same, 'garbage'),
            ('', same, same),
            (same, '', same),
            ('', '', ''),
            ('8.4.7', '8.4.8', '8.4.7'),
        ):
            self.assertTrue(self.is_needed(*words), words)

    def test_it_is_needed_where_its_file_is_none_that_a_server_writes(self):
        same = '10.11.19-MariaDB'
        for make in (
            lambda path: path.symlink_to('/etc/hostname'),
            os.mkfifo,
            lambda path: path.mkdir(),
        ):
            data = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
            (data / 'mysql_upgrade_info').write_text(same)
            make(data / 'mariadb_upgrade_info')
            self.assertTrue(engine_upgrade.is_needed(same, same, data))

    def test_a_missing_program_is_a_failure(self):
        self.assertRaises(
            exceptions.StepFailed,
            engine_upgrade.run,
            fakes.Programs(installed=False),
            self.CREDENTIALS,
            lambda percent, text: None,
        )


class TestPrograms(base.TestCase):
    def test_output_and_return_code_come_back(self):
        seen = []
        found = programs.LocalPrograms().run(
            ['/bin/sh', '-c', 'echo a; echo b >&2; exit 3'], timeout_seconds=30, on_line=seen.append
        )
        self.assertEqual((3, ['a', 'b']), (found.return_code, sorted(seen)))

    def test_what_does_not_end_is_ended_with_its_children(self):
        self.assertRaises(
            TimeoutError,
            programs.LocalPrograms().run,
            ['/bin/sh', '-c', 'sleep 60 & wait'],
            timeout_seconds=0.2,
        )

    def test_an_error_while_it_runs_ends_it(self):
        started = time.monotonic()
        self.assertRaises(
            ZeroDivisionError,
            programs.LocalPrograms().run,
            ['/bin/sh', '-c', 'echo a; sleep 60'],
            timeout_seconds=60,
            on_line=lambda line: 1 // 0,
        )
        self.assertLess(time.monotonic() - started, 30)

    def test_only_system_directories_are_searched(self):
        self.assertEqual('/usr/bin/env', programs.LocalPrograms().find('no-such-program', 'env'))
        self.assertIsNone(programs.LocalPrograms().find('no-such-program'))


class TestProbe(base.TestCase):
    def test_a_row_that_does_not_come_back_is_a_failure(self):
        session = fakes.Session(('SELECT word', [('other',)]))
        error = self.assertRaises(exceptions.StepFailed, probe.write, session)
        self.assertEqual('WRITE_PROBE_FAILED', error.code)
        self.assertEqual('DROP DATABASE trove_upgrade_probe', session.statements[-1])

    def test_a_read_only_server_is_a_failure(self):
        self.assertRaises(
            exceptions.StepFailed,
            probe.write,
            fakes.Session(('CREATE', fakes.refusal(1290, 'read-only'))),
        )


class TestOwnership(base.TestCase):
    def test_an_unknown_user_is_a_failure(self):
        error = self.assertRaises(
            exceptions.StepFailed, ownership.give, pathlib.Path('/nonexistent'), 'no-such-user'
        )
        self.assertEqual('DATABASE_USER_MISSING', error.code)

    def volume(self, owners):
        """A volume with these names and owners; a name with a dot is a file."""
        volume = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        for name, owner in owners.items():
            path = volume / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch() if '.' in path.name.lstrip('.') else path.mkdir(exist_ok=True)
            os.chown(path, owner, owner)
        return volume

    def owners(self, volume):
        return {str(path.relative_to(volume)): path.lstat().st_uid for path in volume.rglob('*')}

    def test_what_the_former_user_had_beside_the_data_is_given_too(self):
        volume = self.volume(
            {
                'data': 4242,
                'data/ibdata.1': 4242,
                'binlog': 4242,
                'binlog/mysql-bin.index': 4242,
                'keys': 0,
                'keys/of.root': 0,
                'keys/own.key': 4242,
                'other': 99,
                '.trove-upgrade': 0,
                '.trove-upgrade/stash.1': 0,
                'general.log': 4242,
            }
        )
        (volume / 'binlog/link').symlink_to('../keys/of.root')
        daemon = pwd.getpwnam('daemon').pw_uid
        for _ in range(2):
            ownership.give(volume / 'data', 'daemon')
            self.assertEqual(
                {
                    'data': daemon,
                    'data/ibdata.1': daemon,
                    'binlog': daemon,
                    'binlog/mysql-bin.index': daemon,
                    'binlog/link': 0,
                    'keys': 0,
                    'keys/of.root': 0,
                    'keys/own.key': daemon,
                    'other': 99,
                    '.trove-upgrade': 0,
                    '.trove-upgrade/stash.1': 0,
                    'general.log': daemon,
                },
                self.owners(volume),
            )

    def test_what_is_given_beside_the_data_is_finished_before_the_data_tells_another_owner(self):
        volume = self.volume({'data': 4242, 'binlog': 4242})
        ownership.give_beside(volume / 'data', 77, 78)
        self.assertEqual({'data': 4242, 'binlog': 77}, self.owners(volume))

    def test_a_server_that_ran_as_root_gives_nothing_of_root_away(self):
        volume = self.volume({'data': 0, 'binlog': 0, 'lost+found': 0})
        ownership.give(volume / 'data', 'daemon')
        self.assertEqual(0, self.owners(volume)['lost+found'])


class TestServer(base.TestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.clock = fakes.Clock()
        self.context = datastore.DriverContext(
            volume=self.root / 'v',
            data_directory=self.root / 'v/data',
            etc=self.root / 'etc',
            run=self.root / 'run/trove-upgrade',
            image_facts=ImageFacts(),
            now=None,
            monotonic=self.clock,
        )
        self.service = fakes.Service(running=None)
        self.tried = []
        self.answering = True
        self.session = fakes.Session(('SELECT VERSION', [('10.11.14-MariaDB',)]))
        self.server = server.Server(
            self.context,
            self.service,
            self.connect,
            self.sleep,
            groups=option_groups.MARIADB,
            start_seconds=5,
        )

    def sleep(self, seconds):
        self.clock.seconds += seconds

    def connect(self, credentials, timeout_seconds):
        self.tried.append(credentials.user)
        if not self.answering or credentials.user == 'stranger':
            raise connection.NoAnswer(socket=credentials.socket, found='no')
        return self.session

    def log(self, text):
        (self.root / 'v/data').mkdir(parents=True)
        path = self.root / 'var/log/mysql/error.log'
        path.parent.mkdir(parents=True)
        path.write_text(text)

    def test_the_client_file_s_user_is_tried_before_root(self):
        (self.root / 'root').mkdir()
        (self.root / 'root/.my.cnf').write_text('[client]\nuser=stranger\npassword=p\n')
        self.assertEqual('10.11.14-MariaDB', self.server.version())
        self.assertEqual(['stranger', 'root'], self.tried)

    def test_nobody_there_is_no_version(self):
        self.answering = False
        self.assertIsNone(self.server.version())

    def test_isolation_is_written_before_the_start_and_removed_before_the_next(self):
        self.server.start(OURS, ('--skip-networking', '--x=1'))
        self.assertEqual('--skip-networking\n--x=1\n', self.server.arguments_file.read_text())
        self.server.start(OURS)
        self.assertFalse(self.server.arguments_file.exists())

    def test_a_start_without_an_answer_fails_with_the_end_of_the_log(self):
        self.answering = False
        self.log('first\nlast words\n')
        error = self.assertRaises(exceptions.StepFailed, self.server.start, OURS)
        self.assertEqual('DATABASE_NOT_STARTED', error.code)
        self.assertTrue(error.message.endswith('last words'))

    def test_a_server_that_ends_while_starting_is_not_waited_for(self):
        self.answering = False
        self.service.start = lambda name: None
        error = self.assertRaises(exceptions.StepFailed, self.server.start, OURS)
        self.assertIn('has ended', error.message)
        self.assertEqual(0, self.clock.seconds)

    def test_a_refusal_of_the_service_ends_with_the_log_too(self):
        def refuse(name):
            raise exceptions.StepFailed('unit failed', 'SERVICE_NOT_STARTED')

        self.service.start = refuse
        self.log('why')
        error = self.assertRaises(exceptions.StepFailed, self.server.start, OURS)
        self.assertIn('unit failed', error.message)
        self.assertTrue(error.message.endswith('why'))

    def test_a_server_that_does_not_end_is_a_failure_with_progress_on_the_way(self):
        said = []
        error = self.assertRaises(
            exceptions.StepFailed,
            self.server.wait_for_end,
            None,
            lambda percent, text: said.append(text),
            3,
        )
        self.assertEqual('DATABASE_NOT_STOPPED', error.code)
        self.assertTrue(said)

    def test_a_process_that_is_gone_is_gone(self):
        self.server.wait_for_end(2**22 + 1, lambda percent, text: None, 3)

    def stop(self):
        return stopping.Stop(
            server=self.server,
            collect=lambda session: 'fingerprint',
            progress=lambda percent, text: None,
            sleep=self.sleep,
            read_only='read_only',
            lock_seconds=7,
            shutdown_seconds=3,
        )

    def test_a_lock_that_is_not_had_is_a_refusal_and_the_session_is_let_go(self):
        self.session.rules = fakes.Session(
            ('FLUSH TABLES', fakes.refusal(1205)), ('PROCESSLIST', [(4, 'u', 90, 'User lock')])
        ).rules
        error = self.assertRaises(exceptions.StepRefused, self.stop().run)
        self.assertEqual('DATABASE_BUSY', error.code)
        self.assertIn('connection 4 of u: User lock for 90 s', error.message)
        self.assertTrue(self.session.closed)
        self.assertNotIn('SHUTDOWN', self.session.statements)

    def test_a_prepared_transaction_is_a_refusal_before_the_shutdown(self):
        self.session.rules = fakes.Session(('XA RECOVER', [(1, 1, 0, 'x')])).rules
        self.assertEqual(
            'PREPARED_TRANSACTIONS', self.assertRaises(exceptions.StepRefused, self.stop().run).code
        )
        self.assertNotIn('SHUTDOWN', self.session.statements)

    def test_an_abort_while_the_server_shuts_down_counts_once_it_has_gone(self):
        """One that is started before that finds its own end."""

        def aborted(_percent, text):
            if 'is shutting down' in text:
                raise exceptions.StepRefused(text, 'UPGRADE_ABORTED')

        def sleep(seconds):
            self.sleep(seconds)
            self.answering = self.clock.seconds < 2

        self.session.rules = fakes.Session(
            ('pid_file', [('/nonexistent/pid',)]),
            ('SELECT @@global.innodb_fast_shutdown', [(1, 0, 'OFF')]),
            ('SELECT VERSION', [('10.11.14-MariaDB',)]),
        ).rules
        self.server = server.Server(
            self.context,
            self.service,
            self.connect,
            sleep,
            groups=option_groups.MARIADB,
            start_seconds=5,
        )
        stop = dataclasses.replace(self.stop(), progress=aborted)
        error = self.assertRaises(exceptions.StepRefused, stop.run)
        self.assertIn(', 0 s', error.message)  # the first of them
        self.assertFalse(self.answering)

    def test_the_lock_comes_before_and_the_shutdown_after_the_fingerprint(self):
        said = self.session.statements

        rounds = [[(8,)], []]

        def others():
            return rounds.pop(0)

        def collect(session):
            said.append('(fingerprint)')
            self.answering = False
            return 'fingerprint'

        self.session.rules = fakes.Session(
            ('pid_file', [('/nonexistent/pid',)]),
            ('SELECT @@global.innodb_fast_shutdown', [(2, 0, 'ON')]),
            ('PROCESSLIST', others),
        ).rules
        stop = stopping.Stop(
            server=self.server,
            collect=collect,
            progress=lambda percent, text: None,
            sleep=self.sleep,
            read_only='read_only',
            lock_seconds=7,
            shutdown_seconds=3,
        )
        self.assertEqual('fingerprint', stop.run())
        order = [
            said.index(word)
            for word in (
                'FLUSH TABLES WITH READ LOCK',
                '(fingerprint)',
                'SET GLOBAL innodb_fast_shutdown = 1',
                'SET GLOBAL event_scheduler = OFF',
                'SET GLOBAL read_only = 1',
                'KILL 8',
                'SHUTDOWN',
            )
        ]
        self.assertEqual(sorted(order), order)

    def test_a_shutdown_that_is_refused_leaves_the_server_as_it_was(self):
        self.session.rules = fakes.Session(
            ('pid_file', [('/nonexistent/pid',)]),
            ('SELECT @@global.innodb_fast_shutdown', [(1, 0, 'ON')]),
            ('SHUTDOWN', fakes.refusal(1227, 'denied')),
        ).rules
        self.assertEqual(
            'FINGERPRINT_FAILED', self.assertRaises(exceptions.StepRefused, self.stop().run).code
        )
        self.assertEqual(
            ['SET GLOBAL read_only = 0', 'SET GLOBAL event_scheduler = ON'],
            self.session.statements[-2:],
        )

    def test_no_server_is_a_refusal(self):
        self.answering = False
        self.assertEqual(
            'DATABASE_NOT_RUNNING', self.assertRaises(exceptions.StepRefused, self.stop().run).code
        )
