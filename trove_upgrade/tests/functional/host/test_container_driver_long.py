# SPDX-License-Identifier: Apache-2.0
"""The driver for Trove's container with a real engine and real images: the whole way, refusals,
undo, rollback.
"""

import dataclasses
import os
import secrets
import time

from testtools import content

from lab.containers import recipes
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.upgrade import check, quiesce, restore, undo, verify
from trove_upgrade.tests.functional.host import private_engine, trove_guest
from trove_upgrade.tests.functional.host.container_case import SEED, ContainerTestCase
from trove_upgrade.waiting import wait_until

ACCOUNTS = (
    'SELECT User, Host, authentication_string FROM mysql.user WHERE User NOT IN '
    "('mariadb.sys', 'PUBLIC') ORDER BY 1, 2"
)


class TestTheWholeWay(ContainerTestCase):
    def upgraded(self):
        self.seed()
        self.guest.load(recipes.MARIADB_11_8)
        before, accounts = self.container(), self.guest.sql(ACCOUNTS)
        info = self.quiesced()
        self.assertFalse(self.container().running)
        self.assertEqual(('no', 0), (self.container().restart_policy, self.container().exit_code))
        kept = b''.join(
            path.read_bytes()
            for path in (self.guest.path / 'volume/.trove-upgrade').rglob('*')
            if path.is_file()
        )
        self.assertIn(b'MARIADB_AUTO_UPGRADE', kept)
        self.assertNotIn(trove_guest.PASSWORD.encode(), kept)
        self.guest.rebuild('11.8')
        began = time.monotonic()
        said = []
        result = restore.restore(
            self.guest.work(
                lambda percent, message: said.append(f'{time.monotonic() - began:.1f} {message}'),
                upgrade_info=info,
            )
        ).result
        self.addDetail('restore', content.text_content('\n'.join(said)))
        self.assertEqual([], result['fingerprint']['missing'])
        after = self.container()
        self.assertEqual(
            ('mariadb:11.8', 'unless-stopped', True),
            (after.image, after.restart_policy, after.running),
        )
        self.assertIsNone(self.container('trove-upgrade-first-start'))
        former, present = before.definition['HostConfig'], after.definition['HostConfig']
        self.assertCountEqual(former['Binds'], present['Binds'])  # the engine keeps no order
        for key in ('PortBindings', 'Privileged', 'IpcMode', 'NetworkMode'):
            self.assertEqual(former[key], present[key], key)
        for entry in (f'MYSQL_ROOT_PASSWORD={trove_guest.PASSWORD}', 'MARIADB_AUTO_UPGRADE='):
            self.assertIn(entry, after.definition['Config']['Env'])
        self.assertEqual(
            before.definition['Config']['Healthcheck'], after.definition['Config']['Healthcheck']
        )
        self.assertEqual(before.definition['Config']['Cmd'], after.definition['Config']['Cmd'])
        self.assertEqual([(5000,)], self.guest.sql('SELECT COUNT(*) FROM app.words'))
        self.assertEqual(
            [(2,)], self.guest.sql('SELECT COUNT(*) FROM app.history FOR SYSTEM_TIME ALL')
        )
        self.assertEqual([(1234,)], self.guest.sql('SELECT @@global.wait_timeout'))
        self.assertEqual(accounts, self.guest.sql(ACCOUNTS))
        self.assertEqual(['hold', 'release'], self.guest.trove_agent.told)
        return info

    def test_a_major_upgrade_on_a_new_root_disk_keeps_all(self):
        info = self.upgraded()
        outcome = verify.verify(self.guest.work(upgrade_info=info))
        self.assertIn('11.8.', outcome.result['server_version'])
        started = self.container().definition['State']['StartedAt']
        restore.restore(self.guest.work(upgrade_info=info))
        self.assertEqual(
            started,
            self.container().definition['State']['StartedAt'],
            'a second call has restarted the database',
        )
        self.assertTrue(
            wait_until(
                lambda: self.container().health == 'healthy', private_engine.DEADLINE_SECONDS
            )
        )
        self.guest.engine.stop()
        self.guest.engine.start()
        self.assertTrue(
            wait_until(
                lambda: self.guest.driver().server_version() is not None,
                private_engine.DEADLINE_SECONDS,
            ),
            'a plain reboot does not serve',
        )


