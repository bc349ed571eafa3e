# SPDX-License-Identifier: Apache-2.0
import hashlib
import pathlib

import fixtures

from trove_upgrade.guestagent.datastores import base as datastore
from trove_upgrade.guestagent.datastores.image_facts import ImageFacts
from trove_upgrade.guestagent.datastores.mysql_family import admitted, option_files, preserved
from trove_upgrade.tests.unit import base


class TestPreserved(base.TestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.context = datastore.DriverContext(
            volume=self.root / 'var/lib/mysql',
            data_directory=self.root / 'var/lib/mysql/data',
            etc=self.root / 'etc',
            run=self.root / 'run/trove-upgrade',
            image_facts=ImageFacts(),
            now=None,
            monotonic=None,
        )
        self.write('etc/mysql/mariadb.cnf', '[client-server]\n')
        (self.root / 'etc/mysql/my.cnf').symlink_to('mariadb.cnf')

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def ship(self, *paths):
        lines = ['Package: mariadb-server', 'Conffiles:']
        lines += [
            f' /{path.relative_to(self.root)} {hashlib.md5(path.read_bytes()).hexdigest()}'
            for path in paths
        ]
        self.write('var/lib/dpkg/status', '\n'.join(lines) + '\n')

    def preserved(self):
        configuration = option_files.read_all(
            (self.root / 'etc/my.cnf', *sorted((self.root / 'etc/mysql/conf.d').glob('*.cnf')))
        )
        return preserved.Preserved(self.context, configuration, self.root / 'root/.my.cnf', 'mysql')

    def chosen(self):
        """Names that come back, as a new root disk that has nothing of this one sees it."""
        stashed = []
        for root in self.preserved().roots():
            stashed += [
                str(path)
                for path in ([root] if root.is_file() else root.rglob('*'))
                if not path.is_dir()
            ]
        new = self.root.with_name(f'{self.root.name}-new')
        self.root.rename(new)
        try:
            found = self.admission(stashed).admitted(option_files.read(new / 'etc/my.cnf'))
        finally:
            new.rename(self.root)
        return [name.removeprefix(f'{self.root}/') for name in found]

    def admission(self, stashed):
        return admitted.Admission(
            self.context,
            datastore.Stashed(paths=stashed, files=stashed, links={}, content=lambda _name: b''),
            self.root / 'root/.my.cnf',
            'mysql',
        )

    def test_only_changed_and_own_cnf_files_come_back(self):
        same = self.write('etc/mysql/mariadb.conf.d/50-server.cnf', '[mysqld]\n')
        changed = self.write('etc/mysql/mariadb.conf.d/50-client.cnf', '[client]\n')
        self.ship(same, changed, self.root / 'etc/mysql/mariadb.cnf')
        changed.write_text('[client]\nx=1\n')
        self.write('etc/mysql/conf.d/99-mine.cnf', '[mysqld]\n')
        self.assertEqual(
            ['etc/mysql/conf.d/99-mine.cnf', 'etc/mysql/mariadb.conf.d/50-client.cnf'],
            sorted(self.chosen()),
        )

    def test_scripts_links_and_the_distribution_s_password_file_stay_behind(self):
        self.ship(self.root / 'etc/mysql/mariadb.cnf')
        self.write('etc/mysql/debian.cnf', '[client]\n')
        self.write('etc/mysql/debian-start', '#!/bin/sh\n')
        self.write('etc/mysql/my.cnf.fallback', '')
        self.assertEqual([], self.chosen())

    def test_my_cnf_of_etc_and_root_s_client_file_come_back(self):
        self.ship(self.root / 'etc/mysql/mariadb.cnf')
        self.write('etc/my.cnf', '[mysqld]\n')
        self.write('root/.my.cnf', '[client]\n')
        self.assertEqual(['etc/my.cnf', 'root/.my.cnf'], self.chosen())

    def test_keys_that_the_configuration_names_come_back_from_wherever_they_are(self):
        self.ship(self.root / 'etc/mysql/mariadb.cnf')
        key = self.write('srv/tls/server.key', 'key')
        kept_on_volume = self.write('var/lib/mysql/ca.pem', 'ca')
        self.write('etc/my.cnf', f'[mysqld]\nssl_key={key}\nssl-ca={kept_on_volume}\n')
        self.assertEqual(['etc/my.cnf', 'srv/tls/server.key'], self.chosen())

    def test_everything_under_etc_mysql_is_kept(self):
        self.write('etc/mysql/debian-start', '')
        self.assertIn(self.root / 'etc/mysql', self.preserved().roots())

    def test_a_second_list_forgets_the_first(self):
        mine = self.write('etc/mysql/conf.d/99-mine.cnf', '[mysqld]\n')
        self.assertIn('etc/mysql/conf.d/99-mine.cnf', self.chosen())
        mine.unlink()
        self.assertNotIn('etc/mysql/conf.d/99-mine.cnf', self.chosen())

    def test_a_stash_without_a_list_brings_nothing_back(self):
        self.assertEqual(
            [],
            self.admission([f'{self.root}/etc/mysql/my.cnf']).admitted(
                option_files.read(self.root / 'etc/my.cnf')
            ),
        )
