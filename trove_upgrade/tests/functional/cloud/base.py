# SPDX-License-Identifier: Apache-2.0
"""What tests on the real one-machine cloud stand on.  `make functional` brings it up; so does
`trove-upgrade-lab up --product`.
"""

import functools
import json
import pathlib
import sys
import tempfile
import urllib.error
import urllib.request

from lab import following, rest
from lab.clients import Clients
from lab.cloud import Cloud
from lab.demo import snapshots
from lab.images import provision
from lab.layout import Layout
from trove_upgrade.tests import base
from trove_upgrade.tests.functional import waiting, who_serves

UPGRADE_SECONDS = 240.0


class CloudTestCase(waiting.Waiting, base.TestCase):
    """A test with the real cloud, our real services and real guests."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.stage = who_serves.alone(Layout.from_environ())
        except FileNotFoundError as error:
            raise RuntimeError(
                'No cloud is up: run "make functional", or .venv/bin/trove-upgrade-lab up '
                '--product first.'
            ) from error
        cls.handle, cls.product, cls.maker = cls.stage.handle, cls.stage.product, cls.stage.maker
        cls.former, cls.target = cls.stage.former, cls.stage.target
        cls.programs = pathlib.Path(sys.executable).parent
        cls.project_id = cls.maker.project_id('demo')
        cls.base_url = cls.url_of('demo')

    @classmethod
    @functools.cache
    def url_of(cls, user):
        """The API's address with the user's project."""
        project_id = cls.maker.project_id(cls.handle.users[user].project_name)
        return f'{cls.handle.database_api_url}/{project_id}'

    def setUp(self):
        super().setUp()
        self.work_dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    # --- instances
    # -------------------------------------------------------------------------------------------

    def create_instance(self, name, **options):
        instance = self.maker.create(name, options.pop('version', self.former), **options)
        self.addCleanup(self.maker.delete, instance.server_id)
        return instance

    def guest(self, instance):
        return self.maker.guest(instance.server_id)

    def sql(self, instance, statement):
        return provision.sql(self.guest(instance), statement + ';').strip()

    def assert_serves(self, instance, version):
        """The database answers, writes, and says that it is this version."""
        self.assertTrue(
            self.sql(instance, 'SELECT VERSION()').startswith(version.name), version.name
        )
        self.sql(instance, f'INSERT INTO {provision.DATABASE}.heartbeat (note) VALUES ("serves")')

    # --- the API
    # ---------------------------------------------------------------------------------------------

    def clients(self, user='demo'):
        return Clients(self.handle.users[user])

    def session(self, user='demo'):
        found = self.handle.users[user]
        return rest.Session.of(found)

    def call(self, method, path, body=None, *, token=None, user='demo', headers=None):
        """(status, parsed body or None), whatever the status; below the project of the user."""
        data = (
            body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        )
        request = urllib.request.Request(
            self.url_of(user) + path,
            data=data,
            method=method,
            headers={
                'X-Auth-Token': token or self.session(user).token(),
                'Content-Type': 'application/json',
                'Accept': 'application/json',
                **(headers or {}),
            },
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            text = error.read()
            return error.code, json.loads(text) if text.startswith(b'{') else text.decode()

    def show(self, instance):
        return self.call('GET', f'/instances/{instance.id}')[1]['instance']

    def patch(self, instance, version):
        return self.call(
            'PATCH', f'/instances/{instance.id}', {'instance': {'datastore_version': version}}
        )

    def upgrade(self, instance, version=None, *, timeout_seconds=UPGRADE_SECONDS):
        """Start an upgrade and return it as the API shows it once it has ended."""
        status, body = self.patch(instance, (version or self.target).name)
        self.assertEqual(202, status, body)
        return self.wait_ended(instance, timeout_seconds=timeout_seconds)

    def wait_ended(self, instance, *, timeout_seconds=UPGRADE_SECONDS):
        session = self.session()
        follower = following.Follower(
            lambda path: session.request('GET', self.base_url + path), lambda _line: None
        )
        return follower.until_ended(instance.id, timeout_seconds)

    def upgrades_of(self, instance):
        return self.call('GET', f'/instances/{instance.id}/upgrades')[1]['upgrades']

    # --- Nova, through its proxy
    # --------------------------------------------------------------------------------

    def fail_nova(self, **fault):
        """Have the proxy in front of Nova answer our services with errors; ended with the test."""
        self._control('POST', '/__faults', fault)
        self.addCleanup(self._control, 'DELETE', '/__faults')

    def _control(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.handle.proxy_control_url + path,
            data=data,
            method=method,
            headers={'Content-Type': 'application/json'},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            request, timeout=10
        ) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def cloud(self):
        return Cloud(self.stage.layout)

    def snapshot(self, instance):
        return snapshots.take(self.maker, instance)