class TestCrooked(ContainerTestCase):
    """All that a customer of a container can put on the volume and into the configuration, and what
    not.
    """

    OBJECTS = (
        'CREATE TABLE app.starts (n INT)',
        'INSERT INTO app.starts VALUES (0)',
        (
            'CREATE TABLE app.generated (a INT PRIMARY KEY, s INT AS (a * 2) STORED, t VARCHAR(20) '
            "AS (CONCAT('x', a)) PERSISTENT)"
        ),
        'INSERT INTO app.generated (a) VALUES (1), (2), (3)',
        'CREATE TABLE app.gone (a INT)',
        'CREATE VIEW app.broken AS SELECT a FROM app.gone',
        'DROP TABLE app.gone',
        "CREATE USER healthcheck@'10.%' IDENTIFIED BY 'another'",
        (
            "CREATE USER 'both'@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('x') OR "
            'unix_socket'
        ),
    )
    IN_FORCE = (
        'SELECT @@tmpdir, @@log_bin_basename, @@init_file, (SELECT COUNT(*) FROM '
        'information_schema.INNODB_TABLESPACES_ENCRYPTION WHERE ENCRYPTION_SCHEME = 1 AND NAME '
        "LIKE 'app/%') > 0, (SELECT SUM(s) FROM app.generated)"
    )

    def crooked(self, family='10.11', **more):
        volume = self.guest.layout.volume
        for name in ('keys', 'tmp', 'binlog'):
            (volume / name).mkdir()
            os.chown(volume / name, trove_guest.USER, trove_guest.USER)
        self.write(volume / 'keys/keyfile', f'1;{secrets.token_hex(32)}\n')
        self.write(volume / 'init.sql', 'UPDATE app.starts SET n = n + 1;\n')
        lines = {
            'plugin_load_add': 'file_key_management',
            'file_key_management_filename': volume / 'keys/keyfile',
            'innodb_encrypt_tables': 'ON',
            'tmpdir': volume / 'tmp',
            'log_bin': volume / 'binlog/mysql-bin',
            **more,
        }
        self.guest.create(
            family, extra=''.join(f'{name} = {value}\n' for name, value in lines.items())
        )
        self.guest.sql(*SEED, *self.OBJECTS)

    def write(self, path, text):
        path.write_text(text)
        os.chown(path, trove_guest.USER, trove_guest.USER)
        path.chmod(0o400)

    def restart(self, line):
        """With one more option."""
        path = self.guest.layout.etc / 'mysql/my.cnf'
        path.write_text(f'{path.read_text()}{line}\n')
        self.guest.engine.run(['restart', 'database'])
        self.assertTrue(
            wait_until(
                lambda: self.guest.driver().server_version() is not None,
                private_engine.DEADLINE_SECONDS,
            )
        )

    def test_what_can_be_carried_is_in_force_afterwards(self):
        self.carried('10.11')

    def test_so_it_is_two_series_with_long_term_support_later(self):
        self.carried('10.5')

    def carried(self, family):
        self.crooked(family)
        self.restart(f'init_file = {self.guest.layout.volume}/init.sql')
        self.guest.sql('ALTER TABLE app.words ENGINE=InnoDB')
        self.guest.load(recipes.MARIADB_11_8)
        before = self.guest.sql(self.IN_FORCE)
        results = check.check(self.guest.work()).result['checks']
        self.assertEqual(
            [], [result for result in results if result['outcome'] not in {'ok', 'warning'}]
        )
        info = self.quiesced()
        self.guest.rebuild('11.8')
        result = restore.restore(self.guest.work(upgrade_info=info)).result
        self.assertEqual([], result['fingerprint']['missing'])
        self.assertEqual(before, self.guest.sql(self.IN_FORCE))
        self.assertEqual(
            [(2,)], self.guest.sql('SELECT n FROM app.starts'), 'once more, when it was opened'
        )
        self.assertEqual(
            [('10.%',)],
            self.guest.sql(
                "SELECT Host FROM mysql.user WHERE User = 'healthcheck' AND Host = '10.%'"
            ),
        )

    def test_what_is_in_the_container_alone_is_refused_while_the_database_serves(self):
        self.seed()
        self.guest.engine.run(
            ['exec', '--user=0', 'database', 'sh', '-c', 'echo "SELECT 1;" > /opt/init.sql']
        )
        self.restart('init_file = /opt/init.sql')
        self.guest.load(recipes.MARIADB_11_8)
        error = self.assertRaises(exceptions.StepRefused, quiesce.quiesce, self.guest.work())
        self.assertEqual('FILE_NOT_KEPT', error.code)
        self.assertIn('/opt/init.sql', error.message)
        self.assert_serves_as_before()


