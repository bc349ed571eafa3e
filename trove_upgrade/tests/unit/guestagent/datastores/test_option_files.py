# SPDX-License-Identifier: Apache-2.0
import pathlib

import fixtures
from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.guestagent.datastores.mysql_family import option_files, option_groups
from trove_upgrade.tests.unit import base


class TestReading(base.TestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def values(self, text):
        return [
            (option.group, option.name, option.value)
            for option in option_files.read(self.write('my.cnf', text)).options
        ]

    def test_dashes_and_underscores_are_alike_and_names_are_in_lower_case(self):
        self.assertEqual(
            [('mysqld', 'max-connections', '5')], self.values('[mysqld]\nMax_Connections = 5\n')
        )

    def test_quotes_are_taken_off_and_comments_end_a_value(self):
        self.assertEqual(
            [('mysqld', 'a', 'x # y'), ('mysqld', 'b', '1'), ('mysqld', 'skip-name-resolve', None)],
            self.values("[mysqld]\na = 'x # y' # z\nb=1 # z\n; c=2\nskip_name_resolve # z\n"),
        )

    def test_an_option_without_a_group_does_not_count(self):
        self.assertEqual([], self.values('a=1\n'))

    def test_a_directory_is_included_in_the_order_of_names_and_only_its_cnf_files(self):
        self.write('conf.d/b.cnf', '[mysqld]\nx=2\n')
        self.write('conf.d/a.cnf', '[mysqld]\nx=1\n')
        self.write('conf.d/c.cnf.old', '[mysqld]\nx=3\n')
        found = option_files.read(self.write('my.cnf', f'!includedir {self.root}/conf.d/\n'))
        self.assertEqual('2', found.value('x', ('mysqld',)))
        self.assertEqual(['my.cnf', 'a.cnf', 'b.cnf'], [path.name for path in found.files])

    def test_an_included_file_starts_without_a_group_and_its_parent_keeps_its_own(self):
        self.write('other.cnf', 'x=1\n[client]\ny=2\n')
        found = option_files.read(
            self.write('my.cnf', f'[mysqld]\n!include {self.root}/other.cnf\nz=3\n')
        )
        self.assertEqual(
            [('client', 'y'), ('mysqld', 'z')],
            [(option.group, option.name) for option in found.options],
        )

    def test_files_that_include_each_other_come_to_an_end(self):
        path = self.write('my.cnf', f'!include {self.root}/my.cnf\n[mysqld]\nx=1\n')
        self.assertEqual('1', option_files.read(path).value('x', ('mysqld',)))

    def test_names_that_begin_with_a_dot_are_read_and_others_but_cnf_are_not(self):
        for name in ('.cnf', '.x.cnf', 'a.b.cnf', 'a..cnf', 'b.CNF', 'c.cnf~', 'd.cnf.', 'cnf'):
            self.write(f'conf.d/{name}', f'[mysqld]\n{name}=1\n')
        found = option_files.read(self.write('my.cnf', f'! includedir {self.root}/conf.d\n'))
        self.assertEqual(
            ['.cnf', '.x.cnf', 'a..cnf', 'a.b.cnf'], [option.name for option in found.options]
        )

    def test_a_directory_is_read_in_the_order_of_bytes(self):
        for name in ('z\udcff.cnf', 'z\U00010000.cnf', 'z\ue000.cnf'):
            self.write(f'conf.d/{name}', '[mysqld]\nx=1\n')
        found = option_files.read(self.write('my.cnf', f'!includedir {self.root}/conf.d\n'))
        self.assertEqual(
            ['z\ue000.cnf', 'z\U00010000.cnf', 'z\udcff.cnf'],
            [path.name for path in found.files[1:]],
        )

    def test_what_programs_read_in_different_ways_is_told(self):
        self.write('all.cnf', '[mysqld]\nx=1\n').chmod(0o666)
        for line, word in (
            ('!include x.cnf', 'working directory'),
            (f'!includedir {self.root}/none', 'not there'),
            ('[mysqld', 'without ]'),
            (f'!include {self.root}/all.cnf', 'all users'),
        ):
            found = option_files.read(self.write('my.cnf', f'{line}\n'))
            self.assertIn(word, ' '.join(found.unread))

    def test_options_of_a_server_are_those_of_its_dialect(self):
        path = self.write(
            'my.cnf',
            '[mariadb]\naria_pagecache_buffer_size=1\n[MySQLd]\nport=2\nloose-socket=/s\n[mysqld-9.7]\nx=1\n',
        )
        mysql = option_files.read_all([path], option_groups.MYSQL)
        self.assertEqual(
            ['port', 'loose-socket', 'x'], [option.name for option in mysql.of_servers()]
        )
        self.assertEqual(
            ('2', '/s', None), tuple(mysql.server_value(name) for name in ('port', 'socket', 'x'))
        )
        self.assertEqual(4, len(option_files.read_all([path], option_groups.MARIADB).of_servers()))

    def test_a_missing_file_is_empty(self):
        self.assertEqual((), option_files.read(self.root / 'none').options)

    def test_the_client_file_is_read_without_its_includes(self):
        self.write('evil.cnf', '[client]\nuser=evil\n')
        path = self.write('client.cnf', f'[client]\nuser=root\n!include {self.root}/evil.cnf\n')
        self.assertEqual(
            'root', option_files.read(path, follow_includes=False).value('user', ('client',))
        )

    @given(st.binary(max_size=300))
    def test_any_bytes_can_be_read(self, content):
        path = self.root / 'any.cnf'
        path.write_bytes(content)
        option_files.read(path, follow_includes=False)


class TestNames(base.TestCase):
    def test_prefixes_are_taken_off_as_often_as_they_stand(self):
        self.assertEqual('log-bin', option_files.bare('loose_skip_log_bin'))

    def test_a_server_reads_its_own_version_s_groups(self):
        self.assertIn('mariadb-10.11', option_groups.MARIADB.of('10.11.14-MariaDB-0+deb12u2'))
        self.assertNotIn('mariadb-10.11', option_groups.MARIADB.of('11.8.6'))
        self.assertIn('mariadb-11', option_groups.MARIADB.of('11.8.6'))
        self.assertEqual(
            {'mysql_cluster', 'mysqld', 'server', 'mysqld-9.7'},
            set(option_groups.MYSQL.of('9.7.4')),
        )

    def test_groups_of_any_version_are_server_groups(self):
        self.assertTrue(option_groups.MYSQL.has('mysqld-8.0'))
        for group in (
            'mysqldump',
            'mysqld-',
            'mysqld_safe',
            'server-8.0',
            'mariadb',
            'client-server',
        ):
            self.assertFalse(option_groups.MYSQL.has(group), group)

    def test_a_command_line_reads_like_a_file(self):
        found = option_files.from_command_line(
            ['mariadbd', '--max_connections=5', '--skip-networking', '-u', 'x']
        )
        self.assertEqual(
            [('max-connections', '5'), ('skip-networking', None)],
            [(option.name, option.value) for option in found],
        )
