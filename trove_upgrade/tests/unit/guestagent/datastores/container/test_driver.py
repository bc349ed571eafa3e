# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json
import os
import pathlib

import fixtures

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.datastores import factory
from trove_upgrade.guestagent.datastores.base import DatastoreDriver, Fingerprint, Stashed
from trove_upgrade.guestagent.datastores.image_facts import ImageFacts
from trove_upgrade.guestagent.datastores.mysql_family import connection, isolated
from trove_upgrade.guestagent.datastores.mysql_family.container.record import ImageChoice
from trove_upgrade.guestagent.datastores.mysql_family.datastore import Datastore
from trove_upgrade.guestagent.datastores.mysql_family.engines.mariadb import MariaDB
from trove_upgrade.guestagent.datastores.mysql_family.engines.mysql import MySQL
from trove_upgrade.guestagent.datastores.mysql_family.hosts.container_host import (
    ContainerHost,
    Containers,
)
from trove_upgrade.guestagent.machine.containers import errors
from trove_upgrade.guestagent.machine.finished import Finished
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent.datastores import fakes as family
from trove_upgrade.tests.unit.guestagent.datastores.container import fakes
from trove_upgrade.tests.unit.guestagent.datastores.container.fakes import NEW, OLD

TARGET = TargetFacts(version_number='11.8', server_version='11.8.6')
FIRST = 'trove-upgrade-first-start'


def quiet(percent, sentence):
    """No caller listens."""


class ContainerTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.guest = fakes.Guest(pathlib.Path(self.useFixture(fixtures.TempDir()).path))

    @property
    def engine(self):
        return self.guest.engine

    @property
    def database(self):
        return self.engine.containers.get('database')

    def stopped(self):
        driver = self.guest.driver()
        driver.prepare_target(TARGET, GuestOptions(), quiet)
        driver.set_autostart(enabled=False)
        driver.fingerprint_and_stop(GuestOptions(), quiet)
        return driver

    def restored(self, here=(NEW,), options=None):
        """On a new root disk, up to the configuration."""
        self.stopped()
        self.guest.new_root(here)
        driver = self.guest.driver()
        driver.own_data()
        self.assertEqual('ok', driver.check_configuration(options or GuestOptions()).outcome)
        return driver