class TestAccountsOfTheHealthCheck(ContainerTestCase):
    """The image's entrypoint makes them at the last start, where the data has no file for them yet:
    an older image knew none.
    """

    def upgraded(self, *before):
        self.seed(extra='skip_name_resolve = OFF\n')  # as Trove configures it
        self.guest.load(recipes.MARIADB_11_8)
        hosts = ('localhost', '127.0.0.1', '::1')
        self.guest.sql(*(f"DROP USER healthcheck@'{host}'" for host in hosts), *before)
        (self.guest.layout.data_directory / '.my-healthcheck.cnf').unlink()
        users = self.users()
        info = self.quiesced()
        self.guest.rebuild('11.8')
        restore.restore(self.guest.work(upgrade_info=info))
        return users

    def users(self):
        return self.guest.sql(ACCOUNTS)

    def test_trove_s_health_check_gets_the_one_that_trove_does_not_list(self):
        before = {row[:2] for row in self.upgraded()}
        self.assertEqual(before | {('healthcheck', 'localhost')}, {row[:2] for row in self.users()})
        self.assertTrue(
            wait_until(
                lambda: self.container().health == 'healthy', private_engine.DEADLINE_SECONDS
            )
        )

    def test_the_customer_s_own_account_of_that_name_stays_as_it_is(self):
        before = self.upgraded("CREATE USER healthcheck@'127.0.0.1' IDENTIFIED BY 'mine'")
        self.assertEqual(before, self.users())


class TestRefusals(ContainerTestCase):
    def refused(self, number):
        error = self.assertRaises(
            exceptions.StepRefused,
            quiesce.quiesce,
            self.guest.work(target=dataclasses.replace(trove_guest.TARGET, version_number=number)),
        )
        self.assert_serves_as_before()
        self.assertEqual(
            self.began,
            self.container().definition['State']['StartedAt'],
            'the database was restarted',
        )
        self.assertEqual([], self.guest.trove_agent.told)
        return error

    def test_what_cannot_be_upgraded_to_is_found_while_the_database_serves_and_changes_nothing(
        self,
    ):
        self.seed()
        self.began = self.container().definition['State']['StartedAt']
        error = self.refused('11.8.98')  # no registry answers this engine
        self.assertEqual('CONTAINER_IMAGE_NOT_PULLED', error.code)
        self.guest.load(recipes.NO_SERVER_11_8)
        error = self.refused('11.8.97')
        self.assertEqual('CONFIGURATION_NOT_TRIED', error.code)
        self.assertIsNotNone(self.guest.client().image('mariadb:10.11'))
        self.assertEqual(
            ['database'],
            self.guest.engine.run(['ps', '--all', '--format={{.Names}}']).stdout.split(),
        )
        results = {
            result['name']: result for result in check.check(self.guest.work()).result['checks']
        }
        self.assertEqual(
            [], [result for result in results.values() if result['outcome'] == 'refused']
        )
        self.assertIn('mariadb:10.11', results['container']['message'])
        self.guest.engine.run(['stop', 'database'])
        found = {
            result['name']: result['code']
            for result in check.check(self.guest.work()).result['checks']
        }
        self.assertEqual('DATABASE_NOT_SERVING', found['guest_database'])


