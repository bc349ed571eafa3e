# SPDX-License-Identifier: Apache-2.0
"""Configurations with a fault: each ends as a row of the check that reads it, without a secret, and
every other check runs.
"""

import json
import pathlib
import subprocess
import sys

import fixtures
from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

from trove_upgrade import conf as our_conf
from trove_upgrade.cmd import status
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.clients import cloud
from trove_upgrade.tests.unit.cmd.status import rows

_FAILURE = upgradecheck.Code.FAILURE
_SECRET = 's3cret-XYZ'
#: Nothing listens on port 1.
_DATABASE = f'mysql+pymysql://u:{_SECRET}@127.0.0.1:1/trove'
_BROKER = f'rabbit://u:{_SECRET}@127.0.0.1:1/'
_PROGRAM = 'import sys; from trove_upgrade.cmd import status; sys.exit(status.main())'


class ConfigurationTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.sections = {
            'DEFAULT': {'transport_url': _BROKER},
            'database': {'connection': _DATABASE},
            'trove_upgrade': {},
            'service_credentials': {
                'auth_url': 'http://127.0.0.1:1/v3',
                'username': 'u',
                'password': _SECRET,
                'project_name': 's',
            },
        }

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def written(self, section, option, value):
        """The file with that one option as told; None: without it."""
        sections = {name: dict(options) for name, options in self.sections.items()}
        sections.setdefault(section, {})[option] = value
        lines = [
            line
            for name, options in sections.items()
            for line in (
                f'[{name}]',
                *(f'{key} = {text}' for key, text in options.items() if text is not None),
            )
        ]
        return self.file('trove-upgrade.conf', '\n'.join(lines))

    def conf(self, section, option, value):
        conf = cfg.ConfigOpts()
        our_conf.register_opts(conf)
        conf(['--config-file', str(self.written(section, option, value))], project='trove-upgrade')
        return conf

    def assert_failure(self, check, section, option, value, *said):
        found = rows.run(status.Checks(self.conf(section, option, value)), check)
        self.assertEqual(_FAILURE, found.code, f'{option} = {value}: {found.details}')
        self.assertEqual(
            [],
            [words for words in said if words not in found.details],
            f'{option} = {value}: {found.details}',
        )
        self.assertNotIn(_SECRET, found.details)
        self.assertNotIn('\n', found.details)


class TestServiceUser(ConfigurationTestCase):
    def test_what_a_login_needs_and_is_not_there_is_named(self):
        for option in ('auth_url', 'username', 'password', 'project_name'):
            for value in (None, ''):
                self.assert_failure(
                    'service_credentials',
                    'service_credentials',
                    option,
                    value,
                    option,
                    '[service_credentials]',
                )

    def test_a_value_that_cannot_be_read(self):
        for value in (
            'no address',
            'http://',
            'ftp://host/',
            'http://127.0.0.1:port/',
            f'http://u:{_SECRET}@[::1/v3',
        ):
            self.assert_failure(
                'service_credentials', 'service_credentials', 'auth_url', value, 'auth_url'
            )
        self.assert_failure(
            'service_credentials', 'service_credentials', 'password', f'a${_SECRET}', '"$$"'
        )
        self.assert_failure(
            'service_credentials', 'service_credentials', 'insecure', 'perhaps', 'insecure'
        )
        self.assert_failure(
            'service_credentials', 'service_credentials', 'interface', 'sideways', 'interface'
        )

    def test_a_file_of_certificates_that_holds_none(self):
        for path in (
            '/does/not/exist',
            self.folder,
            self.file('ca.pem', 'no certificate'),
            self.file('empty.pem', ''),
        ):
            self.assert_failure(
                'service_credentials', 'service_credentials', 'cafile', path, 'cafile', str(path)
            )

    def test_an_address_where_no_keystone_is(self):
        for value in ('http://127.0.0.1:1/v3', 'http://127.0.0.1:1/v9'):
            self.assert_failure('nova', 'service_credentials', 'auth_url', value, 'auth_url')

    def test_a_nova_whose_answers_have_another_form(self):
        stage = self.useFixture(cloud.Cloud())
        self.sections['service_credentials']['auth_url'] = f'{stage.url}/v3'
        for path, document in (
            ('/v2.1/servers/detail', []),
            ('/v2.1/servers/detail', {'other': 1}),
            ('/v2.1', 'text'),
            ('/v2.1', {'version': 5}),
        ):
            stage.answers = {('GET', path): (200, document)}
            self.assert_failure(
                'nova', 'service_credentials', 'username', 'u', '[service_credentials]'
            )

    def test_a_password_that_keystone_refuses(self):
        stage = self.useFixture(cloud.Cloud())
        stage.answers['POST', '/v3/auth/tokens'] = (
            401,
            {'error': {'code': 401, 'message': 'no such user or password'}},
        )
        self.assert_failure(
            'nova', 'service_credentials', 'auth_url', f'{stage.url}/v3', 'user, password'
        )

    def test_a_microversion_that_is_none(self):
        for value in ('', 'latest', '2', '2.x', '1.5'):
            self.assert_failure(
                'nova',
                'trove_upgrade',
                'compute_max_microversion',
                value,
                'compute_max_microversion',
            )


