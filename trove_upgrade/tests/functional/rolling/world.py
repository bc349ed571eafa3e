# SPDX-License-Identifier: Apache-2.0
"""One database, one broker, guests of both releases and taskmanagers of both releases: the test is
API and operator.
"""

import base64
import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import uuid

import sqlalchemy as sa
from cryptography import fernet
from cryptography.hazmat.primitives import ciphers
from testtools import content

from trove_upgrade.db import engine, repositories, trove_tables
from trove_upgrade.db.migrations.runner import Runner
from trove_upgrade.domain import guests, instances
from trove_upgrade.rpc import serializer, taskmanager, transport
from trove_upgrade.tests import base
from trove_upgrade.tests.functional import no_keystone
from trove_upgrade.tests.functional.host import broker_case, databases, private_broker
from trove_upgrade.tests.functional.rolling import cloud, release_code, wiretap
from trove_upgrade.tests.functional.waiting import Waiting
from trove_upgrade.tests.unit import database as samples

SEALED = 'sealed'
FORMER, FORMER_NEW_AGENT, WANTED, NEXT = 'former', 'former-new-agent', 'wanted', 'next'
#: By image: the version whose image it is, its number, and whether its facts record an agent that
#: knows sealed calls.
NEXT_VERSION = '00000000-0000-4000-8000-00000000d119'
VERSIONS = {
    FORMER: (samples.MARIADB_10_11, '10.11.14', False),
    FORMER_NEW_AGENT: ('00000000-0000-4000-8000-00000000d110', '10.11.14', True),
    WANTED: (samples.MARIADB_11_8, '11.8.6', True),
    NEXT: (NEXT_VERSION, '11.8.7', True),
}
BOREALIS_HOST, CYGNUS_HOST = 'tm-borealis', 'tm-cygnus'
_PROGRAMS = pathlib.Path(sys.executable).parent

_MESSAGING = """[DEFAULT]
transport_url = {url}
[trove_upgrade]
rpc_exchange = {name}
taskmanager_topic = {name}
guest_topic_prefix = {name}.
trove_agent_topic_prefix = {name}.
"""
_GUEST = 'heartbeat_interval = 0.3\nguest_join_seconds = {join}\n'
_TASKMANAGER = (
    """guest_call_timeout = 2
taskmanager_workers = 4
taskmanager_poll_interval = 0.3
longest_rest = 1
lease_seconds = 5
compute_timeout = 1
compute_poll_interval = 0.2
guest_poll_max_interval = 0.5
outbox_interval = 0.5
outbox_retry_interval = 1
service_report_interval = 1
guest_key_encryption_keys = {key}
[database]
connection = {database}
"""
    + no_keystone.SERVICE_CREDENTIALS
)