class TestBefore(ContainerTestCase):
    def test_a_configuration_that_is_not_all_read_is_refused_before_anything_is_stopped(self):
        driver = self.guest.driver()
        with (self.guest.root / 'etc/mysql/my.cnf').open('r+b') as stream:
            stream.truncate(64 << 30)
        codes = [
            result.code
            for result in driver.checks(TARGET, GuestOptions())
            if result.outcome == 'refused'
        ]
        self.assertIn('CONFIGURATION_NOT_READ', codes)
        self.assertEqual(
            'CONFIGURATION_NOT_READ',
            self.assertRaises(
                exceptions.StepRefused, driver.fingerprint_and_stop, GuestOptions(), quiet
            ).code,
        )
        self.assertTrue(self.database.running)

    def test_what_an_option_for_keys_names_is_not_searched(self):
        for number in range(3):
            self.guest.root.joinpath('keys', str(number)).mkdir(parents=True)
        searched = self.guest.root / 'keys'
        my = self.guest.root / 'etc/mysql/my.cnf'
        my.write_text(f'{my.read_text()}ssl_capath = {searched}\nno_such_option_at_all = 1\n')
        for directory in searched.iterdir():
            os.utime(directory, ns=(0, 1))
        self.guest.driver().checks(
            dataclasses.replace(TARGET, options=('ssl-capath', 'socket')), GuestOptions()
        )
        self.assertEqual({0}, {directory.stat().st_atime_ns for directory in searched.iterdir()})

    def test_after_the_stop_the_configuration_is_not_read_again(self):
        redo = self.guest.volume / 'data/redo'
        redo.mkdir()
        my = self.guest.root / 'etc/mysql/my.cnf'
        my.write_text(my.read_text() + 'innodb_log_group_home_dir = redo\n')
        driver = self.stopped()
        (redo / 'ib_logfile0').symlink_to(
            '/dev/zero'
        )  # as the clean end of a server it does not count
        my.unlink()
        self.assertFalse(driver.shutdown_was_clean())

    def test_image_and_trial_come_before_anything_is_stopped(self):
        self.stopped()
        self.assertEqual(
            ['pull', 'throwaway', 'throwaway', 'hold', 'policy', 'SHUTDOWN'], self.engine.names()
        )
        self.assertEqual(('policy', 'database', 'no'), self.engine.asked[4])
        self.assertEqual(('exited', 0), (self.database.status, self.database.exit_code))

    def test_an_image_that_is_here_is_not_pulled(self):
        self.engine.images[NEW] = fakes.IMAGES[NEW]
        self.guest.driver().prepare_target(TARGET, GuestOptions(), quiet)
        self.assertEqual(['throwaway', 'throwaway'], self.engine.names())

    def test_an_image_of_an_older_release_is_refused_before_anything_is_stopped(self):
        for version in (
            '10.6.18-MariaDB',
            '5.5.68-MariaDB',
            '10.5.29-MariaDB-0+deb11u1 from Debian',
        ):
            self.engine.target = Finished(
                0, f'trove-upgrade-version mariadbd  Ver {version} for Linux\n'
            )
            error = self.assertRaises(
                exceptions.StepRefused,
                self.guest.driver().prepare_target,
                TARGET,
                GuestOptions(),
                quiet,
            )
            self.assertEqual('DOWNGRADE', error.code)
            self.assertIn(version.partition(' ')[0], error.message)
        self.assertTrue(self.database.running)

    def test_an_image_of_another_release_than_its_version_is_refused_before_anything_is_stopped(
        self,
    ):
        self.engine.target = Finished(
            0,
            'trove-upgrade-version /usr/sbin/mariadbd  Ver 11.8.9-MariaDB-0+deb13u1 from Debian '
            'for debian-linux-gnu on x86_64 (-- Please help get to 10k stars)\n',
        )
        for expected in ('11.8.6', '11.9'):
            error = self.assertRaises(
                exceptions.StepRefused,
                self.guest.driver().prepare_target,
                dataclasses.replace(TARGET, server_version=expected),
                GuestOptions(),
                quiet,
            )
            self.assertEqual('SERVER_VERSION_DIFFERS', error.code)
            self.assertIn('11.8.9', error.message)
        self.assertTrue(self.database.running)
        for expected in ('11.8.9', '11.8', ''):
            self.guest.driver().prepare_target(
                dataclasses.replace(TARGET, server_version=expected), GuestOptions(), quiet
            )

    def test_an_image_that_lacks_a_library_is_refused_by_the_name_of_what_uses_it(self):
        self.guest.session_rules.append(('mysql.func', [('sys_exec', 'lib_mysqludf_sys.so')]))
        self.engine.target = Finished(
            0,
            'trove-upgrade-version mariadbd  Ver 11.8.6-MariaDB\ntrove-upgrade-lacks '
            'lib_mysqludf_sys.so\n',
        )
        error = self.assertRaises(
            exceptions.StepRefused,
            self.guest.driver().prepare_target,
            TARGET,
            GuestOptions(),
            quiet,
        )
        self.assertEqual('PLUGIN_MISSING', error.code)
        self.assertIn('function sys_exec (lib_mysqludf_sys.so)', error.message)
        self.assertIn('lib_mysqludf_sys.so', self.engine.asked_server)

    def test_a_file_that_only_the_former_container_has_is_refused(self):
        my = self.guest.root / 'etc/mysql/my.cnf'
        my.write_text(
            f'{my.read_text()}init_file = /srv/init.sql\nssl_ca = '
            f'{self.guest.root}/etc/mysql/ca.pem\ntmpdir = /srv/tmp:/gone\n'
        )
        self.engine.finished['sh'] = Finished(0, '/srv/init.sql\n/srv/tmp\n')
        self.engine.target = Finished(
            0,
            'trove-upgrade-lacks-file /srv/init.sql\ntrove-upgrade-version mariadbd  Ver '
            '11.8.6-MariaDB\n',
        )
        error = self.assertRaises(
            exceptions.StepRefused,
            self.guest.driver().prepare_target,
            TARGET,
            GuestOptions(),
            quiet,
        )
        self.assertEqual('FILE_NOT_KEPT', error.code)
        self.assertIn('/srv/init.sql is in the container alone (init-file, ', error.message)
        self.assertNotIn('/gone', self.engine.asked_server)
        self.assertNotIn('ca.pem', self.engine.asked_server)
        self.assertTrue(self.database.running)

    def test_an_image_whose_server_tells_nothing_is_left_to_the_trial(self):
        self.engine.target = Finished(127, '')
        self.guest.driver().prepare_target(TARGET, GuestOptions(), quiet)

    def test_the_configuration_is_tried_without_network_and_as_the_containers_user(self):
        self.guest.driver().prepare_target(TARGET, GuestOptions(), quiet)
        self.assertIn(
            (
                'throwaway',
                NEW,
                '1001:1001',
                (
                    f'{self.guest.root}/etc/mysql:/etc/mysql:ro',
                    f'{self.guest.root}/var/lib/mysqld:/var/run/mysqld:ro',
                    f'{self.guest.volume}:{self.guest.volume}:ro',
                ),
                'none',
            ),
            self.engine.asked,
        )
        self.assertIn('--ignore-db-dir=conf.d', self.engine.script)
        self.assertNotIn('--datadir=/var/lib/mysql', self.engine.script)
        self.assertIn('--bootstrap', self.engine.script)

    def test_a_tag_that_the_registry_does_not_know_is_refused_and_nothing_is_touched(self):
        error = self.assertRaises(
            exceptions.StepRefused,
            self.guest.driver().prepare_target,
            TargetFacts(version_number='10.77'),
            {},
            quiet,
        )
        self.assertEqual('CONTAINER_IMAGE_NOT_FOUND', error.code)
        self.assertEqual(['pull'], self.engine.names())
        self.assertTrue(self.database.running)
        self.assertIn(OLD, self.engine.images)

    def test_a_configuration_that_the_target_refuses_is_refused_with_its_words(self):
        self.engine.trial = Finished(7, "[ERROR] mariadbd: unknown variable 'x=1'\n")
        error = self.assertRaises(
            exceptions.StepRefused,
            self.guest.driver().prepare_target,
            TARGET,
            GuestOptions(),
            quiet,
        )
        self.assertEqual('CONFIGURATION_REFUSED', error.code)
        self.assertIn("unknown variable 'x=1'", error.message)
        for trial in (
            Finished(120, 'the image has no database server'),
            errors.ContainerFailed('no such shell'),
            TimeoutError('120 s'),
        ):
            self.engine.trial = trial
            error = self.assertRaises(
                exceptions.StepRefused,
                self.guest.driver().prepare_target,
                TARGET,
                GuestOptions(),
                quiet,
            )
            self.assertEqual('CONFIGURATION_NOT_TRIED', error.code)
        self.assertNotIn('policy', self.engine.names())

    def test_an_engine_that_does_not_answer_is_a_refusal(self):
        driver = self.guest.driver()
        self.engine.down = True
        error = self.assertRaises(
            exceptions.StepRefused, driver.prepare_target, TARGET, GuestOptions(), quiet
        )
        self.assertEqual('ENGINE_NOT_ANSWERING', error.code)

    def test_the_image_is_what_the_facts_say_then_the_version_number(self):
        reference = self.guest.driver(repositories=['elsewhere/db']).host.images.reference
        self.assertEqual(
            'elsewhere/db:1',
            reference(dataclasses.replace(TARGET, container_image='elsewhere/db:1')),
        )
        self.assertEqual(NEW, reference(TARGET))
        self.assertEqual('registry/mariadb:11.8.6', reference(TargetFacts(server_version='11.8.6')))
        for driver, target in (
            (self.guest.driver(repository=None), TARGET),
            (self.guest.driver(), TargetFacts()),
        ):
            self.assertEqual(
                'CONTAINER_IMAGE_UNKNOWN',
                self.assertRaises(
                    exceptions.StepRefused, driver.host.images.reference, target
                ).code,
            )

    FORGED = (
        TargetFacts(container_image='evil.example/mariadb:11.8'),
        TargetFacts(container_image='mariadb:11.8'),
        TargetFacts(container_image='registry/mariadb2:11.8'),
        TargetFacts(container_image='registry/mariadb/x:11.8'),
        TargetFacts(container_image='evil.example/registry/mariadb:11.8'),
        TargetFacts(container_image=f'evil.example/mariadb@sha256:{"1" * 64}'),
        TargetFacts(container_image='1' * 64),
        TargetFacts(container_image='registry/mariadb:11.8\n'),
        TargetFacts(container_image=f'sha256:{"1" * 64}'),
        TargetFacts(version_number='11.8/../x:1'),
        TargetFacts(version_number=f'11.8@sha256:{"1" * 64}'),
        TargetFacts(version_number='11.8\n'),
        TargetFacts(server_version='11 8'),
    )
    CODES = frozenset({'CONTAINER_REPOSITORY_NOT_ALLOWED', 'CONTAINER_IMAGE_INVALID'})

    def test_a_forged_call_chooses_no_image_of_a_repository_that_the_guest_does_not_name(self):
        for forged in self.FORGED:
            self.assertIn(self.results(forged)['container_image'].code, self.CODES, forged)
            self.assertIn(
                self.assertRaises(
                    exceptions.StepRefused,
                    self.guest.driver().prepare_target,
                    forged,
                    GuestOptions(),
                    quiet,
                ).code,
                self.CODES,
            )
        self.assertEqual([], self.engine.asked)
        self.assertTrue(self.database.running)

    def test_what_a_forged_call_names_is_quoted_in_part(self):
        for forged in (
            TargetFacts(container_image='x' * 100000),
            TargetFacts(version_number='1' * 100000),
        ):
            self.assertLess(len(self.results(forged)['container_image'].message), 1000)

    def test_a_repository_that_is_not_named_tells_the_operator_what_to_set(self):
        found = self.results(
            dataclasses.replace(TARGET, container_image='elsewhere:5000/team/mariadb:11.8')
        )['container_image']
        self.assertEqual('CONTAINER_REPOSITORY_NOT_ALLOWED', found.code)
        self.assertIn('registry/mariadb alone', found.message)
        self.assertIn(
            'add elsewhere:5000/team/mariadb to [trove_upgrade] container_repositories',
            found.message,
        )

    def test_a_repository_that_the_configuration_names_is_taken(self):
        for named in ('elsewhere/db', 'docker.io/elsewhere/db'):
            driver = self.guest.driver(repositories=['no repository', 'elsewhere/db:1', named])
            self.assertEqual(
                'elsewhere/db:2',
                driver.host.images.reference(TargetFacts(container_image='elsewhere/db:2')),
            )

    def test_a_number_that_is_no_tag_asks_the_registry_for_no_backup_image(self):
        driver = self.guest.driver(backup_repository='registry/backup')
        found = {
            result.name: result
            for result in driver.checks(
                TargetFacts(version_number='../../containers/json'), GuestOptions()
            )
        }
        self.assertEqual(
            ('warning', 'BACKUP_IMAGE_UNKNOWN'),
            (found['backup_image'].outcome, found['backup_image'].code),
        )

    def results(self, target=TARGET):
        return {
            result.name: result for result in self.guest.driver().checks(target, GuestOptions())
        }

    def test_a_network_that_a_new_root_disk_has_not_is_refused(self):
        self.assertEqual('ok', self.results()['container'].outcome)
        raw = {**self.database.definition, 'HostConfig': {'NetworkMode': 'database-network'}}
        self.engine.containers['database'] = dataclasses.replace(self.database, definition=raw)
        self.assertEqual('CONTAINER_NETWORK', self.results()['container'].code)

    def test_checks_bring_nothing_here(self):
        self.assertEqual('ok', self.results()['container_image'].outcome)
        self.assertEqual(
            'CONTAINER_IMAGE_UNKNOWN', self.results(TargetFacts())['container_image'].code
        )
        self.assertEqual(
            'CONTAINER_IMAGE_NOT_FOUND',
            self.results(TargetFacts(version_number='10.77'))['container_image'].code,
        )
        self.engine.registry = None
        self.assertEqual(
            ('warning', 'ENGINE_REFUSED'),
            (self.results()['container_image'].outcome, self.results()['container_image'].code),
        )
        self.engine.registry = {}
        self.assertEqual([], self.engine.asked)
        self.engine.images[NEW] = fakes.IMAGES[NEW]
        self.assertEqual('ok', self.results()['container_image'].outcome)
        self.engine.end('database', 0)
        self.assertEqual(
            {'database_answers': 'DATABASE_NOT_RUNNING', 'container': 'CONTAINER_NOT_RUNNING'},
            {name: result.code for name, result in self.results().items() if result.code},
        )

    def test_what_is_kept_has_no_secret_and_nothing_of_the_old_image(self):
        driver = self.stopped()
        kept = driver.stash_roots()
        self.assertEqual(
            [
                self.guest.root / 'etc/mysql',
                driver.host.records.path,
                driver.host.tried.path,
                driver.host.records.path.with_name('database-health-accounts.json'),
            ],
            kept,
        )
        text = driver.host.records.path.read_text()
        self.assertNotIn(fakes.PASSWORD, text)
        record = json.loads(text)
        self.assertEqual(['MARIADB_AUTO_UPGRADE=1'], record['definition']['Config']['Env'])
        self.assertEqual(['MYSQL_ROOT_PASSWORD'], record['secrets'])
        self.assertEqual(0o600, driver.host.records.path.stat().st_mode & 0o777)
        below = f'{self.guest.root}/etc/mysql/conf.d/x.cnf'
        names = [str(path) for path in kept]
        never = [
            f'{self.guest.root}/etc/mysql/{name}'
            for name in ('debian-start', 'mysqlsh/mysqlshrc.py', 'keys/auth.so')
        ]
        self.assertEqual(
            [*names, below],
            list(
                driver.restore_paths(
                    Stashed(
                        paths=[], files=[*names, below, *never], links={}, content=lambda _name: b''
                    )
                )
            ),
        )
        self.assertEqual(
            [*names, below],
            list(
                driver.restore_paths(
                    Stashed(
                        paths=[],
                        files=[*names, below, '/etc/mysql-other/x.cnf', '/opt/trove-guestagent/x'],
                        links={},
                        content=lambda _name: b'',
                    )
                )
            ),
        )


