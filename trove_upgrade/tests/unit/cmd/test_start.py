# SPDX-License-Identifier: Apache-2.0
"""The start of each program where a file or an address is not to be had: one line with a code, and
nothing is begun.
"""

import pathlib
import socket
import subprocess
import sys

import fixtures
from oslo_config import cfg
from oslo_log import log

from trove_upgrade.cmd import api, guestagent
from trove_upgrade.conf import fault, start
from trove_upgrade.tests.unit import base

_CONFIGURATION = """
[DEFAULT]
transport_url = rabbit://u:s3cret@127.0.0.1:1/
{default}
[database]
connection = mysql+pymysql://u:s3cret@127.0.0.1:1/trove
[keystone_authtoken]
auth_url = http://127.0.0.1:1/v3
[service_credentials]
auth_url = http://127.0.0.1:1/v3
username = u
password = s3cret
project_name = s
[trove_upgrade]
{ours}
"""
SERVICES = ('api', 'taskmanager', 'guestagent')
_CODE = 'import sys; from trove_upgrade.cmd import scripts; sys.exit(scripts.{name}())'


class StartCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def file(self, name, content=''):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def configured(self, default='', ours=''):
        return self.file('trove-upgrade.conf', _CONFIGURATION.format(default=default, ours=ours))

    def run_program(self, name, path, *words):
        return subprocess.run(
            [
                sys.executable,
                '-W',
                'ignore',
                '-c',
                _CODE.format(name=name),
                '--config-file',
                str(path),
                *words,
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def assert_refused(self, done, code, *found, returncode=1):
        self.assertEqual((returncode, ''), (done.returncode, done.stdout), done.stderr)
        self.assertRegex(done.stderr, rf'\A{code}: [^\n]*\.?\n\Z')
        self.assertEqual([], [words for words in found if words not in done.stderr], done.stderr)
        self.assertNotIn('s3cret', done.stderr)


class TestConfigurationFile(StartCase):
    def test_what_is_no_file_of_text_is_refused_and_named(self):
        for path, found in (
            (self.folder / 'missing.conf', 'missing.conf'),
            (self.folder, f'{self.folder}: Is a directory'),
            (self.file('bytes.conf', b'[DEFAULT]\na = \xff\xfe\n'), 'UTF-8'),
        ):
            error = self.assertRaises(
                fault.ConfigurationInvalid,
                start.read,
                cfg.ConfigOpts(),
                ['--config-file', str(path)],
            )
            self.assertIn(found, error.message)

    def test_the_guests_agent_refuses_one_that_is_missing(self):
        self.assert_refused(
            self.run_program('guestagent', self.folder / 'missing.conf'),
            'ERROR CONFIGURATION_INVALID',
            'missing.conf',
        )


class TestLog(StartCase):
    def test_a_configuration_of_the_log_that_cannot_be_used(self):
        for path in (self.folder / 'missing.conf', self.file('empty.conf')):
            conf = cfg.ConfigOpts()
            log.register_options(conf)
            start.read(conf, ['--log-config-append', str(path)])
            error = self.assertRaises(start.LogUnusable, start.open_log, conf)
            self.assertIn(str(path), error.message)


class TestAddress(StartCase):
    def test_a_port_that_another_program_uses(self):
        with socket.create_server(('127.0.0.1', 0)) as other:
            port = other.getsockname()[1]
            path = self.configured(
                f'log_file = {self.folder}/api.log', f'bind_host = 127.0.0.1\nbind_port = {port}'
            )
            self.assert_refused(
                self.run_program('api', path),
                'ERROR ADDRESS_UNUSABLE',
                f'127.0.0.1, port {port} (Address already in use)',
            )
        self.assertNotIn('CRITICAL', (self.folder / 'api.log').read_text())

    def test_an_address_that_is_not_one_of_this_host(self):
        for host in ('192.0.2.1', f'{"x" * 70}.invalid', 'x..y', '::1'):
            error = self.assertRaises(api.AddressUnusable, api.new_server, None, host, 0)
            self.assertIn(f'{host}, port 0 (', error.message)


class TestLock(StartCase):
    def test_a_directory_that_cannot_be_made_or_written(self):
        error = self.assertRaises(
            guestagent.LockRefused, guestagent._only_agent, self.file('file') / 'run'
        )
        self.assertIn(str(self.folder / 'file' / 'run' / 'guestagent.lock'), error.message)
        (self.folder / 'guestagent.lock').mkdir()
        error = self.assertRaises(guestagent.LockRefused, guestagent._only_agent, self.folder)
        self.assertIn('Is a directory', error.message)

    def test_another_agent_holds_it(self):
        with guestagent._only_agent(self.folder):
            self.assertIn(
                'another one runs',
                self.assertRaises(
                    guestagent.LockRefused, guestagent._only_agent, self.folder
                ).message,
            )
        guestagent._only_agent(self.folder).close()
