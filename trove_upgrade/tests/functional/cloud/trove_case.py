# SPDX-License-Identifier: Apache-2.0
"""What tests of the filter in Trove's own API stand on: Trove's tables and ours, rows as Trove
writes them, and a taskmanager's ear.
"""

import contextlib
import http.client
import json
import pathlib
import shutil
import subprocess
import tempfile
import threading
import uuid

import oslo_messaging
import sqlalchemy as sa
from oslo_config import cfg

from lab.cloud import Cloud
from trove_upgrade import conf as our_conf
from trove_upgrade.db import engine, repositories, trove_tables
from trove_upgrade.domain import guests
from trove_upgrade.rpc import transport
from trove_upgrade.tests.functional.cloud import base, trove_api

FORMER, TARGET = '10.11.14', '11.8.6'
#: not the topic of the taskmanager that runs on this cloud: it works on another database
TOPIC = 'trove-filter-test'
WAIT_SECONDS = 30.0


class TroveTestCase(base.CloudTestCase):
    """Trove's tables and ours in a database of their own.

    Nova has no server of these instances: what is asked here ends in the API, and Trove shows an
    instance without one, too.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        directory = pathlib.Path(tempfile.mkdtemp(prefix='trove-filter-'))
        cls.addClassCleanup(shutil.rmtree, directory, ignore_errors=True)
        database = f'trove_filter_{uuid.uuid4().hex[:8]}'
        cls.installation = trove_api.Installation(directory, cls._cloud(), cls.handle, database)
        cls.product_tool('db', 'sync')
        cls.database = engine.Database.from_url(cls.installation.database_url)
        cls.addClassCleanup(cls.database.dispose)
        cls.repos = repositories.Repositories.of(cls.database)
        cls._register_versions()
        cls.tokens = {
            name: trove_api.session(cls.handle.users[name]).token()
            for name in ('demo', 'reader', 'admin')
        }

    @classmethod
    def _cloud(cls):
        return Cloud(cls.stage.layout)

    @classmethod
    def product_tool(cls, *arguments):
        """trove-upgrade-manage with Trove's own configuration file, as an operator calls it."""
        done = subprocess.run(
            [
                str(cls.programs / 'trove-upgrade-manage'),
                '--config-file',
                str(cls.installation.config('trove')),
                *arguments,
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise AssertionError(done.stdout + done.stderr)
        return done.stdout

    @classmethod
    def insert(cls, table, **values):
        with cls.database.write() as connection:
            connection.execute(sa.insert(table).values(**values))

    @classmethod
    def _register_versions(cls):
        datastore_id = str(uuid.uuid4())
        cls.insert(
            trove_tables.datastores, id=datastore_id, name='mariadb', default_version_id=None
        )
        cls.versions = {FORMER: str(uuid.uuid4()), TARGET: str(uuid.uuid4())}
        for name, version_id in cls.versions.items():
            cls.insert(
                trove_tables.datastore_versions,
                id=version_id,
                datastore_id=datastore_id,
                name=name,
                image_id=cls.former.image_id,
                packages='',
                active=True,
                manager='mariadb',
                image_tags=None,
                version=name,
                registry_ext='',
                repl_strategy='',
            )

    @classmethod
    def new_instance(cls, name='db', *, has_agent=True, **columns):
        """A row as Trove writes it, ACTIVE and HEALTHY; its guest has told of our agent unless said
        otherwise.
        """
        instance_id = str(uuid.uuid4())
        cls.insert(
            trove_tables.instances,
            **{
                'id': instance_id,
                'name': name,
                'tenant_id': cls.project_id,
                'compute_instance_id': str(uuid.uuid4()),
                'flavor_id': '6',
                'volume_size': 1,
                'datastore_version_id': cls.versions[FORMER],
                'task_id': 1,
                'task_description': 'No tasks for the instance.',
                'created': sa.func.now(),
                'updated': sa.func.now(),
                'deleted': False,
                'region_id': 'RegionOne',
                **columns,
            },
        )
        cls.repos.instances.set_service_status(instance_id, 'healthy')
        if has_agent:
            cls.repos.guests.record(
                guests.Heartbeat(
                    instance_id=instance_id,
                    boot_id='boot-1',
                    marker=None,
                    restored=False,
                    agent_version='1.0',
                    server_version=None,
                    server_state=guests.ServerState.RUNNING,
                )
            )
        return instance_id

    def new_server(self):
        """The id of a server of Nova's, in whichever state it is: Trove's own upgrade wants one,
        and nothing of it.
        """
        service = trove_api.session(self.handle.service)
        server_id = service.request(
            'POST',
            f'{self.handle.nova_url}/servers',
            {
                'server': {
                    'name': 'of-trove',
                    'imageRef': self.former.image_id,
                    'flavorRef': self.handle.flavors['db.small'],
                    'networks': [{'uuid': self.handle.network_id}],
                }
            },
        )['server']['id']
        self.addCleanup(service.request, 'DELETE', f'{self.handle.nova_url}/servers/{server_id}')
        return server_id

    def upgrade_of(self, instance_id):
        return next(iter(self.repos.upgrades.list(limit=1, instance_id=instance_id).items), None)

    def instance_row(self, instance_id):
        with self.database.read() as connection:
            return connection.execute(
                sa.select(trove_tables.instances).where(trove_tables.instances.c.id == instance_id)
            ).one()

    def ask(self, api, method, path, body=None, *, user='demo', **options):
        """(status, parsed body or bytes, headers in lower case)."""
        status, headers, content = trove_api.ask(
            f'{api.url}/{self.project_id}{path}', method, self.tokens[user], body, **options
        )
        parsed = json.loads(content) if content[:1] in {b'{', b'['} else content
        return status, parsed, {name.lower(): value for name, value in headers.items()}

    def upgrade(self, api, instance_id, version=TARGET, method='PATCH', **options):
        return self.ask(
            api,
            method,
            f'/instances/{instance_id}',
            {'instance': {'datastore_version': version}},
            **options,
        )

    @contextlib.contextmanager
    def asking(self, api):
        """Requests in a row from several clients as long as the block lasts, whatever becomes of
        them.
        """
        over = threading.Event()

        def ask():
            while not over.is_set():
                with contextlib.suppress(OSError, http.client.HTTPException):
                    self.ask(api, 'GET', '/upgrades')

        clients = [threading.Thread(target=ask) for _ in range(8)]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            over.set()
            for client in clients:
                client.join()

    def listed(self, pids):
        return {service.pid for service in self.repos.services.list()} & set(pids)

    def processes_of(self, api):
        return {api.process.pid, *api.workers()}

    def new_listed_api(self, **options):
        """(api, pids of its processes), once its rows are there."""
        api = self.new_api(**options)
        self.addCleanup(api.stop)
        self.ask(api, 'GET', '/upgrades')
        pids = self.processes_of(api)
        self.wait_until(lambda: self.listed(pids), 'a sign of life')
        return api, pids

    def assert_none_is_left_by(self, api, pids):
        """Asked of the tool, as an operator does, as soon as the last process has gone."""
        self.wait_until(api.has_ended, 'the end of all processes')
        shown = json.loads(self.product_tool('service', 'list', '--json'))
        self.assertEqual([], [one for one in shown if one['pid'] in pids])

    def assert_refused(self, answer, status, error_code):
        found, body, headers = answer
        self.assertEqual(status, found, body)
        self.assertEqual(
            (status, error_code),
            (next(iter(body.values()))['code'], next(iter(body.values()))['error_code']),
            body,
        )
        self.assertTrue(headers['content-type'].startswith('application/json'))
        self.assertEqual(headers['x-openstack-request-id'], headers['x-compute-request-id'])
        return next(iter(body.values()))


class Nudged:
    """Listens where a taskmanager would, in the same way."""

    target = oslo_messaging.Target(version='1.1')

    def __init__(self, url):
        conf = cfg.ConfigOpts()
        our_conf.register_opts(conf)
        conf([], default_config_files=[], default_config_dirs=[])
        conf.set_override('taskmanager_topic', TOPIC, 'trove_upgrade')
        transport.register_missing_opts(conf)
        self._transport = oslo_messaging.get_rpc_transport(conf, url=url)
        self._server = transport.get_server(
            self._transport, transport.taskmanager_target(conf, server='test'), [self]
        )
        self.seen, self._changed = set(), threading.Condition()
        self._server.start()

    def upgrade(self, _context, instance_id, datastore_version_id, upgrade_id):
        with self._changed:
            self.seen.add(upgrade_id)
            self._changed.notify_all()

    def check(self, _context, check_id):
        """Of another test: the queue is one."""

    def wait_for(self, upgrade_id):
        with self._changed:
            return self._changed.wait_for(lambda: upgrade_id in self.seen, WAIT_SECONDS)

    def stop(self):
        self._server.stop()
        self._server.wait()
        self._transport.cleanup()
