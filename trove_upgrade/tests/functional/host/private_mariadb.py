# SPDX-License-Identifier: Apache-2.0
"""A MariaDB server of a test's own: real programs, a temporary root with /etc, /run, /root and the
volume below it.
"""

import contextlib
import datetime
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import fixtures

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.image_facts import ImageFacts
from trove_upgrade.guestagent.datastores.mysql_family import connection
from trove_upgrade.guestagent.machine.boot_links import BootLinks
from trove_upgrade.waiting import wait_until

DEADLINE_SECONDS = 60
_GREETING_SECONDS = 5
#: A test's own temporary directory is closed to other users, and the server is one.
PLACE = os.environ.get('TROVE_UPGRADE_TMP', '/tmp')
#: An account that each Debian has (base-passwd); mysql comes with the package of a service that no
#: machine needs for the tests.
ACCOUNT = pwd.getpwnam('nobody')


class PrivateService:
    """The service port with one service per name, all of them the same server; it runs mariadbd as
    our own child.
    """

    def __init__(self, root: pathlib.Path, known=('trove-upgrade-database', 'mariadb')) -> None:
        self.root = root
        self.known = known
        self.enabled = {'mariadb'}
        self.name = None
        self.process = None
        self.starts = []
        #: places where the server may have its socket
        self.sockets = [root / 'run/mysqld/mysqld.sock']
        self.environment = {'HOME': '/nonexistent', 'PATH': '/usr/sbin:/usr/bin'}

    def exists(self, name):
        return name in self.known

    def start(self, name):
        arguments = self.root / 'run/trove-upgrade/database-args'
        extra = (
            arguments.read_text().splitlines()
            if arguments.exists() and name == 'trove-upgrade-database'
            else []
        )
        self.starts.append((name, tuple(extra)))
        data = self.root / 'var/lib/mysql/data'
        with (self.root / 'var/log/mysql/error.log').open('ab') as log:
            self.process = subprocess.Popen(
                [
                    'setpriv',
                    '--pdeathsig',
                    'KILL',
                    f'--reuid={ACCOUNT.pw_uid}',
                    f'--regid={ACCOUNT.pw_gid}',
                    '--clear-groups',
                    '--',
                    '/usr/sbin/mariadbd',
                    f'--defaults-file={self.root}/etc/mysql/my.cnf',
                    *extra,
                    f'--datadir={data}',
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
            )
        (self.root / 'proc' / str(self.process.pid)).symlink_to(f'/proc/{self.process.pid}')
        self.name = name
        if not wait_until(
            lambda: self.answers() or self.process.poll() is not None, DEADLINE_SECONDS
        ):
            raise exceptions.StepFailed('it did not answer', 'SERVICE_NOT_STARTED')

    def answers(self):
        """Return whether the server greets a client.  Its pid file is there a few milliseconds
        before, and a SIGTERM between the two is lost: it then never ends (seen with MariaDB
        10.11.19).
        """
        if not (self.root / 'run/mysqld/mysqld.pid').exists():
            return False
        return any(map(self._greets, self.sockets))

    def _greets(self, path):
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(_GREETING_SECONDS)
            try:
                line.connect(str(path))
                return bool(line.recv(1))
            except OSError:
                return False

    def stop(self, name):
        self.process.terminate()
        self.process.wait(DEADLINE_SECONDS)

    def status(self, name):
        return self.name == name and self.process is not None and self.process.poll() is None

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE_SECONDS)
        with contextlib.suppress(FileNotFoundError):
            (self.root / 'run/mysqld/mysqld.pid').unlink()

    def enable(self, name):
        self.enabled.add(name)

    def disable(self, name):
        self.enabled.discard(name)

    def is_enabled(self, name):
        return name in self.enabled

    def boot_links(self, name):
        return BootLinks({'rc2.d/S01' + name: 'on'} if name in self.enabled else {})

    def put_boot_links(self, name, links):
        (self.enabled.add if links.targets else self.enabled.discard)(name)


class Root(fixtures.Fixture):
    """The temporary root, with an initialised data directory that is made once per process and
    copied.
    """

    _template = None

    def _setUp(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix='tu-mariadb-', dir=PLACE))
        self.path.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.path)
        for name in (
            'etc/mysql/conf.d',
            'etc/mysql/mariadb.conf.d',
            'run/trove-upgrade',
            'run/mysqld',
            'root',
            'var/lib/mysql',
            'var/log/mysql',
            'var/lib/dpkg',
            'scratch',
            'tmp',
            'proc',
        ):
            (self.path / name).mkdir(parents=True)
        for name in ('run/mysqld', 'var/log/mysql', 'tmp'):
            os.chown(self.path / name, ACCOUNT.pw_uid, ACCOUNT.pw_gid)
        log = self.path / 'var/log/mysql/error.log'
        log.touch()
        os.chown(log, ACCOUNT.pw_uid, ACCOUNT.pw_gid)
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = probe.getsockname()[1]
        (self.path / 'etc/mysql/my.cnf').write_text(
            f'[client-server]\nsocket = {self.path}/run/mysqld/mysqld.sock\n\n[mysqld]\npid-file = '
            f'{self.path}/run/mysqld/mysqld.pid\n'
            # A server that starts removes the temporary tables of each other in its directory.
            f'tmpdir = {self.path}/tmp\n'
            f'port = {self.port}\nbind-address = 127.0.0.1\nlc-messages-dir = /usr/share/mysql\n'
            f'!includedir {self.path}/etc/mysql/conf.d/\n!includedir '
            f'{self.path}/etc/mysql/mariadb.conf.d/\n'
        )
        subprocess.run(
            ['cp', '-a', str(self.template()), str(self.path / 'var/lib/mysql/data')], check=True
        )
        self.service = PrivateService(self.path)
        self.addCleanup(self._end)
        self.context = base.DriverContext(
            volume=self.path / 'var/lib/mysql',
            data_directory=self.path / 'var/lib/mysql/data',
            etc=self.path / 'etc',
            run=self.path / 'run/trove-upgrade',
            image_facts=ImageFacts(),
            now=lambda: datetime.datetime.now(datetime.UTC),
            monotonic=time.monotonic,
        )

    def _end(self):
        if self.service.process is not None and self.service.process.poll() is None:
            self.service.process.kill()
            self.service.process.wait(DEADLINE_SECONDS)

    @classmethod
    def template(cls):
        if cls._template is None:
            holder = tempfile.TemporaryDirectory(prefix='tu-mariadb-template-', dir=PLACE)
            data = pathlib.Path(holder.name) / 'data'
            pathlib.Path(holder.name).chmod(
                0o1777
            )  # the server that it starts has its temporary files there
            subprocess.run(
                [
                    'mariadb-install-db',
                    '--no-defaults',
                    f'--datadir={data}',
                    f'--tmpdir={holder.name}',
                    f'--user={ACCOUNT.pw_name}',
                    '--skip-test-db',
                    '--auth-root-authentication-method=socket',
                    '--innodb-log-file-size=10M',
                ],
                check=True,
                capture_output=True,
            )
            Root._template = holder
        return pathlib.Path(cls._template.name) / 'data'

    def sql(self, *statements, user='root', password=''):
        """Run statements over the socket; the rows of the last one."""
        session = connection.open_session(
            connection.Credentials(f'{self.path}/run/mysqld/mysqld.sock', user, password), 30
        )
        try:
            return [session.rows(statement) for statement in statements][-1]
        finally:
            session.close()

    def session(self):
        """One that the caller closes."""
        return connection.open_session(
            connection.Credentials(f'{self.path}/run/mysqld/mysqld.sock'), 30
        )
