# SPDX-License-Identifier: Apache-2.0
"""Private MariaDB and PostgreSQL servers: in a temporary folder, on a Unix socket alone, ended with
the fixture.

Nothing listens on the network.  Should the test process be killed, the kernel ends its servers
(setpriv --pdeathsig).
"""

import contextlib
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import uuid

import fixtures
import sqlalchemy as sa

from trove_upgrade.waiting import wait_until

_START_SECONDS = 60


class DatabaseServer(fixtures.Fixture):
    """A server; `create()` makes an empty database in it and returns its URL."""

    #: What it runs as where we are root; each Debian has it (base-passwd).
    account = pwd.getpwnam('nobody')

    def _setUp(self):
        # not in the tests' nested temporary folder: that is root's alone, and PostgreSQL refuses to
        # run as root
        self.folder = pathlib.Path(
            tempfile.mkdtemp(prefix='tu-db-', dir=os.environ.get('TROVE_UPGRADE_TMP', '/tmp'))
        )
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        if os.geteuid() == 0:
            os.chown(self.folder, self.account.pw_uid, self.account.pw_gid)
        self.prepare()
        self.initialize()
        self.log = (self.folder / 'log').open('wb')
        self.addCleanup(self.log.close)
        self.start()
        self.addCleanup(self.stop)

    def start(self):
        """Also again, after `stop`."""
        self.process = subprocess.Popen(
            self.as_user(*self.command(), pdeathsig='KILL'),
            stdout=self.log,
            stderr=self.log,
            cwd=self.folder,
        )
        self.wait_until_serving()

    def prepare(self):
        """The folder is there and empty."""
        self.data = self.folder / 'data'

    def as_user(self, *command, pdeathsig=None):
        prefix = ['setpriv'] if pdeathsig or os.geteuid() == 0 else []
        prefix += ['--pdeathsig', pdeathsig] if pdeathsig else []
        if os.geteuid() == 0:
            prefix += [
                '--reuid',
                str(self.account.pw_uid),
                '--regid',
                str(self.account.pw_gid),
                '--clear-groups',
            ]
        return [*prefix, *command]

    def run_as_user(self, *command):
        done = subprocess.run(
            self.as_user(*command), cwd=self.folder, capture_output=True, text=True
        )
        if done.returncode:
            raise AssertionError(
                f'{command[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}'
            )

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def wait_until_serving(self):
        engine, refusals = sa.create_engine(self.admin_url), []

        def serves():
            try:
                engine.connect().close()
            except (
                sa.exc.DBAPIError,
                OSError,
            ) as error:  # a server that is just starting may cut the line in any way
                refusals.append(error)
                return False
            return True

        wait_until(lambda: serves() or self.process.poll() is not None, _START_SECONDS)
        if not serves():
            said = (self.folder / 'log').read_text()
            raise AssertionError(
                f'{type(self).__name__} does not serve: {refusals[-1]}\n{said}'
            ) from refusals[-1]
        engine.dispose()

    def create(self):
        name = f'test_{uuid.uuid4().hex[:12]}'
        self.ask(f'CREATE DATABASE {name}')
        return self.url(name)

    def ask(self, *statements):
        engine = sa.create_engine(self.admin_url, isolation_level='AUTOCOMMIT')
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        engine.dispose()


class OnASmallDisk:
    """Mixed into a server: its data are on a disk of their own, which a test can fill."""

    disk_megabytes = 0

    def prepare(self):
        super().prepare()
        self.disk = self.folder / 'disk'
        self.disk.mkdir()
        subprocess.run(
            [
                'mount',
                '-t',
                'tmpfs',
                '-o',
                f'size={self.disk_megabytes}m,mode=0755,uid={self.account.pw_uid},gid={self.account.pw_gid}',
                'tmpfs',
                self.disk,
            ],
            check=True,
        )
        self.addCleanup(subprocess.run, ['umount', '--lazy', self.disk], check=True)
        self.data = self.disk / 'data'

    @contextlib.contextmanager
    def full_disk(self):
        """Not one more block is free in the block."""
        ballast = self.disk / 'ballast'
        try:
            with ballast.open('wb', buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(1 << 20))
            with ballast.open('ab', buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))
            yield
        finally:
            ballast.unlink()