class TestOptions(ConfigurationTestCase):
    def test_each_that_cannot_be_read_is_named_without_its_value(self):
        for option, value in (
            ('lease_seconds', _SECRET),
            ('lease_seconds', '-1'),
            ('write_service_status', _SECRET),
            ('guest_config_file', f'${_SECRET}'),
            ('compute_endpoint_override', f'ftp://u:{_SECRET}@host/'),
        ):
            self.assert_failure(
                'options',
                'trove_upgrade',
                option,
                value,
                f'[trove_upgrade] {option} ',
                ' 1 cannot be read',
            )
        self.assert_failure(
            'options',
            'service_credentials',
            'password',
            f'a${_SECRET}',
            '[service_credentials] password ',
            '"$$"',
        )

    def test_it_names_them_all_at_once(self):
        self.sections['trove_upgrade'] = {'lease_seconds': 'abc', 'max_body_bytes': 'abc'}
        self.assert_failure(
            'options',
            'service_credentials',
            'interface',
            'sideways',
            ' 3 cannot be read',
            '[trove_upgrade] lease_seconds ',
            '[trove_upgrade] max_body_bytes ',
            '[service_credentials] interface ',
        )

    def test_no_value_of_any_option_is_shown(self):
        for section, opts in our_conf.list_opts():
            group = section or 'DEFAULT'
            for opt in opts:
                found = rows.run(
                    status.Checks(self.conf(group, opt.name, f'${_SECRET}')), 'options'
                )
                self.assertEqual(_FAILURE, found.code, opt.name)
                self.assertIn(f'[{group}] {opt.name} (', found.details)
                self.assertNotIn(_SECRET, found.details)

    def test_a_variable_of_the_environment_is_named_without_its_value(self):
        self.useFixture(fixtures.EnvironmentVariable('OS_TROVE_UPGRADE__LEASE_SECONDS', _SECRET))
        self.assert_failure(
            'options',
            'trove_upgrade',
            'lease_seconds',
            None,
            '[trove_upgrade] lease_seconds ',
            'is not valid)',
        )

    def test_right_ones_are_counted(self):
        found = rows.run(
            status.Checks(self.conf('trove_upgrade', 'lease_seconds', '15')), 'options'
        )
        self.assertRegex(
            found.details, r'\AEach of the \d+ options of trove-upgrade can be read\.\Z'
        )
        self.assertEqual(upgradecheck.Code.SUCCESS, found.code)

    def test_a_lease_of_an_earlier_release_is_warned_of(self):
        found = rows.run(
            status.Checks(self.conf('trove_upgrade', 'lease_seconds', '60')), 'options'
        )
        self.assertEqual(upgradecheck.Code.WARNING, found.code)
        self.assertIn('[trove_upgrade] lease_seconds is 60', found.details)


class TestDatabase(ConfigurationTestCase):
    def test_an_address_that_cannot_be_used(self):
        for value in (
            None,
            '',
            'x',
            'sqlite://',
            f'mysql+none://u:{_SECRET}@host/x',
            f'mysql+pymysql://u:{_SECRET}@host:port/x',
            f'{_DATABASE}?foo=bar',
            f'{_DATABASE}?connect_timeout=x',
            f'{_DATABASE}?ssl_ca=/does/not/exist',
            f'postgresql+psycopg2://u:{_SECRET}@127.0.0.1:1/x?no=1',
            f'mysql+pymysql://u:a${_SECRET}@host/x',
            _DATABASE,
        ):
            self.assert_failure('database', 'database', 'connection', value)

    def test_the_checks_that_need_it_point_to_its_own(self):
        for value in (
            f'{_DATABASE}?ssl_ca=/does/not/exist',
            f'mysql+pymysql://u:a${_SECRET}@host/x',
            'x',
        ):
            checks = status.Checks(self.conf('database', 'connection', value))
            for name in ('schema', 'services', 'taskmanager'):
                found = rows.run(checks, name)
                self.assertIn('database', found.details.lower())
                self.assertNotIn(_SECRET, found.details)