class TestStopping(ContainerTestCase):
    def test_an_exit_code_other_than_0_is_no_clean_end(self):
        self.engine.exit_code = 137
        error = self.assertRaises(exceptions.StepFailed, self.stopped)
        self.assertEqual('SHUTDOWN_NOT_CLEAN', error.code)
        self.assertIn('code 137', error.message)
        self.assertFalse(self.guest.driver().shutdown_was_clean())

    def test_a_server_that_does_not_end_is_stopped_by_the_engine_with_a_time_and_refused(self):
        self.engine.exit_code = None
        driver = self.guest.driver()
        error = self.assertRaises(
            exceptions.StepFailed,
            driver.fingerprint_and_stop,
            GuestOptions(shutdown_seconds=5),
            quiet,
        )
        self.assertEqual('DATABASE_NOT_STOPPED', error.code)
        self.assertEqual(('stop', 'database', 300), self.engine.asked[-1])

    def test_a_container_that_somebody_removes_meanwhile_is_told(self):
        driver = self.guest.driver()
        self.guest.session_rules = [('^SHUTDOWN', lambda: self.engine.remove('database') or [])]
        error = self.assertRaises(
            exceptions.StepFailed, driver.fingerprint_and_stop, GuestOptions(), quiet
        )
        self.assertEqual('DATABASE_NOT_STOPPED', error.code)

    def test_a_session_that_is_lost_before_the_shutdown_is_a_refusal(self):
        self.guest.session_rules = [
            ('FLUSH TABLES', connection.SessionError('FLUSH', 2013, 'gone'))
        ]
        error = self.assertRaises(
            exceptions.StepRefused, self.guest.driver().fingerprint_and_stop, GuestOptions(), quiet
        )
        self.assertEqual('FINGERPRINT_FAILED', error.code)

    def test_the_server_is_asked_by_trove_s_socket_with_the_password_that_trove_keeps(self):
        self.assertEqual('10.11.18-MariaDB', self.guest.driver().server_version())
        found = self.guest.credentials[0]
        self.assertEqual(
            (f'{self.guest.root}/var/lib/mysqld/other.sock', 'root', fakes.PASSWORD),
            (found.socket, found.user, found.password),
        )

    def test_a_password_file_that_is_a_link_is_not_read(self):
        path = self.guest.volume / 'conf.d/root.cnf'
        path.rename(self.guest.root / 'elsewhere')
        path.symlink_to(self.guest.root / 'elsewhere')
        self.assertIsNone(self.guest.driver().server_version())
        (self.guest.volume / 'conf.d/os_admin.cnf').write_text(
            f'[client]\nuser = somebody\npassword = {fakes.PASSWORD}\n'
        )
        self.assertIsNotNone(self.guest.driver().server_version())
        self.assertEqual('os_admin', self.guest.credentials[-1].user)