class WorldCase(Waiting, base.TestCase):
    """The servers are the class's; database, exchange and cloud are each test's own."""

    wait_seconds = 120.0
    join_seconds = 0.2  #: for which a guest's call waits for its job

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.former, cls.broker, cls.server = (
            release_code.Borealis(),
            private_broker.Broker(),
            databases.MariaDB(),
        )
        for fixture in (cls.former, cls.broker, cls.server):
            fixture.setUp()
            cls.addClassCleanup(fixture.cleanUp)

    def setUp(self):
        super().setUp()
        self.name = f'tu-{uuid.uuid4().hex[:8]}'
        self.url = self.server.create()
        self._make_the_database()
        messaging = _MESSAGING.format(url=self.broker.url, name=self.name)
        borealis, cygnus = self.former.code, release_code.INSTALLED
        images = (
            cloud.Image(FORMER, borealis, '10.11.14-MariaDB'),
            cloud.Image(FORMER_NEW_AGENT, cygnus, '10.11.14-MariaDB'),
            cloud.Image(WANTED, cygnus, '11.8.6-MariaDB'),
            cloud.Image(NEXT, cygnus, '11.8.7-MariaDB'),
        )
        self.cloud = self.useFixture(
            cloud.Cloud(images, messaging + _GUEST.format(join=self.join_seconds))
        )
        self.addOnException(lambda _info: self._tell())
        self.configuration = self.cloud.directory / 'trove-upgrade.conf'
        key = fernet.Fernet.generate_key().decode()
        self.configuration.write_text(
            messaging + _TASKMANAGER.format(database=self.url, key=key), encoding='utf-8'
        )
        self._started = 0

    def _make_the_database(self):
        """As borealis has it."""
        self.database = engine.Database.from_url(self.url)
        self.addCleanup(self.database.dispose)
        Runner(self.database.engine).sync('borealis', standalone=True)
        self.repositories = repositories.Repositories.of(self.database)
        self._insert(
            trove_tables.datastores, id=samples.MARIADB, name='mariadb', default_version_id=None
        )
        for image_id, (version_id, number, is_sealing) in VERSIONS.items():
            self._insert(
                trove_tables.datastore_versions,
                id=version_id,
                datastore_id=samples.MARIADB,
                name=image_id,
                version=number,
                manager='mariadb',
                image_id=image_id,
                packages='',
                active=True,
                registry_ext='',
                repl_strategy='',
            )
            if is_sealing:
                self.repositories.datastores.save_target_facts(version_id, {'guest_rpc': '1.2'})

    def _insert(self, table, **values):
        with self.database.write() as connection:
            connection.execute(sa.insert(table).values(**values))

    def _tell(self):
        for name, text in self.cloud.logs().items():
            self.addDetail(name, content.text_content(text[-20_000:]))

    # What an operator does.

    def configure(self, **options):
        """Of [trove_upgrade], for the programs that start from now on."""
        lines = ''.join(f'{name} = {value}\n' for name, value in options.items())
        text = self.configuration.read_text(encoding='utf-8')
        self.configuration.write_text(
            text.replace('[trove_upgrade]\n', f'[trove_upgrade]\n{lines}'), encoding='utf-8'
        )

    def tool(self, *words, program='trove-upgrade-manage'):
        """A program of this release, to its end; (exit code, all that it prints)."""
        done = subprocess.run(
            [_PROGRAMS / program, '--config-file', self.configuration, *words],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
        )
        return done.returncode, done.stdout

    def assert_tool(self, code, *words):
        ended, printed = self.tool(*words)
        self.assertEqual(code, ended, f'{" ".join(words)}: {printed}')
        return printed

    def start(self, code, host):
        """A taskmanager on a host of its own; returns once it is registered."""
        before = {one.id for one in self.services()}
        self._started += 1
        log = self.cloud.directory / f'taskmanager-{self._started}-{code.release}.log'
        process = cloud.Process(
            code,
            'taskmanager_program.py',
            (self.configuration, self.cloud.directory),
            log,
            hostname=host,
        )
        self.addCleanup(process.kill)

        def registered():
            self.assertTrue(process.running, process.words())
            return [one for one in self.services() if one.id not in before]

        self.wait_until(registered, f'the taskmanager of {code.release}')
        return process

    def start_borealis(self):
        return self.start(self.former.code, BOREALIS_HOST)

    def start_cygnus(self):
        return self.start(release_code.INSTALLED, CYGNUS_HOST)

    def services(self):
        return self.repositories.services.list()

    def pause(self, process):
        """It neither works nor ends: its leases run out.  Not in the middle of a transaction, whose
        locks would stay.
        """

        def paused():
            process.signal(signal.SIGSTOP)
            if not self._transaction_stays():
                return True
            process.signal(signal.SIGCONT)
            return False

        self.wait_until(paused, 'a moment without a transaction')

    def _transaction_stays(self):
        """Return whether one is seen at each of several looks: those of processes that run are over
        soon.
        """
        query = sa.text('SELECT trx_id FROM information_schema.innodb_trx')
        seen = None
        for _ in range(5):
            with self.database.engine.connect() as connection:
                now = set(connection.execute(query).scalars())
            seen = now if seen is None else seen & now
            if not seen:
                return False
        return True

    def go_on(self, process):
        process.signal(signal.SIGCONT)

    # What Trove and its users do.

    def create(self, image_id, more_guest_info='', clock_hours=0, **columns):
        """An instance, its server, and its agent once that was heard by any or no taskmanager."""
        instance_id = str(uuid.uuid4())
        server = self.cloud.create(instance_id, image_id, more_guest_info, clock_hours)
        self._insert(
            trove_tables.instances,
            id=instance_id,
            name='db',
            tenant_id=samples.PROJECT,
            compute_instance_id=server.id,
            datastore_version_id=VERSIONS[image_id][0],
            task_id=1,
            created=samples.CREATED,
            updated=samples.CREATED,
            deleted=False,
            flavor_id='6',
            volume_size=1,
            region_id='RegionOne',
            **columns,
        )
        self.repositories.instances.set_service_status(instance_id, 'healthy')
        return server

    def upgrade(self, server, version_id=samples.MARIADB_11_8):
        """Accepted by an API; returns the id."""
        repos = self.repositories
        target = repos.datastores.version_by_id(version_id)
        return repos.upgrades.begin(
            repos.instances.get(server.instance_id),
            target,
            target_image_id=target.image_id,
            request_id='req-1',
            user_id='user-1',
        ).id

    def upgrade_again(self, server):
        """On from the first target."""
        return self.upgrade(server, NEXT_VERSION)

    def say_unsealed(self, server, marker):
        """A heartbeat as an account of the broker can send it, with all that it knows of the new
        guest.
        """
        conf = broker_case.configured(self.broker.url, self.name)
        rpc_transport = transport.get_transport(conf)
        self.addCleanup(rpc_transport.cleanup)
        forged = guests.Heartbeat(
            instance_id=server.instance_id,
            boot_id='boot-forged',
            marker=marker,
            restored=False,
            agent_version='1.0',
            server_version=None,
            server_state=guests.ServerState.STOPPED,
        )
        taskmanager.TaskManagerAPI.from_conf(conf, rpc_transport).heartbeat(
            serializer.service_context(), forged
        )

    def row(self, upgrade_id):
        return self.repositories.upgrades.get(upgrade_id)

    def wait_for_step(self, upgrade_id, step):
        def reached():
            row = self.row(upgrade_id)
            self.assertIsNone(row.ended_at, f'{row.state}: {row.error_code}: {row.cause}')
            return str(row.step) == step and row

        return self.wait_until(reached, f'upgrade {upgrade_id} in step {step}')

    def wait_for_turns(self, upgrade_id, count):
        """So many more turns of whichever taskmanager takes them, none of which ends the
        upgrade.
        """
        at = self.row(upgrade_id).generation

        def taken():
            row = self.row(upgrade_id)
            self.assertIsNone(row.ended_at, f'{row.state}: {row.error_code}: {row.cause}')
            return row.generation >= at + count

        self.wait_until(taken, f'{count} more turns at upgrade {upgrade_id}')

    def wait_for_end(self, upgrade_id):
        """The ended row."""

        def ended():
            row = self.row(upgrade_id)
            return row if row.ended_at else None

        return self.wait_until(ended, f'the end of upgrade {upgrade_id}')

    def assert_completes(self, upgrade_id):
        row = self.wait_for_end(upgrade_id)
        self.assertEqual(
            ('COMPLETED', None, None), (str(row.state), row.error_code, row.cause), row.steps
        )
        return row

    # What can be seen.

    def status(self):
        """All that the status check prints; on a host without a cloud some of it fails in any
        case.
        """
        return self.tool('upgrade', 'check', program='trove-upgrade-status')[1]

    def assert_free(self, server):
        """Nothing holds the instance."""
        self.assertEqual(instances.Task.NONE, self.repositories.instances.task(server.instance_id))

    def dropped(self, server):
        """Messages that were dropped for this instance."""
        query = sa.text('SELECT dropped FROM upgrade_guest_wires WHERE instance_id = :instance')
        with self.database.read() as connection:
            return connection.execute(query, {'instance': server.instance_id}).scalar()

    def listen(self, *servers):
        """To all that is called in these guests, and told to taskmanagers, from now on."""
        topics = [self.name, *(self.topic(server) for server in servers)]
        return self.useFixture(wiretap.Wiretap(self.broker.url, self.name, topics))

    def topic(self, server):
        return f'{self.name}.{server.instance_id}'

    def keys(self, server=None):
        """Rows of the guests' keys."""
        query = sa.text('SELECT * FROM upgrade_guest_keys')
        with self.database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [row for row in rows if server is None or row['instance_id'] == server.instance_id]


def as_trove_encrypts(text):
    """Of `instances.encrypted_key`, under the default of Trove's option.

    Source: trove/common/crypto_utils.py and cfg.py, inst_rpc_key_encr_key (Trove 26).
    """
    option = 'emYjgHFqfXNB1NGehAFIUeoyw4V4XwWHEaKP'
    key, block = hashlib.md5(option.encode(), usedforsecurity=False).hexdigest().encode(), 16
    missing = block - len(text) % block
    start = os.urandom(block)
    cipher = ciphers.Cipher(ciphers.algorithms.AES(key), ciphers.modes.CBC(start)).encryptor()
    padded = f'{text}{chr(missing) * missing}'.encode()
    return base64.b64encode(start + cipher.update(padded) + cipher.finalize()).decode()