class TestTheWayBack(ContainerTestCase):
    def test_a_quiesce_is_undone_by_starting_the_same_container(self):
        self.seed(command=False)
        self.guest.load(recipes.MARIADB_11_8)
        before = self.container()
        self.quiesced()
        self.assertEqual(self.quiesced(), self.quiesced())
        undo.abort(self.guest.work())
        self.assertEqual(before.id, self.container().id)
        self.assert_serves_as_before()
        self.assertEqual(['hold', 'release'], self.guest.trove_agent.told)

    def test_a_server_that_is_killed_while_it_shuts_down_is_started_again_and_nothing_is_upgraded(
        self,
    ):
        self.seed()
        self.guest.load(recipes.MARIADB_11_8)

        def killing(percent, message):
            if message.startswith('shutting the database server down'):
                self.guest.client().kill('database')

        error = self.assertRaises(exceptions.StepRefused, quiesce.quiesce, self.guest.work(killing))
        self.assertIn(error.code, {'SHUTDOWN_NOT_CLEAN', 'FINGERPRINT_FAILED'})
        self.assert_serves_as_before()

    def test_a_rollback_needs_the_former_image_alone(self):
        self.seed(command=False)  # as after an upgrade by Trove
        self.guest.load(recipes.MARIADB_11_8)
        info = self.quiesced()
        self.guest.rebuild('10.11')
        work = self.guest.work(
            upgrade_info=info,
            options=GuestOptions(rollback=True),
            target=TargetFacts(server_version='10.11'),
        )
        restore.restore(work)
        self.assertEqual('mariadb:10.11', self.container().image)
        self.assertEqual([(5000,)], self.guest.sql('SELECT COUNT(*) FROM app.words'))
        self.assertEqual('unless-stopped', self.container().restart_policy)


class TestForgedCalls(ContainerTestCase):
    FOREIGN = 'elsewhere/mariadb:11.8'

    def test_no_pair_of_calls_puts_the_data_into_an_image_of_another_repository(self):
        self.seed()
        self.guest.load(recipes.MARIADB_11_8, ['mariadb:11.8', self.FOREIGN])
        forged = dataclasses.replace(trove_guest.TARGET, container_image=self.FOREIGN)
        error = self.assertRaises(
            exceptions.StepRefused, quiesce.quiesce, self.guest.work(target=forged)
        )
        self.assertEqual('CONTAINER_REPOSITORY_NOT_ALLOWED', error.code)
        self.assert_serves_as_before()
        info = self.quiesced()
        error = self.assertRaises(
            exceptions.StepFailed, restore.restore, self.guest.work(upgrade_info=info)
        )
        self.assertEqual('SERVER_NOT_REBUILT', error.code)
        self.assertFalse(self.container().running)
        self.guest.rebuild('11.8')
        self.guest.load(recipes.MARIADB_11_8, [self.FOREIGN])
        error = self.assertRaises(
            exceptions.StepRefused,
            restore.restore,
            self.guest.work(upgrade_info=info, target=forged),
        )
        self.assertEqual('CONTAINER_REPOSITORY_NOT_ALLOWED', error.code)
        self.assertIsNone(self.container())
        self.assertIsNone(self.container('trove-upgrade-first-start'))
        restore.restore(self.guest.work(upgrade_info=info))
        self.assertEqual('mariadb:11.8', self.container().image)


class TestABadImage(ContainerTestCase):
    def test_a_server_that_ends_at_its_start_fails_at_once_and_says_why(self):
        self.seed()
        self.guest.load(
            recipes.BROKEN_11_8, ['mariadb:11.8']
        )  # its programs work, so that the configuration is accepted
        info = self.quiesced()
        self.guest.rebuild()
        error = self.assertRaises(
            exceptions.StepFailed, restore.restore, self.guest.work(upgrade_info=info)
        )
        self.assertEqual('CONTAINER_IMAGE_NOT_PULLED', error.code)
        self.assertFalse(
            self.guest.guest().server_started(trove_guest.UPGRADE),
            'nothing was started on the data',
        )
        self.guest.load(recipes.BROKEN_11_8, ['mariadb:11.8'])
        began = time.monotonic()
        error = self.assertRaises(
            exceptions.StepFailed, restore.restore, self.guest.work(upgrade_info=info)
        )
        self.assertEqual('DATABASE_NOT_STARTED', error.code)
        self.assertIn('broken on purpose', error.message)
        self.assertLess(time.monotonic() - began, 300, 'stock Trove gives up after ten minutes')
        self.assertIsNone(self.container())
        self.guest.engine.run(
            ['image', 'rm', '--force', 'mariadb:11.8']
        )  # the operator mends the image
        self.guest.load(recipes.MARIADB_11_8)
        restore.restore(self.guest.work(upgrade_info=info))
        self.assertEqual([(5000,)], self.guest.sql('SELECT COUNT(*) FROM app.words'))