class TestUndo(ContainerTestCase):
    def test_the_same_container_is_started_again_with_its_policy(self):
        before = self.database.id
        self.stopped()
        driver = self.guest.driver()  # as after a restart of the agent
        driver.set_autostart(enabled=False)
        driver.undo_autostart()
        driver.start()
        driver.publish()
        self.assertEqual(
            (before, True, 'unless-stopped'),
            (self.database.id, self.database.running, self.database.restart_policy),
        )
        self.assertEqual('release', self.engine.names()[-1])
        driver.undo_autostart()
        driver.start()
        self.assertEqual(1, self.engine.names().count('start'))

    def test_a_policy_of_before_is_forgotten_by_no_second_stop(self):
        self.guest.engine.set_restart_policy('database', 'always')
        driver = self.stopped()
        driver.set_autostart(enabled=False)
        driver.undo_autostart()
        self.assertEqual('always', self.database.restart_policy)

    def test_a_container_that_was_removed_meanwhile_is_made_again_of_the_former_image(self):
        driver = self.stopped()
        self.engine.remove('database')
        driver.undo_autostart()
        driver.start()
        self.assertEqual(
            (OLD, 'unless-stopped'), (self.database.image, self.database.restart_policy)
        )
        self.assertIn(
            f'MYSQL_ROOT_PASSWORD={fakes.PASSWORD}', self.database.definition['Config']['Env']
        )

    def test_a_container_that_was_started_without_the_volume_is_stopped_and_started_again_with_it(
        self,
    ):
        driver = self.stopped()
        # By an operator, while the volume was away: it has its own empty directory.
        self.engine.start('database')
        raw = {**self.database.definition, 'State': {'Pid': 4711}}
        self.engine.containers['database'] = dataclasses.replace(self.database, definition=raw)
        inside = self.guest.root / 'proc/4711/root'
        (inside / str(self.guest.volume / 'data').lstrip('/')).mkdir(parents=True)
        self.engine.asked.clear()
        driver = self.guest.driver(proc=self.guest.root / 'proc')
        driver.undo_autostart()
        driver.start()
        self.assertEqual(['stop', 'policy', 'start'], self.engine.names())

    def test_a_container_that_sees_the_data_is_left_alone(self):
        driver = self.guest.driver(proc=self.guest.root / 'proc')
        raw = {**self.database.definition, 'State': {'Pid': 4711}}
        self.engine.containers['database'] = dataclasses.replace(self.database, definition=raw)
        inside = self.guest.root / 'proc/4711/root' / str(self.guest.volume).lstrip('/')
        inside.mkdir(parents=True)
        (inside / 'data').symlink_to(self.guest.volume / 'data')
        driver.undo_autostart()
        self.assertEqual([], self.engine.names())


