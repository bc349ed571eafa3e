# SPDX-License-Identifier: Apache-2.0
"""A database in a container as Trove 26's guest agent runs it: the same call to the engine, the
same files on the host.

Source: trove/guestagent/datastore/mysql_common/service.py (start_db) and mariadb/service.py of
Trove 26, read.
"""

import os
import subprocess

from trove_upgrade.tests.functional.host.private_engine import DEADLINE_SECONDS
from trove_upgrade.waiting import wait_until

OWNER = 1001
NAME = 'database'
PASSWORD = "it's a \\ password"
NANOSECONDS = 1_000_000_000
DATA = '/var/lib/mysql/data'
#: At create and at Trove's rebuild; none after its upgrade.
COMMAND = (
    '--defaults-file=/etc/mysql/my.cnf',
    '--ignore-db-dir=lost+found',
    '--ignore-db-dir=conf.d',
    f'--datadir={DATA}',
)
MY_CNF = f"""[client]
port = 3306
socket = /var/run/mysqld/mysqld.sock

[mysqld]
port = 3306
basedir = /usr
datadir = {DATA}
tmpdir = /var/tmp
pid_file = /var/run/mysqld/mysqld.pid
socket = /var/run/mysqld/mysqld.sock
skip-external-locking = 1
innodb_data_file_path = ibdata1:10M:autoextend
innodb_buffer_pool_size = 32M
innodb_log_file_size = 50M
innodb_log_files_in_group = 2
server_id = 4711
!includedir /etc/mysql/conf.d/
"""


class TroveContainer:
    """The host's side of it below a directory of its own, and the container called `database`."""

    def __init__(self, engine, directory):
        self.engine = engine
        self.etc, self.run, self.volume = (
            directory / name for name in ('etc-mysql', 'run-mysqld', 'var-lib-mysql')
        )
        for path in (
            self.etc / 'conf.d',
            self.etc / 'mariadb.conf.d',
            self.run,
            self.volume / 'data',
            self.volume / 'conf.d',
        ):
            path.mkdir(parents=True)
        directory.chmod(0o755)
        (self.etc / 'my.cnf').write_text(MY_CNF)
        for path in (self.etc, self.run, self.volume):
            self.give(path)

    @property
    def data(self):
        return self.volume / 'data'

    @staticmethod
    def give(path):
        """To the number that Trove gives the database's account."""
        for directory, _, files in os.walk(path):
            for name in ('', *files):
                os.chown(f'{directory}/{name}', OWNER, OWNER)

    def start(
        self, image, *, command=COMMAND, auto_upgrade='1', environment=(), restart='unless-stopped'
    ):
        """Create the container and start it; the answer to the start."""
        status, answer = self.engine.api(
            'POST',
            f'/containers/create?name={NAME}',
            {
                'Image': image,
                'Cmd': list(command),
                'User': f'{OWNER}:{OWNER}',
                'Env': [
                    f'MYSQL_ROOT_PASSWORD={PASSWORD}',
                    'MYSQL_INITDB_SKIP_TZINFO=1',
                    f'MARIADB_AUTO_UPGRADE={auto_upgrade}',
                    *environment,
                ],
                'Healthcheck': {
                    'Test': [
                        'CMD',
                        'healthcheck.sh',
                        '--defaults-file',
                        f'{DATA}/.my-healthcheck.cnf',
                        '--connect',
                        '--innodb_initialized',
                    ],
                    'StartPeriod': 10 * NANOSECONDS,
                    'Interval': NANOSECONDS,
                    'Timeout': 5 * NANOSECONDS,
                    'Retries': 3,
                },
                'ExposedPorts': {'3306/tcp': {}},
                'HostConfig': {
                    'Privileged': True,
                    'IpcMode': 'host',
                    'NetworkMode': 'bridge',
                    'RestartPolicy': {'Name': restart},
                    'PortBindings': {'3306/tcp': [{'HostPort': '3306'}]},
                    'Binds': [
                        f'{self.etc}:/etc/mysql:rw',
                        f'{self.run}:/var/run/mysqld:rw',
                        f'{self.volume}:/var/lib/mysql:rw',
                    ],
                },
            },
        )
        if status != 201:
            raise AssertionError(f'The container was not created: {status} {answer}')
        return self.engine.api('POST', f'/containers/{NAME}/start')

    def state(self):
        return self.engine.api('GET', f'/containers/{NAME}/json')[1]['State']

    def wait_healthy(self):
        if not wait_until(
            lambda: self.state().get('Health', {}).get('Status') == 'healthy', DEADLINE_SECONDS
        ):
            raise AssertionError(
                f'The database did not become healthy: {self.state()}\n{self.logs()}'
            )

    def wait_exited(self):
        if not wait_until(lambda: self.state()['Status'] == 'exited', DEADLINE_SECONDS):
            raise AssertionError(f'The container still runs: {self.state()}\n{self.logs()}')
        return self.state()['ExitCode']

    def logs(self):
        done = self.engine.run(['logs', NAME], check=False)
        return done.stdout + done.stderr

    def sql(self, statement, password=PASSWORD, user='root'):
        """The rows as text, over the socket that the container shares with the host."""
        done = subprocess.run(
            [
                'mariadb',
                '--no-defaults',
                f'--socket={self.run}/mysqld.sock',
                f'--user={user}',
                f'--password={password}',
                '--batch',
                '--skip-column-names',
                '--execute',
                statement,
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_SECONDS,
        )
        if done.returncode != 0:
            raise AssertionError(f'{statement}: {done.stderr}')
        return done.stdout.strip()

    def stop(self):
        """As a careful agent does; how the server ended."""
        self.engine.api('POST', f'/containers/{NAME}/stop?t=300')
        return self.wait_exited()

    def remove(self):
        self.engine.api('DELETE', f'/containers/{NAME}?force=1')
