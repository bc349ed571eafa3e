# SPDX-License-Identifier: Apache-2.0
"""A report of the checks is read by the tenant: it tells no more of root's files than the tenant's
own server can see.
"""

import os
import re
import struct

from trove_upgrade.guestagent.datastores.mysql_family import configuration_checks, option_files
from trove_upgrade.tests.unit.guestagent.datastores.test_named_files import SERVER, RootDiskTest

_PRIVATE = ('root/secret', 'etc/hidden/secret', 'etc/mysql/hidden/deep/secret', 'srv/hidden/a:b')
_NONE = 0xFFFFFFFF
#: What can stand at a private path, if anything does.
_KINDS = ('nothing', 'file', 'program', 'long', 'directory', 'full', 'link', 'dangling', 'pipe')
_OPTIONS = (
    'ssl-key',
    'ssl_capath',
    'init_file',
    'tmpdir',
    'log_error',
    'file_key_management_filekey',
    'loose-keyring-file-data',
)


class UnseenTest(RootDiskTest):
    def setUp(self):
        super().setUp()
        os.chown(self.context.data_directory, SERVER, SERVER)

    def private(self, name):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        next(above for above in path.parents if above.name in {'root', 'hidden'}).chmod(0o700)
        return path

    def put(self, name, kind):
        path = self.private(name)
        match kind:
            case 'file' | 'program':
                self.write(name, 'x', 0o755 if kind == 'program' else 0o644)
            case 'long':
                with self.write(name).open('r+b') as stream:
                    stream.truncate(1 << 30)
            case 'directory' | 'full':
                path.mkdir()
                if kind == 'full':
                    self.write(f'{name}/within', 'x')
            case 'link' | 'dangling':
                path.symlink_to('/etc/passwd' if kind == 'link' else '/no/such')
            case 'pipe':
                os.mkfifo(path)

    def reports(self, name, option, value):
        """What the checks report of one path for each thing that can stand there."""
        found = {}
        for kind in _KINDS:
            self.new_root()
            os.chown(self.context.data_directory, SERVER, SERVER)
            self.put(name, kind)
            self.configure(f'{option}={value}')
            configuration = self.configuration()
            found[kind] = (
                self.preserved().check(),
                configuration_checks.check_key_files(
                    configuration, lambda _path: True, self.context.data_directory, self.root
                ),
                configuration.unread,
            )
        return found

    def test_no_report_depends_on_what_is_in_a_directory_that_the_server_cannot_search(self):
        for name in _PRIVATE:
            for option in _OPTIONS:
                with self.subTest(name=name, option=option):
                    found = self.reports(name, option, f'/{name}')
                    self.assertEqual(
                        {'nothing': found['nothing']},
                        {
                            kind: report
                            for kind, report in found.items()
                            if report != found['nothing'] or kind == 'nothing'
                        },
                    )
                    self.assertEqual('FILE_NOT_KEPT', found['nothing'][0].code)

    def test_neither_does_one_of_a_path_that_leads_there_in_a_roundabout_way(self):
        for value in (
            '/srv/way/secret',
            '/srv/../root/secret',
            '/srv/file',
            '../../../../root/secret',
        ):
            found = {}
            for kind in _KINDS:
                self.new_root()
                os.chown(self.context.data_directory, SERVER, SERVER)
                self.put('root/secret', kind)
                self.link('srv/way', '../root')
                self.link('srv/file', '../root/secret')
                self.configure(f'init_file={value}')
                found[kind] = self.preserved().check().message
            with self.subTest(value=value):
                self.assertEqual(1, len(set(found.values())), found)

    def test_names_in_a_directory_that_can_be_searched_and_not_read_are_not_shown(self):
        self.write('etc/db-keys/unguessable.key', 'x', 0o777)
        (self.root / 'etc/db-keys').chmod(0o711)
        self.configure('ssl_capath=/etc/db-keys')
        self.assertNotIn('unguessable', self.preserved().check().message)

    def test_a_file_of_his_that_includes_what_he_cannot_see_has_one_answer(self):
        found = set()
        for kind in _KINDS:
            self.new_root()
            self.put('etc/mysql/hidden/deep/secret', kind)
            path = self.write(
                'etc/mysql/conf.d/own.cnf',
                f'!include {self.root}/etc/mysql/hidden/deep/secret\n',
                0o644,
                SERVER,
            )
            found.add(option_files.read_all([self.root / 'etc/mysql/my.cnf']).unread)
            self.assertEqual(SERVER, path.stat().st_uid)
        self.assertEqual(1, len(found), found)

    def test_an_operator_learns_from_the_log_of_the_guest_what_is_there(self):
        self.put('root/secret', 'file')
        self.configure('ssl_key=/root/secret')
        with self.assertLogs('trove_upgrade.guestagent', 'WARNING') as caught:
            self.preserved().check()
        self.assertTrue(
            any(re.search(r'root/secret.*is there', line) for line in caught.output), caught.output
        )

    def test_what_his_server_can_see_is_told_as_before(self):
        self.write('srv/keys/run.sh', 'x', 0o755)
        self.configure('init_file=/srv/keys/run.sh')
        self.assertIn('can be executed', self.preserved().check().message)
        self.configure('init_file=/srv/keys/none')
        self.assertEqual('ok', self.preserved().check().outcome)

    def test_a_directory_that_his_group_may_search_is_his_to_see(self):
        self.write('srv/keys/pw.key', 'x', 0o440, SERVER)
        os.chown(self.root / 'srv/keys', 0, SERVER)
        (self.root / 'srv/keys').chmod(0o750)
        self.configure('ssl_key=/srv/keys/pw.key')
        self.assert_ok()

    def test_keys_of_root_s_own_clients_come_from_a_directory_of_root_s(self):
        self.write('etc/mysql/hidden/client.key', 'x', 0o600)
        (self.root / 'etc/mysql/hidden').chmod(0o700)
        self.write(
            'etc/mysql/conf.d/c.cnf', f'[client]\nssl-key={self.root}/etc/mysql/hidden/client.key\n'
        )
        self.assert_ok()

    def test_a_file_with_an_access_list_is_refused_by_name(self):
        path = self.write('srv/keys/pw.key', 'x', 0o440, SERVER)
        entries = ((1, 4, _NONE), (2, 4, SERVER), (4, 0, _NONE), (16, 4, _NONE), (32, 0, _NONE))
        os.setxattr(
            path,
            'system.posix_acl_access',
            struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *entry) for entry in entries),
        )
        self.configure('ssl_key=/srv/keys/pw.key')
        self.assertIn('access list', self.preserved().check().message)