class TestAfter(ContainerTestCase):
    def test_the_first_start_is_isolated_and_the_final_container_is_as_trove_made_it(self):
        driver = self.restored()
        driver.start_isolated()
        first = self.engine.containers[FIRST]
        self.assertEqual(
            ('none', 'no', NEW),
            (first.definition['HostConfig']['NetworkMode'], first.restart_policy, first.image),
        )
        self.assertNotIn('PortBindings', first.definition['HostConfig'])
        self.assertEqual(
            ['--datadir=/var/lib/mysql/data', *isolated.WITHOUT_TLS],
            first.definition['Config']['Cmd'][2:],
        )
        self.assertIn(f'MYSQL_ROOT_PASSWORD={fakes.PASSWORD}', first.definition['Config']['Env'])
        self.assertIn('MARIADB_AUTO_UPGRADE=', first.definition['Config']['Env'])
        self.assertIsNone(self.database)
        driver.upgrade_data(quiet)
        ran = next(
            entry
            for entry in self.engine.asked
            if entry[:3] == ('exec', FIRST, '/usr/bin/mariadb-upgrade')
        )
        self.assertEqual(fakes.PASSWORD, ran[3]['MYSQL_PWD'])
        driver.set_autostart(enabled=True)
        driver.open_for_clients()
        self.assertNotIn(FIRST, self.engine.containers)
        self.assertEqual(
            (NEW, 'unless-stopped', True),
            (self.database.image, self.database.restart_policy, self.database.running),
        )
        self.assertEqual(
            [
                '--defaults-file=/etc/mysql/my.cnf',
                '--ignore-db-dir=conf.d',
                '--datadir=/var/lib/mysql/data',
            ],
            self.database.definition['Config']['Cmd'],
        )
        self.assertIn('MARIADB_AUTO_UPGRADE=1', self.database.definition['Config']['Env'])
        self.assertEqual(
            {'3306/tcp': [{'HostIp': '', 'HostPort': '13306'}]},
            self.database.definition['HostConfig']['PortBindings'],
        )
        self.assertEqual('ok', driver.autostart_is_durable().outcome)
        self.assertNotIn('remove_image', self.engine.names())

    def test_an_image_that_has_the_entrypoints_upgrade_on_does_not_upgrade_unwatched(self):
        self.stopped()
        self.guest.new_root((NEW,))
        eager = fakes.IMAGES[NEW]
        eager = dataclasses.replace(eager, env={**eager.env, 'MARIADB_AUTO_UPGRADE': '1'})
        self.engine.images[NEW] = eager
        driver = self.guest.driver()
        driver.check_configuration(GuestOptions())
        driver.start_isolated()
        environment = self.engine.containers[FIRST].definition['Config']['Env']
        self.assertEqual(
            ['MARIADB_AUTO_UPGRADE='],
            [item for item in environment if item.startswith('MARIADB_AUTO_UPGRADE')],
        )
        driver.open_for_clients()
        self.assertIn('MARIADB_AUTO_UPGRADE=1', self.database.definition['Config']['Env'])

    def test_each_part_may_be_repeated(self):
        driver = self.restored()
        for _ in range(2):
            driver.start_isolated()
        for _ in range(2):
            driver.open_for_clients()
        self.assertEqual(
            ['create', 'start', 'stop', 'remove', 'create', 'policy', 'start', 'policy'],
            self.engine.names(),
        )

    def test_a_container_without_a_command_of_its_own_gets_none_but_the_isolation(self):
        self.guest.trove_creates(Cmd=['mariadbd'])
        driver = self.restored()
        driver.start_isolated()
        self.assertEqual(
            '--skip-networking', self.engine.containers[FIRST].definition['Config']['Cmd'][0]
        )
        driver.open_for_clients()
        self.assertNotIn('Cmd', self.database.definition['Config'])

    def test_what_the_same_image_has_accepted_is_not_tried_again(self):
        self.restored()
        self.assertEqual([], self.engine.names())

    def test_an_image_that_is_not_preloaded_is_pulled_once_the_engine_is_up(self):
        self.stopped()
        self.guest.new_root(())
        self.engine.answers_after = 3
        self.assertEqual('ok', self.guest.driver().check_configuration(GuestOptions()).outcome)
        self.assertEqual(['pull'], self.engine.names())

    def test_a_new_root_disk_gets_a_head_start_with_the_image(self):
        self.stopped()
        self.guest.new_root(())
        self.guest.driver().prefetch()
        self.assertEqual([], self.engine.names())
        self.engine.answers_after = 3
        driver = self.guest.driver(number='11.8')
        driver.prefetch()
        driver.check_configuration(GuestOptions())
        self.assertEqual(['pull'], self.engine.names())
        self.assertRaises(errors.ContainerImageNotFound, self.guest.driver(number='10.77').prefetch)

    def test_an_image_that_is_another_one_now_is_tried(self):
        self.stopped()
        self.guest.new_root(())
        self.engine.registry[NEW] = fakes.image('mended')
        self.guest.driver().check_configuration(GuestOptions())
        self.assertEqual(['pull', 'throwaway'], self.engine.names())

    def test_an_engine_that_does_not_come_up_is_told(self):
        self.stopped()
        self.guest.new_root((NEW,))
        self.engine.down = True
        error = self.assertRaises(
            exceptions.StepFailed, self.guest.driver().check_configuration, GuestOptions()
        )
        self.assertEqual('ENGINE_NOT_ANSWERING', error.code)

    def test_a_broken_image_fails_at_once_with_its_last_words(self):
        driver = self.restored()
        self.engine.broken.add(fakes.IMAGES[NEW].id)
        error = self.assertRaises(exceptions.StepFailed, driver.start_isolated)
        self.assertEqual('DATABASE_NOT_STARTED', error.code)
        self.assertIn('the last words', error.message)
        self.assertLess(self.guest.clock.seconds, 5)
        self.engine.broken.clear()
        driver.start_isolated()
        self.assertTrue(self.engine.containers[FIRST].running)

    def test_a_broken_image_that_was_removed_for_a_mended_one_is_brought_again(self):
        driver = self.restored()
        self.engine.broken.add(fakes.IMAGES[NEW].id)
        self.assertRaises(exceptions.StepFailed, driver.start_isolated)
        self.engine.broken.clear()
        self.engine.remove(FIRST)
        del self.engine.images[NEW]
        self.engine.registry[NEW] = fakes.image('mended')
        driver.start_isolated()
        self.assertTrue(self.engine.containers[FIRST].running)
        self.assertEqual(fakes.image('mended').id, driver.host.records.require().chosen.image_id)

    def broken(self):
        """A first start has failed, and the registry has a mended image under the tag."""
        driver = self.restored()
        self.engine.broken.add(fakes.IMAGES[NEW].id)
        self.assertRaises(exceptions.StepFailed, driver.start_isolated)
        self.engine.registry[NEW] = fakes.image('mended')
        self.engine.asked.clear()
        return self.guest.driver()  # of the retry

    def test_a_mended_image_is_pulled_and_tried_though_the_broken_one_is_still_there(self):
        driver = self.broken()
        self.assertEqual('ok', driver.check_again(GuestOptions(), quiet).outcome)
        self.assertEqual(['pull', 'throwaway'], self.engine.names())
        self.assertEqual('sha256:mended', driver.host.records.require().chosen.image_id)
        driver.start_isolated()
        self.assertEqual(
            ('sha256:mended', True),
            (self.engine.containers[FIRST].image_id, self.engine.containers[FIRST].running),
        )
        self.engine.asked.clear()
        self.assertIsNone(
            driver.check_again(GuestOptions(), quiet)
        )  # while its server is on the data
        self.assertEqual([], self.engine.names())

    def test_a_mended_image_is_pulled_where_the_broken_one_was_removed(self):
        driver = self.broken()
        self.engine.remove_image(NEW)
        self.assertEqual('ok', driver.check_again(GuestOptions(), quiet).outcome)
        driver.start_isolated()
        self.assertEqual('sha256:mended', self.engine.containers[FIRST].image_id)

    def of_another_repository(self, expected):
        """The image that runs where the former root disk has named one of another repository."""
        former = self.stopped()
        record = former.host.records.require()
        other = dataclasses.replace(record.target, reference='elsewhere/mariadb:11.8')
        former.host.records.write(dataclasses.replace(record, target=other))
        self.guest.new_root((NEW, other.reference) if expected.container_image is None else (NEW,))
        driver = self.guest.driver()
        driver.expect(expected)
        self.assertEqual('ok', driver.check_configuration(GuestOptions()).outcome)
        return driver.host.records.require().chosen.reference

    def test_an_image_of_another_repository_than_the_target_s_does_not_run(self):
        self.assertEqual(
            NEW, self.of_another_repository(dataclasses.replace(TARGET, container_image=''))
        )

    def test_a_forged_call_starts_no_image_of_a_repository_that_the_guest_does_not_name(self):
        for forged in TestBefore.FORGED:
            self.guest.new_root((OLD,))
            self.guest.trove_creates()
            self.stopped()
            self.guest.new_root(())
            self.engine.images.update(
                {
                    name: fakes.image('evil')
                    for name in (forged.container_image, forged.version_number)
                    if name
                }
            )  # as if it were here already
            driver = self.guest.driver()
            driver.expect(dataclasses.replace(forged, container_image=forged.container_image or ''))
            error = self.assertRaises(
                exceptions.StepRefused, driver.check_configuration, GuestOptions()
            )
            self.assertIn(error.code, TestBefore.CODES, forged)
            self.assertEqual([], self.engine.names(), forged)

    def test_a_record_that_names_an_image_of_another_repository_is_not_followed_in_either_direction(
        self,
    ):
        for options in (GuestOptions(), GuestOptions(rollback=True)):
            self.guest.new_root((OLD,))
            self.guest.trove_creates()
            former = self.stopped()
            record = former.host.records.require()
            other = ImageChoice(
                'elsewhere/mariadb:11.8',
                'sha256:evil',
                ('elsewhere/mariadb@' + fakes.NEW_EXACT.partition('@')[2],),
            )
            former.host.records.write(dataclasses.replace(record, target=other, former=other))
            self.guest.new_root(())
            self.engine.images[other.reference] = fakes.image('evil')
            error = self.assertRaises(
                exceptions.StepRefused, self.guest.driver().check_configuration, options
            )
            self.assertEqual('CONTAINER_REPOSITORY_NOT_ALLOWED', error.code)
            self.assertEqual([], self.engine.names())

    def test_a_digest_of_the_facts_counts_whatever_the_record_names(self):
        self.stopped()
        self.guest.new_root((NEW,))
        self.engine.registry[fakes.NEW_EXACT] = fakes.IMAGES[NEW]
        driver = self.guest.driver()
        driver.expect(
            dataclasses.replace(
                TARGET, container_image=f'{NEW}{fakes.NEW_EXACT[len("registry/mariadb") :]}'
            )
        )
        self.assertEqual('ok', driver.check_configuration(GuestOptions()).outcome)
        self.assertEqual(fakes.NEW_EXACT, driver.host.records.require().chosen.reference)

    def test_the_final_container_has_the_rights_that_trove_gives_whatever_the_former_one_had(self):
        changed = {
            'Binds': [
                f'{self.guest.volume}:/etc/mysql:rw',
                f'{self.guest.root}/etc/mysql:/usr/sbin:rw',
            ],
            'Privileged': False,
            'IpcMode': 'shareable',
            'NetworkMode': 'container:other',
            'Tmpfs': {'/usr/lib/mysql': ''},
            'ExtraHosts': ['registry:10.0.0.9'],
            'Dns': ['10.0.0.9'],
            'PidMode': 'host',
            'Devices': [{'PathOnHost': '/dev/vda'}],
            'SecurityOpt': ['apparmor=unconfined'],
            'CapDrop': ['NET_RAW'],
        }
        former = self.stopped()
        record = former.host.records.require()
        defined = {
            'Config': {
                **record.definition['Config'],
                'Env': [
                    'MARIADB_AUTO_UPGRADE=1',
                    'LD_PRELOAD=/var/lib/mysql/x.so',
                    'PATH=/var/lib/mysql',
                ],
            },
            'HostConfig': {**record.definition['HostConfig'], **changed},
        }
        former.host.records.write(dataclasses.replace(record, definition=defined))
        self.guest.new_root((NEW,))
        driver = self.guest.driver()
        driver.check_configuration(GuestOptions())
        driver.own_data()
        driver.start_isolated()
        driver.open_for_clients()
        host, config = self.database.definition['HostConfig'], self.database.definition['Config']
        self.assertEqual(
            [
                f'{self.guest.root}/etc/mysql:/etc/mysql:rw',
                f'{self.guest.root}/var/lib/mysqld:/var/run/mysqld:rw',
                f'{self.guest.volume}:{self.guest.volume}:rw',
            ],
            host['Binds'],
        )
        self.assertEqual(
            (True, 'host', 'bridge', ['NET_RAW']),
            (host['Privileged'], host['IpcMode'], host['NetworkMode'], host['CapDrop']),
        )
        self.assertEqual(
            set(),
            host.keys()
            & {'Tmpfs', 'ExtraHosts', 'Dns', 'PidMode', 'Devices', 'SecurityOpt', 'CapAdd'},
        )
        self.assertNotIn('LD_PRELOAD=/var/lib/mysql/x.so', config['Env'])
        self.assertNotIn('PATH=/var/lib/mysql', config['Env'])
        self.assertIn('MARIADB_AUTO_UPGRADE=1', config['Env'])

    def test_a_container_whose_image_decides_on_its_user_has_no_privileges(self):
        record = self.guest.driver().host._record(ImageChoice(NEW, 'sha256:new'))
        for user, privileged in (
            ('1001:1001', True),
            ('1001', True),
            ('', False),
            ('mysql', False),
            ('0', False),
            ('0:1001', False),
        ):
            kept = {**record.definition, 'Config': {**record.definition['Config'], 'User': user}}
            self.assertEqual(
                privileged,
                self.guest.driver().host._privileges.given(kept)['HostConfig']['Privileged'],
                user,
            )

    def test_mysql_has_no_privileges(self):
        former = self.stopped()
        kept = former.host.records.require().definition
        self.assertTrue(kept['HostConfig']['Privileged'])
        self.assertFalse(
            self.guest.driver(MySQL()).host._privileges.given(kept)['HostConfig']['Privileged']
        )

    def test_a_registered_image_is_the_target_s_whatever_its_repository(self):
        self.assertEqual(
            NEW, self.of_another_repository(dataclasses.replace(TARGET, container_image=NEW))
        )

    def test_a_mended_image_that_refuses_the_configuration_is_told_each_time_and_not_chosen(self):
        driver = self.broken()
        self.engine.trial = Finished(7, "[ERROR] mariadbd: unknown variable 'x=1'\n")
        for _ in range(2):
            self.assertEqual(
                'CONFIGURATION_REFUSED', driver.check_again(GuestOptions(), quiet).code
            )
        self.assertEqual(fakes.IMAGES[NEW].id, driver.host.records.require().chosen.image_id)

    def test_an_image_that_nobody_has_mended_is_used_again_also_without_a_registry(self):
        driver = self.broken()
        self.engine.registry[NEW] = fakes.IMAGES[NEW]
        self.assertIsNone(driver.check_again(GuestOptions(), quiet))
        self.engine.registry_is_down = True
        self.assertIsNone(driver.check_again(GuestOptions(), quiet))
        self.engine.broken.clear()
        driver.start_isolated()
        self.assertTrue(self.engine.containers[FIRST].running)

    def test_a_mended_image_that_was_loaded_by_hand_is_tried_where_no_registry_is(self):
        driver = self.broken()
        self.engine.registry_is_down = True
        self.engine.images[NEW] = fakes.image('mended')
        self.assertEqual('ok', driver.check_again(GuestOptions(), quiet).outcome)
        self.assertEqual('sha256:mended', driver.host.records.require().chosen.image_id)

    def test_another_image_that_cannot_be_tried_makes_way_for_a_mended_one(self):
        self.stopped()
        self.guest.new_root((NEW,))
        self.engine.images[NEW] = fakes.image('moved')
        self.engine.registry[NEW] = fakes.IMAGES[NEW]
        self.engine.trial = Finished(120, 'the image has no database server')
        driver = self.guest.driver()
        self.assertEqual('ok', driver.check_configuration(GuestOptions()).outcome)
        self.assertEqual(['throwaway', 'pull'], self.engine.names())
        self.assertEqual(fakes.IMAGES[NEW].id, driver.host.records.require().chosen.image_id)

    def test_a_rollback_takes_no_mended_image(self):
        self.stopped()
        self.guest.new_root((OLD,))
        self.engine.registry[OLD] = fakes.image('moved')
        driver = self.guest.driver()
        driver.check_configuration(GuestOptions(rollback=True))
        self.assertIsNone(driver.check_again(GuestOptions(rollback=True), quiet))
        self.assertEqual([], self.engine.names())

    def test_a_rollback_runs_the_very_image_of_before(self):
        self.stopped()
        self.guest.new_root(())
        self.engine.registry[OLD] = fakes.image('moved')
        driver = self.guest.driver()
        self.assertEqual('ok', driver.check_configuration(GuestOptions(rollback=True)).outcome)
        driver.start_isolated()
        self.assertEqual(fakes.OLD_EXACT, self.engine.containers[FIRST].image)

    def test_a_stash_without_a_container_is_told(self):
        error = self.assertRaises(
            exceptions.StepFailed, self.guest.driver().check_configuration, GuestOptions()
        )
        self.assertEqual('CONTAINER_RECORD_MISSING', error.code)
        path = self.guest.driver().host.records.path
        path.parent.mkdir(parents=True)
        path.write_text('{"schema": 99}')
        self.assertEqual(
            'CONTAINER_RECORD_BROKEN',
            self.assertRaises(exceptions.StepFailed, self.guest.driver().host.records.read).code,
        )

    def test_a_proxy_that_accepts_for_a_server_that_is_not_there_is_not_believed(self):
        driver = self.restored()
        self.guest.greeting = b''
        error = self.assertRaises(exceptions.StepFailed, driver.open_for_clients)
        self.assertEqual('DATABASE_NOT_REACHABLE', error.code)

    def test_what_is_named_after_the_container_has_not_changed(self):
        before, after = (
            Fingerprint(
                server_version='',
                taken_at='',
                tables={},
                counted_only_by_file=[],
                users=[],
                grants={},
                objects={},
                settings={
                    'hostname': name,
                    'slow_query_log_file': f'{name}-slow.log',
                    'sql_mode': mode,
                },
            )
            for name, mode in (('07bcd01cce69', 'ANSI'), ('c272d6171624', ''))
        )
        changed = self.guest.driver().compare(before, after).settings_changed
        self.assertEqual(['sql_mode'], [change.name for change in changed])

    def test_a_policy_that_starts_nothing_at_boot_is_not_durable(self):
        driver = self.guest.driver()
        self.assertEqual('ok', driver.autostart_is_durable().outcome)
        self.engine.set_restart_policy('database', 'on-failure')
        self.assertEqual('AUTOSTART_NOT_DURABLE', driver.autostart_is_durable().code)

    def test_files_belong_to_the_containers_user_by_number(self):
        self.guest.trove_creates(User='1234:1235')
        self.stopped()
        driver = self.guest.driver()
        driver.own_data()
        for name in ('var/lib/mysqld', 'var/lib/mysql/data', 'etc/mysql/my.cnf'):
            status = (self.guest.root / name).stat()
            self.assertEqual((1234, 1235), (status.st_uid, status.st_gid), name)


