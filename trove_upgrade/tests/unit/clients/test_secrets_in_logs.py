# SPDX-License-Identifier: Apache-2.0
"""Real clients at debug, each in a process with the log of our programs: no secret that they send
or get is in any line.
"""

import base64
import json
import pathlib
import subprocess
import sys

import fixtures

from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.clients import cloud

_CANARIES = {
    'broker': 'canary-broker-7c1',
    'registry': 'canary-registry-8d2',
    'key': 'canary-key-9e3',
    'service': 'canary-service-0f4',
}
_USER_DATA = (
    '#cloud-config\nwrite_files:\n- path: /etc/trove/conf.d/guest_info.conf\n  content: |\n    '
    '[DEFAULT]\n    guest_id = i\n'
    f'    instance_rpc_encr_key = {_CANARIES["key"]}\n    transport_url = '
    f'rabbit://u:{_CANARIES["broker"]}@b/\n'
    f'    container_registry_password = {_CANARIES["registry"]}\n'
)
_CONFIGURATION = """
[DEFAULT]
debug = true
log_file = {folder}/log
transport_url = rabbit://u:{broker}@127.0.0.1:1/
{more}
[service_credentials]
auth_url = {url}/v3
username = u
password = {service}
project_name = s
"""
_PROGRAM = """
import logging, sys, time
from trove_upgrade.wsgi import threads
threads.choose()
from oslo_config import cfg
from oslo_log import log
from trove_upgrade import conf as our_conf
from trove_upgrade.clients.glance import Glance
from trove_upgrade.clients.nova import Nova
from trove_upgrade.clients.nova_list import NovaDirectory
from trove_upgrade.conf import start
from trove_upgrade.domain import exceptions
from trove_upgrade import clock
from trove_upgrade.guestagent.machine.containers import docker_engine as engine, http
from trove_upgrade.guestagent.machine.containers.login import RegistryLogin
from trove_upgrade.rpc import taskmanager

conf, server = cfg.CONF, sys.argv[2]
log.register_options(conf)
our_conf.register_opts(conf)
start.read(conf, ['--config-file', sys.argv[1]])
start.open_log(conf)
nova = Nova.from_conf(conf)
nova.server(server)
nova.describe(server)
whole = nova.server_with_user_data(server)
nova.rebuild(whole, 'image-2', 'u:1', whole.user_data, ends_at=time.monotonic() + 20)
NovaDirectory.from_conf(conf).list_servers([server])
Glance.from_conf(conf).image('image-2')
login = RegistryLogin('r.example', 'u', sys.argv[3])
try:
    engine.DockerEngine(http.UnixTransport('/nonexistent/socket'), clock.SystemClock(), \
login=login).pull('r.example/image:1', lambda *_: None)
except exceptions.TroveUpgradeError as error:
    logging.getLogger('trove_upgrade').error('%s', error.message, exc_info=error)
client = taskmanager.TaskManagerAPI.from_conf(conf)
logging.getLogger('trove_upgrade').debug('debug is on')
for name in start.HELD:
    logging.getLogger(name + '.later').debug('a line of a library')
"""


class TestSecretsInLogs(base.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(cloud.Cloud())
        self.cloud.server['OS-EXT-SRV-ATTR:user_data'] = base64.b64encode(
            _USER_DATA.encode()
        ).decode()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def written(self, more=''):
        """All output of a process with the real clients at debug."""
        path = self.folder / 'trove-upgrade.conf'
        path.write_text(
            _CONFIGURATION.format(folder=self.folder, url=self.cloud.url, more=more, **_CANARIES)
        )
        command = [
            sys.executable,
            '-W',
            'ignore',
            '-c',
            _PROGRAM,
            str(path),
            cloud.SERVER,
            _CANARIES['registry'],
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        log = self.folder / 'log'
        return done.stdout + done.stderr + (log.read_text() if log.exists() else '')

    def assert_no_secret(self, written):
        self.assertIn('debug is on', written)
        self.assertNotIn('a line of a library', written)
        sent = json.dumps(self.cloud.requests)
        self.assertIn(_CANARIES['service'], sent)  # the clients really had it
        encoded = base64.b64encode(_USER_DATA.encode()).decode()
        self.assertIn(encoded, sent)
        for secret in (*_CANARIES.values(), encoded[:60], encoded[60:120]):
            self.assertNotIn(secret, written)

    def test_none_is_written_at_debug(self):
        self.assert_no_secret(self.written())

    def test_nor_where_the_levels_of_libraries_are_set(self):
        levels = (
            'novaclient=DEBUG, novaclient.v2.client=DEBUG, keystoneauth=DEBUG, '
            'keystoneauth.session=DEBUG, urllib3.connectionpool=DEBUG'
        )
        self.assert_no_secret(self.written(f'default_log_levels = {levels}, amqp=DEBUG'))

    def test_nor_with_a_configuration_of_the_log(self):
        path = self.folder / 'logging.conf'
        path.write_text(
            '[loggers]\nkeys = root, nova\n[handlers]\nkeys = all\n[formatters]\nkeys =\n'
            '[logger_root]\nlevel = DEBUG\nhandlers = all\n'
            '[logger_nova]\nlevel = DEBUG\nhandlers =\nqualname = novaclient.v2.client\n'
            '[handler_all]\nclass = StreamHandler\nargs = (sys.stdout,)\nlevel = NOTSET\n'
        )
        self.assert_no_secret(self.written(f'log_config_append = {path}'))
