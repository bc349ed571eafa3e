# SPDX-License-Identifier: Apache-2.0
"""The lab's container images, run by a real engine exactly as Trove's guest agent runs them."""

import pathlib
import shutil
import subprocess
import tempfile

from lab.containers import recipes
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host.private_engine import (
    DEADLINE_SECONDS,
    PLACE,
    Engine,
    Images,
)
from trove_upgrade.tests.functional.host.trove_container import OWNER, PASSWORD, TroveContainer
from trove_upgrade.waiting import wait_until

SCRATCH_CHECK = """set -e
mariadb-install-db --no-defaults --datadir=/scratch/d --skip-test-db \
--auth-root-authentication-method=normal > /scratch/log 2>&1
exec mariadbd --defaults-file=/etc/mysql/my.cnf --datadir=/scratch/d --pid-file=/scratch/p \
--socket=/scratch/s --bootstrap < /dev/null
"""


class ImageTestCase(base.TestCase):
    """One engine for all tests of a class; each has files of its own."""

    recipes = recipes.GOOD

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        images = Images()
        cls.images = {recipe: images.image(recipe) for recipe in cls.recipes}
        cls.engine = Engine([images.archive(recipe) for recipe in cls.recipes])
        cls.addClassCleanup(cls.engine.cleanUp)
        cls.engine.setUp()

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='tu-container-', dir=PLACE))
        self.addCleanup(shutil.rmtree, self.directory)
        self.guest = TroveContainer(self.engine, self.directory)
        self.addCleanup(self.guest.remove)

    def reference(self, recipe):
        return self.images[recipe].references()[0]


class FirstStartTest(ImageTestCase):
    recipes = (recipes.MARIADB_10_11,)

    def start(self, **options):
        self.guest.start(self.reference(recipes.MARIADB_10_11), **options)
        self.guest.wait_healthy()

    def test_an_empty_volume_becomes_a_database_with_the_password_that_was_given(self):
        self.start()

        self.assertEqual(
            self.images[recipes.MARIADB_10_11].version,
            self.guest.sql('SELECT VERSION()').split('-')[0],
        )
        accounts = self.guest.sql(
            "SELECT CONCAT(user, '@', host) FROM mysql.global_priv WHERE user <> 'mariadb.sys' "
            'ORDER BY 1'
        ).split()
        self.assertEqual(
            [
                'healthcheck@127.0.0.1',
                'healthcheck@::1',
                'healthcheck@localhost',
                'root@%',
                'root@localhost',
            ],
            accounts,
        )
        self.assertRaises(AssertionError, self.guest.sql, 'SELECT 1', password='')
        self.assertRaises(AssertionError, self.guest.sql, 'SELECT 1', user='nobody', password='')
        kept = (self.guest.data / '.my-healthcheck.cnf').stat()
        self.assertEqual((OWNER, 0o600), (kept.st_uid, kept.st_mode & 0o777))

    def test_a_stop_that_is_given_time_ends_well_and_a_second_start_finds_all_there(self):
        self.start()
        self.guest.sql(
            'CREATE DATABASE shop; CREATE TABLE shop.t (i INT) ENGINE=InnoDB; INSERT INTO shop.t '
            'VALUES (1), (2)'
        )

        self.assertEqual(0, self.guest.stop())
        self.guest.remove()
        self.start(command=())  # as after Trove's own upgrade

        self.assertEqual('2', self.guest.sql('SELECT COUNT(*) FROM shop.t'))

    def test_a_first_start_that_was_cut_off_is_done_over_before_anybody_can_connect(self):
        for marks in (('.filling',), ('.filling', '.installing')):
            self.start(environment=['MYSQL_ROOT_PASSWORD=another'])
            self.guest.stop()
            self.guest.remove()
            for name in marks:
                (self.guest.data / name).touch()
            (self.guest.data / '.my-healthcheck.cnf').unlink()
            self.guest.give(self.guest.data)

            self.start()

            self.assertEqual('1', self.guest.sql('SELECT 1', password=PASSWORD))
            self.assertFalse(any((self.guest.data / name).exists() for name in marks))
            self.guest.remove()
            shutil.rmtree(self.guest.data)
            self.guest.data.mkdir()
            self.guest.give(self.guest.data)

    def test_a_password_may_come_from_a_file(self):
        (self.guest.etc / 'secret').write_text('from a file\n')
        self.start(
            environment=['MYSQL_ROOT_PASSWORD=', 'MYSQL_ROOT_PASSWORD_FILE=/etc/mysql/secret']
        )

        self.assertEqual('1', self.guest.sql('SELECT 1', password='from a file'))

    def test_without_any_password_an_empty_volume_stays_empty(self):
        self.guest.start(
            self.reference(recipes.MARIADB_10_11),
            environment=['MYSQL_ROOT_PASSWORD='],
            restart='no',
        )

        self.assertEqual(1, self.guest.wait_exited())
        self.assertIn('no root password is given', self.guest.logs())
        self.assertEqual([], list(self.guest.data.iterdir()))

    def test_a_lost_account_of_the_health_check_comes_back_with_upgrades_on_and_not_with_them_off(
        self,
    ):
        self.start()
        self.guest.stop()
        for auto_upgrade, comes_back in (('0', False), ('1', True)):
            self.guest.remove()
            (self.guest.data / '.my-healthcheck.cnf').unlink(missing_ok=True)
            self.guest.start(self.reference(recipes.MARIADB_10_11), auto_upgrade=auto_upgrade)
            self.assertTrue(
                wait_until(lambda: 'ready for connections' in self.guest.logs(), DEADLINE_SECONDS)
            )
            self.assertEqual(comes_back, (self.guest.data / '.my-healthcheck.cnf').exists())
        self.guest.wait_healthy()

    def test_other_commands_are_run_as_they_are(self):
        done = self.engine.run(
            ['run', '--rm', self.reference(recipes.MARIADB_10_11), 'sh', '-c', 'id -u; exit 3'],
            check=False,
        )

        self.assertEqual((3, '0'), (done.returncode, done.stdout.strip()))

    def test_the_server_asked_for_its_version_needs_no_volume(self):
        done = self.engine.run(
            [
                'run',
                '--rm',
                '--user',
                '1001:1001',
                self.reference(recipes.MARIADB_10_11),
                '--version',
            ]
        )

        self.assertIn(self.images[recipes.MARIADB_10_11].version, done.stdout)

    def test_the_health_check_says_what_is_wrong_with_its_options(self):
        done = self.engine.run(
            [
                'run',
                '--rm',
                '--entrypoint',
                'healthcheck.sh',
                self.reference(recipes.MARIADB_10_11),
                '--galera',
            ],
            check=False,
        )

        self.assertEqual(2, done.returncode)
        self.assertIn('unknown option --galera', done.stderr)