class TestChoosing(ContainerTestCase):
    def containers(self):
        return Containers(
            engine=self.engine,
            repository='registry/mysql',
            trove_agent=fakes.TroveAgentControl(self.engine),
        )

    def test_mysql_s_image_validates_by_itself(self):
        context = self.guest.driver().context
        driver = factory.driver('mysql', context, family.Service(), self.containers())
        self.assertIsInstance(driver.engine, MySQL)
        self.assertIsInstance(driver.host, ContainerHost)
        driver = self.guest.driver(MySQL(), repository='registry/mysql')
        self.engine.images['registry/mysql:8.4'] = fakes.image('mysql')
        driver.prepare_target(TargetFacts(version_number='8.4'), GuestOptions(), quiet)
        self.assertIn('--validate-config', self.engine.script)
        refusing = factory.driver('postgresql', context, family.Service(), self.containers())
        self.assertRaises(exceptions.StepRefused, refusing.checks, GuestOptions(), {})

    def test_variables_that_mysql_keeps_are_in_force_in_the_first_container_too(self):
        kept = self.guest.volume / 'data/mysqld-auto.cnf'
        kept.write_text(
            json.dumps(
                {
                    'Version': 2,
                    'mysql_dynamic_variables': {
                        'show_gipk_in_create_table_and_information_schema': {'Value': 'OFF'}
                    },
                    'mysql_static_variables': {'innodb_ft_min_token_size': {'Value': '2'}},
                }
            )
        )
        said = []
        self.guest.session_rules.append(('^SET GLOBAL (.*) = %s', lambda: said.append('SET') or []))
        self.engine.images['registry/mysql:8.4'] = fakes.image('mysql')
        self.stopped()
        self.guest.new_root((NEW,))
        driver = self.guest.driver(MySQL())
        driver.check_configuration(GuestOptions())
        driver.start_isolated()
        self.assertEqual(2, len(said))
        command = self.engine.containers[FIRST].definition['Config']['Cmd']
        self.assertEqual(['--loose-innodb-ft-min-token-size=2', '--skip-networking'], command[3:5])
        self.assertIn('--loose-persisted-globals-load=OFF', command)

    def test_every_engine_on_every_host_keeps_the_whole_contract(self):
        """What a driver does not override refuses the upgrade."""
        contract = {name for name, part in vars(DatastoreDriver).items() if callable(part)}
        inherited = contract - vars(Datastore).keys() - {'_refuse'}
        self.assertEqual(set(), inherited)
        for database in (MariaDB(), MySQL()):
            driver = self.guest.driver(database)
            self.assertEqual(database.manager, driver.manager)
            self.assertIsInstance(driver.host, ContainerHost)

    def test_where_the_database_runs_is_what_the_operator_says_then_the_image_then_what_is_installed(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        context = self.guest.driver().context
        nothing, installed = family.Service(known=(), enabled=(), running=None), family.Service()

        def assert_chosen(name, why, wanted, found, services):
            chosen = factory.runtime(wanted, found, services)
            self.assertEqual((name, name == 'container'), (chosen.name, chosen.in_container))
            self.assertIn(why, str(chosen))

        assert_chosen('service', 'option database_runtime is service', 'service', context, nothing)
        assert_chosen(
            'container', 'option database_runtime is container', 'container', context, installed
        )
        told = dataclasses.replace(context, image_facts=ImageFacts(database_runtime='container'))
        assert_chosen('container', 'image-facts.json says', 'auto', told, installed)
        assert_chosen('service', 'no container engine', 'auto', context, nothing)
        (self.guest.root / 'usr/sbin').mkdir(parents=True)
        (self.guest.root / 'usr/sbin/dockerd').touch()
        assert_chosen('container', '/usr/sbin/dockerd is there', 'auto', context, nothing)
        assert_chosen('service', 'service mariadb is enabled', 'auto', context, installed)
        # An image for containers that was made by the list of images with a server: units are
        # there, masked or disabled.
        units = family.Service(enabled=(), running=None)
        assert_chosen('container', 'no database server is installed', 'auto', context, units)
        (self.guest.root / 'usr/sbin/mariadbd').touch()
        assert_chosen('service', '/usr/sbin/mariadbd is installed', 'auto', context, units)
        assert_chosen('container', 'image-facts.json', 'auto', told, units)
