# SPDX-License-Identifier: Apache-2.0
"""The control plane's own MariaDB: own data directory, own port, nothing of the machine's
/etc/mysql.
"""

import socket
import subprocess

from lab import commands, errors, services
from lab.settings import HOST, Settings
from lab.supervisor import Command

NAME = 'mariadb'
DATABASES = ('keystone', 'glance', 'placement', 'neutron', 'nova_api', 'nova', 'nova_cell0')
TROVE_DATABASE = 'trove'


def process(settings: Settings) -> Command:
    """The server.  Its data is thrown away by `down`, so it need not survive a loss of power."""
    data = settings.state(NAME)
    return Command(
        name=NAME,
        stage=services.STAGE_STORES,
        stop_seconds=30.0,
        env=settings.env(),
        argv=(
            'mariadbd',
            '--no-defaults',
            '--user=root',
            f'--datadir={data}',
            f'--socket={settings.mariadb_socket}',
            f'--port={settings.ports.mariadb}',
            f'--bind-address={HOST}',
            f'--pid-file={data}/mariadb.pid',
            # A server that starts removes the temporary tables of each other in its directory.
            f'--tmpdir={data.parent}',
            '--skip-name-resolve',
            '--max-connections=1000',
            '--innodb-flush-log-at-trx-commit=0',
            '--innodb-doublewrite=0',
            '--innodb-buffer-pool-size=256M',
            '--innodb-log-file-size=32M',
            '--innodb-fast-shutdown=1',
            '--performance-schema=OFF',
            '--character-set-server=utf8mb4',
            '--skip-log-bin',
        ),
    )


def install(settings: Settings) -> None:
    """Make an empty data directory; root of this machine gets in by the socket."""
    data = settings.state(NAME)
    data.mkdir(mode=0o700, parents=True)
    commands.run(
        (
            'mariadb-install-db',
            '--no-defaults',
            f'--datadir={data}',
            f'--tmpdir={data.parent}',
            '--user=root',
            '--skip-test-db',
            '--auth-root-authentication-method=socket',
            '--auth-root-socket-user=root',
            '--innodb-log-file-size=32M',
        ),
        log=settings.layout.log_file('mariadb-install'),
        env=settings.env(),
        timeout_seconds=120,
    )


def create_databases(settings: Settings) -> None:
    """The services' databases and users; `trove` may also make databases with names that begin
    with trove.
    """
    password = settings.secrets.database
    lines = [f'CREATE DATABASE {name} CHARACTER SET utf8mb3;' for name in DATABASES]
    lines += [
        f'CREATE DATABASE {TROVE_DATABASE};',
        f"CREATE USER cloud@'{HOST}' IDENTIFIED BY '{password}';",
        f"CREATE USER trove@'{HOST}' IDENTIFIED BY '{password}';",
        f"GRANT ALL ON *.* TO cloud@'{HOST}';",
        f"GRANT ALL ON `trove%`.* TO trove@'{HOST}';",
    ]
    execute(settings, '\n'.join(lines))


def create_database(settings: Settings, name: str) -> str:
    """A fresh, empty database for a test, and its address.  One of that name is thrown away."""
    if not name.startswith(TROVE_DATABASE) or not name.replace('_', '').isalnum():
        raise errors.LabError(
            f'Cannot create database {name!r}: its name must begin with trove and hold only '
            'letters, digits and underscores.',
            code='lab_database_name',
        )
    execute(settings, f'DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name};')
    return settings.database_url(name, user='trove')


def execute(settings: Settings, sql: str) -> list[list[str]]:
    """Run SQL as root over the socket; rows of text.

    :raises CommandFailed: the server refused it.
    """
    answer = subprocess.run(
        (
            'mariadb',
            '--no-defaults',
            f'--socket={settings.mariadb_socket}',
            '--user=root',
            '--batch',
            '--skip-column-names',
        ),
        input=sql,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=settings.env(),
    )
    if answer.returncode != 0:
        raise errors.CommandFailed(
            f"The control plane's MariaDB refused a statement: {answer.stderr.strip()}"
        )
    return [line.split('\t') for line in answer.stdout.splitlines()]


def ready(settings: Settings) -> bool:
    """Tell whether it accepts connections."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(settings.mariadb_socket))
        except OSError:
            return False
    return True