class MariaDB(DatabaseServer):
    """Debian's MariaDB, with as little memory and as few syncs as it works with."""

    options = ('--skip-grant-tables',)  #: every account may do everything

    def initialize(self):
        # it starts a server, and one that starts removes the temporary files that another one has
        # in the same directory
        self.run_as_user(
            'mariadb-install-db',
            '--no-defaults',
            f'--datadir={self.data}',
            f'--tmpdir={self.folder}',
            '--auth-root-authentication-method=normal',
            '--skip-test-db',
        )

    def command(self):
        return (
            'mariadbd',
            '--no-defaults',
            f'--datadir={self.data}',
            f'--tmpdir={self.folder}',
            f'--socket={self.folder}/s',
            '--skip-networking',
            *self.options,
            f'--pid-file={self.folder}/pid',
            '--innodb-buffer-pool-size=32M',
            '--innodb-flush-log-at-trx-commit=0',
            '--max-connections=200',
            '--character-set-server=utf8mb4',
        )

    @property
    def admin_url(self):
        return self.url('mysql')

    def url(self, name):
        return f'mysql+pymysql://root@localhost/{name}?unix_socket={self.folder}/s'


class PostgreSQL(DatabaseServer):
    """Debian's PostgreSQL."""

    def binary(self, name):
        found = shutil.which(name) or max(
            pathlib.Path('/usr/lib/postgresql').glob(f'*/bin/{name}'), default=None
        )
        if found is None:
            raise AssertionError(f'{name} cannot be found: install the package postgresql')
        return os.path.realpath(found)

    def initialize(self):
        self.run_as_user(
            self.binary('initdb'),
            '-D',
            str(self.data),
            '-U',
            'postgres',
            '-A',
            'trust',
            '-E',
            'UTF8',
            '--no-sync',
            '--locale=C.UTF-8',
        )

    def command(self):
        return (
            self.binary('postgres'),
            '-D',
            str(self.data),
            '-k',
            str(self.folder),
            '-c',
            'listen_addresses=',
            '-c',
            'fsync=off',
            '-c',
            'max_connections=200',
            '-c',
            'shared_buffers=32MB',
        )

    def stop(self):
        self.process.send_signal(2)  # "fast": sessions are cut, the data is clean
        super().stop()

    @property
    def admin_url(self):
        return self.url('postgres')

    def url(self, name):
        return f'postgresql+psycopg2://postgres@/{name}?host={self.folder}'


class MariaDBWithUsers(OnASmallDisk, MariaDB):
    """With a user who has a password and every right, and one who may only read; its disk can be
    filled.
    """

    options = (
        '--innodb-log-file-size=4M',
        '--innodb-data-file-path=ibdata1:4M:autoextend',
        '--innodb-temp-data-file-path=ibtmp1:4M:autoextend',
        '--innodb-undo-tablespaces=0',
        '--aria-log-file-size=8M',
    )
    disk_megabytes = 160

    def create_user(self, name, password, rights):
        """`rights`: as GRANT has them, on every database."""
        self.ask(
            f"CREATE USER '{name}'@'localhost' IDENTIFIED BY '{password}'",
            f"GRANT {rights} ON *.* TO '{name}'@'localhost'",
        )

    def limit_connections(self, name, count):
        """None: without a limit."""
        self.ask(f"ALTER USER '{name}'@'localhost' WITH MAX_USER_CONNECTIONS {count or 0}")

    def url_of(self, url, name, password):
        return url.replace('root@', f'{name}:{password}@')


class PostgreSQLWithUsers(OnASmallDisk, PostgreSQL):
    """With passwords for all users but the fixture's own; its disk can be filled."""

    disk_megabytes = 120

    def initialize(self):
        super().initialize()
        (self.data / 'pg_hba.conf').write_text(
            'local all postgres trust\nlocal all all scram-sha-256\n'
        )

    def create_user(self, name, password, rights):
        """`rights`: predefined roles whose rights it has."""
        self.ask(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'", f'GRANT {rights} TO {name}')

    def limit_connections(self, name, count):
        """None: without a limit."""
        self.ask(f'ALTER ROLE {name} CONNECTION LIMIT {-1 if count is None else count}')

    def url_of(self, url, name, password):
        return url.replace('postgres@', f'{name}:{password}@')


class OneServer:
    """For test cases: one `server_class` for all tests of a class, which make databases in it."""

    server_class = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.server_class()
        cls.server.setUp()
        cls.addClassCleanup(cls.server.cleanUp)
