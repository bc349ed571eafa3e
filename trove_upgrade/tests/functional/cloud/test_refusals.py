# SPDX-License-Identifier: Apache-2.0
"""What the guest refuses: nothing is changed, the reason is said, and the database serves on."""

import contextlib

from lab.images import provision
from trove_upgrade.tests.functional.cloud import base

_INSTANCE_CNF = provision.SETTINGS_FILE


class TestGuestRefuses(base.CloudTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.instance = cls.maker.create('refusals', cls.former)
        cls.addClassCleanup(cls.maker.delete, cls.instance.server_id)

    def refused(self, code):
        before = self.snapshot(self.instance)
        upgrade = self.upgrade(self.instance)
        self.assertEqual(('ABORTED', code), (upgrade['state'], upgrade['error_code']), upgrade)
        self.assertTrue(upgrade['cause'])
        self.assertEqual(before.boot_id, self.snapshot(self.instance).boot_id)
        self.assert_serves(self.instance, self.former)
        self.assertEqual(
            ('ACTIVE', self.former.name),
            (self.show(self.instance)['status'], self.show(self.instance)['datastore']['version']),
        )
        return upgrade

    @contextlib.contextmanager
    def configuration(self, text):
        """An option file that the server has not read yet, as an operator leaves it behind."""
        guest = self.guest(self.instance)
        guest.write_file('/etc/mysql/mariadb.conf.d/95-test.cnf', text)
        try:
            yield
        finally:
            guest.exec(['rm', '/etc/mysql/mariadb.conf.d/95-test.cnf'])

    def test_an_option_that_the_target_does_not_know(self):
        with self.configuration('[mariadb]\nmax_tmp_tables = 32\n'):
            upgrade = self.refused('UNKNOWN_OPTION')
        self.assertIn('max-tmp-tables', upgrade['cause'])

    def test_an_option_group_that_the_target_would_silently_drop(self):
        with self.configuration('[mariadb-10.11]\nwait_timeout = 1234\n'):
            upgrade = self.refused('OPTION_GROUP_DROPPED')
        self.assertIn('mariadb-10.11', upgrade['cause'])

    def test_a_prepared_xa_transaction(self):
        self.sql(
            self.instance,
            f"XA START 'left'; INSERT INTO {provision.DATABASE}.heartbeat (note) VALUES ('xa'); XA "
            "END 'left'; XA PREPARE 'left'",
        )
        self.addCleanup(lambda: self.sql(self.instance, "XA ROLLBACK 'left'"))
        self.refused('PREPARED_TRANSACTIONS')

    def test_a_volume_without_space(self):
        guest = self.guest(self.instance)
        free = int(
            guest.exec(
                ['df', '--output=avail', '--block-size=1M', '/var/lib/mysql']
            ).output.split()[-1]
        )
        guest.exec(['fallocate', '-l', f'{free - 8}M', '/var/lib/mysql/ballast'])
        try:
            self.refused('VOLUME_SPACE')
        finally:
            guest.exec(['rm', '/var/lib/mysql/ballast'])

    def test_a_backup_that_runs(self):
        guest = self.guest(self.instance)
        guest.exec(
            [
                'sh',
                '-c',
                (
                    'cp /bin/sleep /run/mariadb-backup; (setsid /run/mariadb-backup 300 >/dev/null '
                    '2>&1 &)'
                ),
            ]
        )
        try:
            self.refused('BACKUP_RUNNING')
        finally:
            guest.exec(['pkill', '-f', '/run/[m]ariadb-backup'])
