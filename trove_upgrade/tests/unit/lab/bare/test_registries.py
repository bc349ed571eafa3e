# SPDX-License-Identifier: Apache-2.0
import pathlib

import fixtures

from lab import errors
from lab.bare import registries
from trove_upgrade.tests.unit import base


class RegistriesTest(base.TestCase):
    """A machine whose registries need settings, and the tree of a bare machine."""

    def setUp(self):
        super().setUp()
        self.machine = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def machine_has(self, name, text):
        path = self.machine / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def taken(self, *options, **environ):
        return registries.taken({'HOME': '/home/anna'} | environ, options, self.machine)

    def test_a_machine_without_settings_gives_nothing(self):
        taken = self.taken(EDITOR='vi')
        self.assertEqual(({}, {}, ()), (taken.environ, taken.files, taken.directories))

    def test_settings_of_pip_come_along_with_each_file_that_they_name(self):
        (self.machine / 'srv/index').mkdir(parents=True)
        self.machine_has(
            'etc/pip.conf',
            '[global]\nconstraint = /etc/pins.txt\nfind-links =\n    file:///srv/index\n    '
            '/not/there\n',
        )
        self.machine_has('etc/pins.txt', 'uv==1\n')
        taken = self.taken()
        taken.write(self.root)
        self.assertEqual('uv==1\n', (self.root / 'etc/pins.txt').read_text())
        self.assertIn('find-links', (self.root / 'etc/pip.conf').read_text())
        self.assertEqual((pathlib.Path('/srv/index'),), taken.directories)

    def test_the_users_own_settings_become_those_of_the_bare_machines_user(self):
        self.machine_has(
            'home/anna/.config/uv/uv.toml', 'index-url = "https://example.org/simple"\n'
        )
        self.taken().write(self.root)
        self.assertIn('example.org', (self.root / 'root/.config/uv/uv.toml').read_text())

    def test_certificates_that_a_variable_names_come_along(self):
        self.machine_has('opt/ca.pem', 'certificate')
        taken = self.taken(
            REQUESTS_CA_BUNDLE='/opt/ca.pem', https_proxy='http://proxy.example.org:3128'
        )
        taken.write(self.root)
        self.assertEqual('certificate', (self.root / 'opt/ca.pem').read_text())
        self.assertEqual({'REQUESTS_CA_BUNDLE', 'https_proxy'}, set(taken.environ))

    def test_files_that_named_files_name_come_along_to_the_last_one(self):
        self.machine_has('srv/pip.ini', '[global]\nconstraint = file:/srv/pins/first.txt\n')
        self.machine_has('srv/pins/first.txt', '-c second.txt\nuv==1\n')
        self.machine_has('srv/pins/second.txt', 'wheel==1\n-c first.txt\n')
        taken = self.taken(PIP_CONFIG_FILE='/srv/pip.ini')
        taken.write(self.root)
        self.assertEqual(
            'wheel==1\n-c first.txt\n', (self.root / 'srv/pins/second.txt').read_text()
        )

    def test_a_local_index_comes_along_with_the_directory_that_its_pages_link_to(self):
        self.machine_has('srv/files/uv-1.whl', 'wheel')
        self.machine_has(
            'srv/simple/uv/index.html',
            '<a href="../../files/uv-1.whl#sha256=1">uv</a> <a '
            'href="https://example.org/uv-2.whl">2</a>',
        )
        taken = self.taken(PIP_EXTRA_INDEX_URL='file:///srv/simple')
        self.assertEqual(
            (pathlib.Path('/srv/files'), pathlib.Path('/srv/simple')), taken.directories
        )

    def test_settings_in_a_directory_of_them_are_read(self):
        (self.machine / 'srv/index').mkdir(parents=True)
        self.machine_has('etc/xdg/pip/pip.conf', '[global]\nextra-index-url = file:///srv/index\n')
        self.assertEqual((pathlib.Path('/srv/index'),), self.taken().directories)

    def test_each_form_of_a_local_address_is_known(self):
        (self.machine / 'srv/wheels').mkdir(parents=True)
        for address in (
            '/srv/wheels',
            'file:/srv/wheels',
            'file:///srv/wheels/',
            'file://localhost/srv/wheels',
        ):
            self.assertEqual(
                (pathlib.Path('/srv/wheels'),),
                self.taken(PIP_FIND_LINKS=f'{address} https://example.org/x').directories,
                address,
            )

    def test_certificates_that_apts_options_name_come_along(self):
        self.machine_has('etc/ssl/mirror.pem', 'certificate')
        self.taken('Acquire::https::CAInfo "/etc/ssl/mirror.pem"').write(self.root)
        self.assertEqual('certificate', (self.root / 'etc/ssl/mirror.pem').read_text())

    def test_names_and_passwords_of_an_index_come_along(self):
        taken = self.taken(UV_INDEX_OURS_USERNAME='anna', UV_INDEX_OURS_PASSWORD='secret')
        self.assertEqual({'UV_INDEX_OURS_USERNAME', 'UV_INDEX_OURS_PASSWORD'}, set(taken.environ))

    def test_caches_and_interpreters_stay_behind(self):
        (self.machine / 'var/pip').mkdir(parents=True)
        taken = self.taken(
            PIP_CACHE_DIR='/var/pip',
            UV_CACHE_DIR='/var/pip',
            UV_PYTHON='/usr/bin/python3',
            PIP_TARGET='/var/pip',
        )
        self.assertEqual(({}, ()), (taken.environ, taken.directories))

    def test_name_servers_replace_a_link_of_the_tree_and_not_the_file_behind_it(self):
        self.machine_has('etc/resolv.conf', 'nameserver 192.0.2.1\n')
        elsewhere = self.root / 'elsewhere'
        elsewhere.write_text('untouched')
        (self.root / 'etc').mkdir()
        (self.root / 'etc/resolv.conf').symlink_to(elsewhere)
        self.taken().write(self.root)
        self.assertEqual('untouched', elsewhere.read_text())
        self.assertEqual('nameserver 192.0.2.1\n', (self.root / 'etc/resolv.conf').read_text())

    def test_name_servers_behind_a_local_one_take_its_place(self):
        self.machine_has('etc/resolv.conf', 'nameserver 127.0.0.53\n')
        self.machine_has('run/systemd/resolve/resolv.conf', 'nameserver 192.0.2.1\n')
        self.taken().write(self.root)
        self.assertEqual('nameserver 192.0.2.1\n', (self.root / 'etc/resolv.conf').read_text())

    def test_a_name_server_elsewhere_is_enough(self):
        self.machine_has('etc/resolv.conf', 'nameserver 127.0.0.1\nnameserver 2001:db8::1\n')
        self.machine_has('run/systemd/resolve/resolv.conf', 'nameserver 192.0.2.1\n')
        self.taken().write(self.root)
        self.assertIn('2001:db8::1', (self.root / 'etc/resolv.conf').read_text())

    def test_local_name_servers_alone_are_refused(self):
        for text in ('nameserver 127.0.0.1\nnameserver ::1\n', '# none: the machine itself\n'):
            self.machine_has('etc/resolv.conf', text)
            self.machine_has('run/systemd/resolve/resolv.conf', 'nameserver 127.0.0.1\n')
            refused = self.assertRaises(errors.LabError, self.taken)
            self.assertIn('network namespace of its own', str(refused))

    def test_a_proxy_or_an_index_of_the_machine_itself_is_refused_by_the_name_of_its_setting(self):
        for address in (
            'http://localhost:3128',
            'http://anna:secret@127.0.0.1/',
            'https://[::1]:8080/simple',
        ):
            self.assertIn(
                'https_proxy',
                str(self.assertRaises(errors.LabError, self.taken, https_proxy=address)),
            )
            refused = self.assertRaises(
                errors.LabError, self.taken, f'Acquire::http::Proxy "{address}";'
            )
            self.assertIn('Acquire::http::Proxy', str(refused))
            self.assertNotIn('secret', str(refused))
            self.machine_has('etc/pip.conf', f'[global]\nindex-url = {address}\n')
            self.assertIn('etc/pip.conf', str(self.assertRaises(errors.LabError, self.taken)))
            (self.machine / 'etc/pip.conf').unlink()

    def test_a_name_that_only_begins_like_the_machine_itself_is_taken(self):
        address = 'http://localhost.example.org:3128'
        self.assertEqual({'https_proxy': address}, self.taken(https_proxy=address).environ)
