# SPDX-License-Identifier: Apache-2.0
"""A guest as Trove makes it, without a machine: its root disk and its volume are directories, its
container engine is a real one.

For callers::

    guest = self.useFixture(TroveGuest())
    guest.create('10.11')                       # as Trove's agent makes the container `database`
    info = quiesce.quiesce(guest.work()).result['upgrade_info']
    guest.rebuild('11.8')                       # leaves only the volume; the new image is preloaded
    restore.restore(guest.work(upgrade_info=info))
"""

import dataclasses
import datetime
import os
import pathlib
import shutil
import tempfile
import time

import fixtures

from lab.containers import recipes
from trove_upgrade import clock
from trove_upgrade.domain import guests
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.datastores import base, factory
from trove_upgrade.guestagent.datastores.image_facts import ImageFacts
from trove_upgrade.guestagent.datastores.mysql_family import connection, places
from trove_upgrade.guestagent.datastores.mysql_family.engines.mariadb import MariaDB
from trove_upgrade.guestagent.datastores.mysql_family.hosts.container_host import Containers
from trove_upgrade.guestagent.datastores.mysql_family.hosts.host import HostPorts
from trove_upgrade.guestagent.machine.containers import docker_engine as engines
from trove_upgrade.guestagent.machine.containers import http
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.storage.stash.accounts import SystemAccounts
from trove_upgrade.guestagent.storage.volume import Mounted
from trove_upgrade.guestagent.upgrade import work
from trove_upgrade.guestagent.upgrade.marks import Marks
from trove_upgrade.tests.functional.host import private_engine
from trove_upgrade.waiting import wait_until

UUID = '6d1b1c5e-5f0e-4a53-9e0e-0d7d6c3b2a10'
INSTANCE = '11111111-2222-3333-4444-555555555555'
UPGRADE = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee'
USER = 1001
PASSWORD = 'of-the-root'
RECIPES = {recipe.family: recipe for recipe in (*recipes.GOOD, recipes.MARIADB_10_5)}
TARGET = TargetFacts(version_number='11.8', server_version='11.8', datastore_manager='mariadb')


class DirectoryVolume:
    """VolumePort by renaming a directory."""

    def __init__(self, place: pathlib.Path, layout: Layout) -> None:
        self._place, self._layout = place, layout
        self.durable = False

    def mounted(self):
        return None if self._place.exists() else Mounted(UUID, 'ext4', 'rw')

    def mount(self, uuid, options=None, wait_seconds=0):
        if self.mounted() is None:
            self._layout.volume.rmdir()
            self._place.rename(self._layout.volume)

    def unmount(self):
        if self.mounted() is not None:
            self._layout.volume.rename(self._place)
            self._layout.volume.mkdir()

    def free_bytes(self):
        return 10 << 30

    def size_bytes(self):
        return 20 << 30

    def holders(self):
        return []

    def write_fstab(self, uuid, filesystem):
        self.durable = True

    def in_fstab(self, uuid):
        return self.durable


class NoServices:
    """ServicePort of a guest whose init knows nothing of a database."""

    def exists(self, name):
        return False

    def status(self, name):
        return False

    def is_enabled(self, name):
        return False


class TroveAgentControl:
    """Remembers what Trove's agent would have been told."""

    def __init__(self):
        self.told = []

    def marker_files(self):
        return ()

    def hold(self):
        self.told.append('hold')

    def release(self):
        self.told.append('release')

    def resume(self):
        self.told.append('resume')


