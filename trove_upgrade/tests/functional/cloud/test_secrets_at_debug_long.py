# SPDX-License-Identifier: Apache-2.0
"""One whole upgrade with debug on in API, taskmanager and both agents: no secret of it is in
anything that is written or answered.
"""

import base64
import configparser
import contextlib
import json
import os
import pathlib
import subprocess
import urllib.parse

import oslo_messaging
import sqlalchemy as sa
import yaml
from oslo_config import cfg

from lab import errors, guest_keys, stage
from lab.instances import GUEST_KEY_FILE
from trove_upgrade import conf as our_conf
from trove_upgrade.clients.nova import Nova
from trove_upgrade.rpc import transport
from trove_upgrade.tests.functional.cloud import base
from trove_upgrade.tests.functional.cloud.test_notifications import Listener

#: Of the guest's own files; its oslo.config takes sections that come twice as one.
_REGISTRY, _KEY, _DATABASE = (
    'canary-registry-5e1f7a',
    'canary-rpc-key-9b3d2c',
    'canary-database-4f8a6e',
)
_MORE = f"""72

[DEFAULT]
debug = true
instance_rpc_encr_key = {_KEY}
container_registry_username = canary
container_registry_password = {_REGISTRY}
"""
_LOGS = 'cd /var/log && find . -type f -exec cat {} +; journalctl --no-pager 2>/dev/null; true'