class TestBroker(ConfigurationTestCase):
    def test_an_address_that_cannot_be_used(self):
        for value in (
            '',
            'x',
            f'rabbit://u:{_SECRET}@127.0.0.1:port/',
            'none://u:p@host/',
            'kafka://host:1/',
            f'rabbit://u:{_SECRET}@[::1/',
            f'rabbit://u:a${_SECRET}@127.0.0.1:1/',
            _BROKER,
            f'{_BROKER}?ssl=1&ssl_ca_file=/does/not/exist',
        ):
            self.assert_failure('transport', 'DEFAULT', 'transport_url', value)

    def test_an_option_of_its_driver_that_cannot_be_read(self):
        self.assert_failure('transport', 'oslo_messaging_rabbit', 'ssl', 'perhaps', 'ssl')


class TestFiles(ConfigurationTestCase):
    def unreadable(self):
        return (
            self.folder,
            self.file('bytes.yaml', b'\xff\xfe\x00\x01'),
            self.file('no.yaml', '[: {'),
            self.file('list.yaml', '[1, 2]'),
        )

    def test_version_rules(self):
        for path in ('/does/not/exist', *self.unreadable()):
            self.assert_failure(
                'version_rules', 'trove_upgrade', 'version_rules_file', path, 'version_rules_file'
            )

    def test_a_policy_that_is_none(self):
        wrong = (
            '"trove_upgrade:instances:upgrade": 5',
            '"trove_upgrade:a": "rule:b"\n"b": "rule:trove_upgrade:a"',
            '"trove_upgrade:instances:upgrade": "rule:nowhere"',
            '"trove_upgrade:instances:upgrade": "role:admin and and ("',
        )
        for path in (
            *self.unreadable(),
            *(self.file(f'{number}.yaml', text) for number, text in enumerate(wrong)),
        ):
            self.assert_failure('policy', 'trove_upgrade', 'policy_file', path, 'policy_file')


class TestEveryCheck(ConfigurationTestCase):
    def test_one_fault_leaves_the_other_checks_their_words(self):
        found = rows.run_all(status.Checks(self.conf('service_credentials', 'password', None)))
        self.assertEqual(
            [],
            [
                name
                for name, row in found.items()
                if not row.details.endswith('.') or len(row.details.split()) < 5
            ],
            {name: row.details for name, row in found.items()},
        )
        self.assertIn('password is not set', found['Service credentials'].details)
        self.assertIn('Service credentials'.lower(), found['Nova'].details)

    def program(self, path):
        return subprocess.run(
            [
                sys.executable,
                '-c',
                _PROGRAM,
                '--config-file',
                str(path),
                'upgrade',
                'check',
                '--json',
            ],
            timeout=300,
            capture_output=True,
            text=True,
            check=False,
        )

    def test_the_program_ends_with_2_and_prints_no_traceback_and_no_secret(self):
        self.sections['DEFAULT']['transport_url'] = f'rabbit://u:a${_SECRET}@127.0.0.1:1/'
        done = self.program(self.written('service_credentials', 'password', None))
        self.assertEqual((2, ''), (done.returncode, done.stderr), done.stdout)
        found = {row['check']: row['result'] for row in json.loads(done.stdout)['checks']}
        self.assertEqual(
            {2}, {found[name] for name in ('Database', 'Service credentials', 'Message broker')}
        )
        self.assertNotIn(_SECRET, done.stdout)

    def test_a_file_that_is_none_is_one_line(self):
        for path in (
            self.file('none.conf', f'[database\nconnection = {_DATABASE}'),
            self.folder / 'missing.conf',
        ):
            done = self.program(path)
            self.assertEqual((2, ''), (done.returncode, done.stdout))
            self.assertRegex(done.stderr, r'\AERROR CONFIGURATION_INVALID: [^\n]*\n\Z')
            self.assertNotIn(_SECRET, done.stderr)