class TroveGuest(fixtures.Fixture):
    """One guest; `engine` is the private engine of its present root disk."""

    def __init__(self, images=None):
        super().__init__()
        self._images = images or private_engine.Images()

    def _setUp(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix='tu-trove-', dir=private_engine.PLACE))
        self.addCleanup(shutil.rmtree, self.path)
        self.path.chmod(0o755)
        self.layout = Layout(self.path / 'root', mount_point=places.MOUNT_POINT)
        self.volume = DirectoryVolume(self.path / 'volume', self.layout)
        self.trove_agent = TroveAgentControl()
        self.boots = 0
        self.engine = None
        self.addCleanup(self._end)
        (self.path / 'volume/data').mkdir(parents=True)
        os.chown(self.path / 'volume/data', USER, USER)
        self._boot()
        self.volume.mount(UUID)

    def _end(self):
        if self.engine is not None:
            self.engine.cleanUp()
            self.engine = None

    def _boot(self):
        """A new root disk, with an engine that has nothing."""
        self._end()
        self.boots += 1
        if self.layout.root.exists():
            shutil.rmtree(self.layout.root)
        self.layout.volume.mkdir(parents=True)
        self.layout.configuration_directory.mkdir(parents=True)
        self.layout.agent_files[0].write_text(f'[DEFAULT]\nguest_id = {INSTANCE}\n')
        self.engine = private_engine.Engine()
        self.engine.setUp()

    def load(self, recipe, references=()):
        """Let the engine have this image, as one that is preloaded; its names have no registry."""
        return self.engine.load(self._images.archive(recipe, references))

    def rebuild(self, *families):
        """Nova's rebuild: all is gone but the volume."""
        if self.volume.mounted() is not None:
            self.volume.unmount()
        self._boot()
        for family in families:
            self.load(RECIPES[family])

    def create(self, family='10.11', *, command=True, extra=''):
        """The container as Trove's agent makes it; `command`: as at create, else as after an
        upgrade by Trove.
        """
        self.load(RECIPES[family])
        root, mysql, volume = self.layout.root, self.layout.etc / 'mysql', self.layout.volume
        (mysql / 'conf.d').mkdir(parents=True)
        (mysql / 'my.cnf').write_text(
            '[mysqld]\nsocket = /var/run/mysqld/mysqld.sock\npid-file = '
            '/var/run/mysqld/mysqld.pid\n'
            f'datadir = {volume}/data\nport = 3306\nbind-address = '
            f'*\nskip-name-resolve\n{extra}wait_timeout = 1234\n'
        )
        # Not included: /etc/mysql is the container's name of this directory, and on this machine
        # another one.
        (mysql / 'conf.d/50-user.cnf').write_text('[mysqld]\nwait_timeout = 1234\n')
        sockets = root / 'var/lib/mysqld'
        sockets.mkdir(parents=True)
        for path in (sockets, mysql, *mysql.rglob('*')):
            os.chown(path, USER, USER)
        (volume / 'conf.d').mkdir()
        (volume / 'conf.d/root.cnf').write_text(
            f'[client]\nuser = root\npassword = {PASSWORD}\nhost = localhost\n'
        )
        given = [
            '--defaults-file=/etc/mysql/my.cnf',
            '--ignore-db-dir=lost+found',
            '--ignore-db-dir=conf.d',
            f'--datadir={volume}/data',
        ]
        self.engine.run(
            [
                'run',
                '--detach',
                '--name=database',
                '--restart=unless-stopped',
                '--privileged',
                '--ipc=host',
                f'--user={USER}:{USER}',
                f'--volume={mysql}:/etc/mysql:rw',
                f'--volume={sockets}:/var/run/mysqld:rw',
                f'--volume={volume}:{volume}:rw',
                '--publish=3306:3306',
                '--publish=4567:4567',
                '--env',
                f'MYSQL_ROOT_PASSWORD={PASSWORD}',
                '--env=MYSQL_INITDB_SKIP_TZINFO=1',
                '--env=MARIADB_AUTO_UPGRADE=1',
                (
                    '--health-cmd=healthcheck.sh --defaults-file '
                    f'{volume}/data/.my-healthcheck.cnf --connect --innodb_initialized'
                ),
                '--health-interval=10s',
                f'mariadb:{family}',
                *(given if command else []),
            ]
        )
        if not wait_until(
            lambda: self.driver().server_version() is not None, private_engine.DEADLINE_SECONDS
        ):
            raise AssertionError(self.engine.run(['logs', 'database']).stderr[-2000:])

    def sql(self, *statements):
        """Run statements over the socket; the rows of the last one."""
        session = connection.open_session(
            connection.Credentials(
                f'{self.layout.root}/var/lib/mysqld/mysqld.sock', 'root', PASSWORD
            ),
            30,
        )
        try:
            return [session.rows(statement) for statement in statements][-1]
        finally:
            session.close()

    def driver(self, **changes):
        """As after a start of the agent."""
        context = base.DriverContext(
            volume=self.layout.volume,
            data_directory=self.layout.data_directory,
            etc=self.layout.etc,
            run=self.layout.run,
            image_facts=ImageFacts(),
            now=lambda: datetime.datetime.now(datetime.UTC),
            monotonic=time.monotonic,
        )
        containers = Containers(
            engine=self.client(),
            repository='mariadb',
            trove_agent=self.trove_agent,
            store=self.engine.path,
            reach=self.engine.connect,
        )
        return factory.in_container(
            MariaDB(),
            context,
            NoServices(),
            dataclasses.replace(containers, **changes),
            HostPorts(start_seconds=private_engine.DEADLINE_SECONDS),
        )

    def client(self):
        return engines.DockerEngine(http.UnixTransport(self.engine.socket), clock.SystemClock())

    def guest(self):
        return work.Guest(
            instance_id=INSTANCE,
            agent_version='1.2.3',
            boot_id=lambda: f'boot-{self.boots}',
            marker=lambda: f'{UPGRADE}:1',
            layout=self.layout,
            clock=clock.SystemClock(),
            volume=self.volume,
            service=NoServices(),
            driver=self.driver(),
            marks=Marks(self.layout),
            accounts=SystemAccounts(),
        )

    def work(self, progress=lambda percent, message: None, **changes):
        call = guests.GuestCall(
            instance_id=INSTANCE,
            upgrade_id=UPGRADE,
            attempt=1,
            generation=1,
            deadline=datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1),
            target=TARGET,
        )
        return work.Work(self.guest(), dataclasses.replace(call, **changes), progress)