class UpgradeTest(ImageTestCase):
    def setUp(self):
        super().setUp()
        self.guest.start(self.reference(recipes.MARIADB_10_11))
        self.guest.wait_healthy()
        self.guest.sql(
            'CREATE DATABASE shop; CREATE TABLE shop.t (i INT PRIMARY KEY) ENGINE=InnoDB; USE '
            'shop; INSERT INTO t SELECT seq FROM seq_1_to_500'
        )
        self.assertEqual(0, self.guest.stop())
        self.guest.remove()

    def noted(self):
        names = ('mariadb_upgrade_info', 'mysql_upgrade_info')
        return next(
            (self.guest.data / name).read_text()
            for name in names
            if (self.guest.data / name).exists()
        )

    def test_with_upgrades_on_the_next_release_upgrades_what_it_finds_and_keeps_a_copy_of_the_system_tables(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        self.guest.start(self.reference(recipes.MARIADB_11_8))
        self.guest.wait_healthy()

        self.assertTrue(self.noted().startswith('11.8.'), self.noted())
        self.assertEqual('500', self.guest.sql('SELECT COUNT(*) FROM shop.t'))
        [kept] = self.guest.data.glob('system_mysql_backup_10.11.*.sql.zst')
        tables = subprocess.run(
            ['zstd', '--decompress', '--stdout', str(kept)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        self.assertIn('global_priv', tables)

    def test_with_upgrades_off_the_next_release_serves_and_upgrades_nothing(self):
        for word in ('0', 'no'):
            self.guest.start(self.reference(recipes.MARIADB_11_8), auto_upgrade=word)
            self.guest.wait_healthy()

            self.assertTrue(self.noted().startswith('10.11.'), self.noted())
            self.assertEqual('500', self.guest.sql('SELECT COUNT(*) FROM shop.t'))
            self.assertEqual([], list(self.guest.data.glob('system_mysql_backup_*')))
            self.assertEqual(0, self.guest.stop())
            self.guest.remove()

    def test_a_configuration_is_checked_with_the_new_release_while_the_old_one_serves(self):
        self.guest.start(self.reference(recipes.MARIADB_10_11))
        self.guest.wait_healthy()

        self.assertEqual(0, self.check().returncode)
        (self.guest.etc / 'conf.d/50-user.cnf').write_text('[mysqld]\nmax_tmp_tables = 32\n')
        refused = self.check()

        self.assertEqual(7, refused.returncode)
        self.assertIn("unknown variable 'max_tmp_tables=32'", refused.stderr)
        self.assertEqual('500', self.guest.sql('SELECT COUNT(*) FROM shop.t'))

    def check(self):
        return self.engine.run(
            [
                'run',
                '--rm',
                '--network',
                'none',
                '--user',
                '1001:1001',
                '--tmpfs',
                '/scratch:uid=1001,gid=1001',
                '--volume',
                f'{self.guest.etc}:/etc/mysql:ro',
                '--entrypoint',
                'sh',
                self.reference(recipes.MARIADB_11_8),
                '-c',
                SCRATCH_CHECK,
            ],
            check=False,
        )


class SpoiltImageTest(ImageTestCase):
    recipes = (recipes.BROKEN_11_8, recipes.NO_SERVER_11_8)

    def test_a_broken_image_ends_at_once_however_often_it_is_started(self):
        self.guest.start(self.reference(recipes.BROKEN_11_8))

        self.assertTrue(
            wait_until(
                lambda: self.engine.api('GET', '/containers/database/json')[1]['RestartCount'] >= 2,
                DEADLINE_SECONDS,
            )
        )
        self.assertTrue(
            wait_until(
                lambda: (
                    (self.guest.state()['Status'], self.guest.state()['ExitCode'])
                    == ('restarting', 1)
                ),
                DEADLINE_SECONDS,
            )
        )
        self.assertIn('broken on purpose', self.guest.logs())

    def test_the_programs_of_a_broken_image_work_so_that_only_a_start_tells(self):
        done = self.engine.run(
            [
                'run',
                '--rm',
                '--entrypoint',
                'mariadbd',
                self.reference(recipes.BROKEN_11_8),
                '--version',
            ]
        )

        self.assertIn('11.8.', done.stdout)

    def test_an_image_without_a_server_fails_any_check(self):
        done = self.engine.run(
            [
                'run',
                '--rm',
                '--entrypoint',
                'mariadbd',
                self.reference(recipes.NO_SERVER_11_8),
                '--version',
            ],
            check=False,
        )

        self.assertEqual(1, done.returncode)