def forms(secret):
    """As it could stand there: plain, in an address, in JSON, and in base64, of whose text it can
    begin at each of three places.
    """
    found = {secret, urllib.parse.quote(secret, safe=''), json.dumps(secret)[1:-1]}
    for before in range(3):
        encoded = base64.b64encode(b'\0' * before + secret.encode()).decode()
        found.add(encoded[-(-before * 8 // 6) :].rstrip('=')[:-1])
    return found


class TestSecretsAtDebug(base.CloudTestCase):
    def setUp(self):
        super().setUp()
        self.written = {}  #: where -> text
        self.guest_lines = {}  #: as an ordered set: the same logs are read again and again
        self.canaries = {
            'registry password': _REGISTRY,
            'RPC key': _KEY,
            'database password': _DATABASE,
            "the guest's and the services' broker account": urllib.parse.urlsplit(
                self.handle.transport_url
            ).password,
            "service user's password": self.handle.service.password,
            "the key of guests' keys": guest_keys.encryption_key(self.stage.layout),
            "the services' database password": sa.make_url(self.handle.database_url()).password,
        }
        self.addCleanup(self.restart)
        self.restart(debug=True)
        self.begun = {path: path.stat().st_size for path in self.log_files()}
        self.listener = Listener()
        self.listen()

    def restart(self, *, debug=False):
        """The services of the product, as `up --product` starts them, and with debug where it is
        wanted.
        """
        self.product.stop()
        self.product.configure(stage.QUICK)
        if debug:
            parser = configparser.ConfigParser(interpolation=None, strict=False)
            parser.read(self.product.config_file)
            parser['DEFAULT']['debug'] = 'true'
            with self.product.config_file.open('w') as file:
                parser.write(file)
        self.product.start_taskmanager()
        self.product.start_api()

    def listen(self):
        conf = cfg.ConfigOpts()
        conf(['--config-file', str(self.product.config_file)])
        server = oslo_messaging.get_notification_listener(
            transport.get_notification_transport(conf),
            [oslo_messaging.Target(topic='notifications')],
            [self.listener],
            executor='threading',
        )
        server.start()
        self.addCleanup(server.wait)
        self.addCleanup(server.stop)

    def log_files(self):
        """Of each process of the lab, and the consoles of the guests."""
        layout = self.stage.layout
        logs = [path for path in layout.logs_dir.rglob('*') if path.is_file()]
        return [*logs, *layout.guests_dir.glob('*/console.log')]

    def read_logs(self):
        for path in self.log_files():
            with path.open('rb') as file:
                file.seek(self.begun.get(path, 0))
                self.written[str(path)] = file.read().decode(errors='backslashreplace')

    def read_guest(self, instance):
        """Its logs now: the former root disk's are gone after the rebuild."""
        with contextlib.suppress(errors.LabError):
            found = self.guest(instance).exec(['sh', '-c', _LOGS], check=False).output
            self.guest_lines.update(dict.fromkeys(found.splitlines()))

    def run_program(self, *words):
        done = subprocess.run(
            [str(self.programs / words[0]), *words[1:]],
            env={**os.environ, 'no_proxy': '*'},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.written[' '.join(words)] = done.stdout + done.stderr

    def ask_everything(self, instance, upgrade_id):
        for user in ('demo', 'admin'):
            for path in (
                f'/instances/{instance.id}',
                f'/instances/{instance.id}/upgrades',
                f'/upgrades/{upgrade_id}',
                f'/instances/{instance.id}/upgrade-targets',
            ):
                self.written[f'{user}: {path}'] = json.dumps(
                    self.call('GET', path, user=user), ensure_ascii=False
                )
            for words in (
                ('openstack', '--debug', 'database', 'instance', 'show', instance.id),
                ('trove', 'show', instance.id),
            ):
                done = self.clients(user).attempt(*words)
                self.written[f'{user}: {" ".join(words)}'] = done.stdout + done.stderr
        config = ('--config-file', str(self.product.config_file))
        self.run_program('trove-upgrade-manage', *config, 'upgrade', 'list')
        self.run_program('trove-upgrade-manage', *config, 'upgrade', 'show', upgrade_id)
        self.run_program('trove-upgrade-manage', *config, '--debug', 'service', 'list')
        self.run_program('trove-upgrade-status', *config, 'upgrade', 'check')

    def test_no_secret_is_in_logs_notifications_answers_or_output(self):
        instance = self.create_instance('canaries', agent_options={'stash_keep_hours': _MORE})
        self.canaries['the key of the former guest'] = self.key_of(instance)
        self.sql(instance, f"CREATE USER canary@'%' IDENTIFIED BY '{_DATABASE}'")
        status, body = self.patch(instance, self.target.name)
        self.assertEqual(202, status, body)

        def has_ended():
            self.read_guest(instance)
            return self.upgrades_of(instance)[0]['ended_at'] is not None

        self.wait_until(has_ended, 'the upgrade to end', timeout_seconds=base.UPGRADE_SECONDS)
        upgrade = self.upgrades_of(instance)[0]
        self.assertEqual('COMPLETED', upgrade['state'], upgrade)
        self.canaries['the key of the new guest'] = self.key_of(instance)
        self.assertEqual(len(self.canaries), len(set(self.canaries.values())))
        self.wait_until(lambda: len(self.listener.of(instance.id)) >= 2, 'two notifications')
        self.read_guest(instance)
        self.ask_everything(instance, upgrade['id'])
        self.written['notifications'] = repr(self.listener.of(instance.id))
        self.read_logs()
        self.written['logs in the guest'] = '\n'.join(self.guest_lines)

        self.assert_run_was_at_debug(instance)
        found = sorted(
            f'{name} in {where}: {self.around(text, form)}'
            for name, secret in self.canaries.items()
            for form in forms(secret)
            for where, text in self.written.items()
            if form in text
        )
        self.assertEqual([], found)

    def assert_run_was_at_debug(self, instance):
        """Else nothing was proven: each program wrote lines at DEBUG, and the canaries were where
        they belong.
        """
        for name in ('trove-upgrade-api', 'trove-upgrade-taskmanager'):
            logs = [
                text for where, text in self.written.items() if pathlib.Path(where).stem == name
            ]
            self.assertTrue(any(' DEBUG ' in text for text in logs), f'{name}: {len(logs)} logs')
        self.assertIn(' DEBUG ', self.written['logs in the guest'])
        conf = cfg.ConfigOpts()
        our_conf.register_opts(conf)
        conf(['--config-file', str(self.product.config_file)])
        sent = (
            Nova.from_conf(conf).server_with_user_data(instance.server_id).user_data or b''
        ).decode()
        with_files = sent + ''.join(
            base64.b64decode(entry['content']).decode()
            for entry in self.entries(sent)
            if entry.get('encoding') == 'b64'
        )
        for name in ('registry password', 'RPC key', 'the key of the new guest'):
            self.assertIn(self.canaries[name], with_files, name)

    def key_of(self, instance):
        return json.loads(self.guest(instance).exec(['cat', GUEST_KEY_FILE]).output)['secret']

    @staticmethod
    def entries(user_data):
        return yaml.safe_load(user_data)['write_files']

    @staticmethod
    def around(text, form):
        """The line that holds it, without it."""
        place = text.index(form)
        return text[max(0, place - 200) : place].rpartition('\n')[2] + '<here>'
