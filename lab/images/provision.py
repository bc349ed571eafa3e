# SPDX-License-Identifier: Apache-2.0
"""Turns a freshly booted guest into a MariaDB or MySQL instance, as Trove does when it creates one.

For callers::

    credentials = provision_database(guest)  # volume mounted, server installed, running, enabled
    seed_rows(guest, 1_000_000)  # seconds: the sequence engine makes the rows
    with host.fabric.connect(network_id, (address, 3306)): ...  # credentials.application over TCP

The layout is Trove's: the volume at /var/lib/mysql belongs to root, the data directory below it to
the server's user. `os_admin` is Trove's own account.  Root logs in through the socket: to MariaDB
without a password, to MySQL with the one in its own client file.
"""

from __future__ import annotations

import dataclasses
import json

from lab import errors
from lab.images import samples_mysql
from lab.servers import DATABASE_MOUNT, Server

#: What an operator's configuration group would set; a sample that is kept over an upgrade and can
#: be seen in force.
DEFAULT_SETTINGS = {'max_connections': '157', 'wait_timeout': '2345', 'bind_address': '0.0.0.0'}  # nosec B104 # a setting of the guest's database, which its clients reach
SETTINGS_FILE = '/etc/mysql/mariadb.conf.d/90-instance.cnf'
#: Read after the package's own mysqld.cnf, which binds the server to loopback.
MYSQL_SETTINGS_FILE = '/etc/mysql/mysql.conf.d/zz-instance.cnf'
CLIENT_FILE = '/root/.my.cnf'
ADMIN_CREDENTIALS_FILE = '/etc/trove-upgrade/os_admin.json'
#: Facts of an image, and of one from before the upgrade feature.
IMAGE_FACTS = ('/etc/trove-upgrade/image-facts.json', '/usr/lib/trove-lab/image-facts.json')
DATABASE = 'shop'
_FACTS = f'cat {IMAGE_FACTS[0]} 2> /dev/null || cat {IMAGE_FACTS[1]}'
_CLIENT = 'exec "$(command -v mariadb || command -v mysql)" --batch --skip-column-names'


@dataclasses.dataclass(frozen=True)
class Account:
    """A database account and its password."""

    name: str
    password: str


@dataclasses.dataclass(frozen=True)
class Credentials:
    """Accounts of a provisioned instance; all but `admin` are for clients over TCP."""

    admin: Account  #: Trove's own superuser, from the guest itself only
    application: Account  #: all rights in the sample database, and the role `reporting`
    reader: Account  #: may read it

    @property
    def database(self) -> str:
        """Name of the sample database."""
        return DATABASE


#: The lab's fixed passwords: the guests are reachable from inside their own network namespace
#: alone.
LAB_CREDENTIALS = Credentials(
    Account('os_admin', 'lab-admin'), Account('app', 'lab-app'), Account('reader', 'lab-reader')
)

_PREPARE = f"""
mountpoint -q {DATABASE_MOUNT} || mount "UUID=$1" {DATABASE_MOUNT}
chown root:root {DATABASE_MOUNT}
chmod 0755 {DATABASE_MOUNT}
install -d -o mysql -g mysql -m 0750 {DATABASE_MOUNT}/data
mkdir -p /etc/trove-upgrade
echo "$1" > /etc/trove-upgrade/volume-uuid
grep -q "^UUID=$1 " /etc/fstab || echo "UUID=$1 {DATABASE_MOUNT} ext4 defaults,noatime,nofail 0 2" \
>> /etc/fstab
"""
_INSTALL = f"""
[ -d {DATABASE_MOUNT}/data/mysql ] || mariadb-install-db --user=mysql \
--datadir={DATABASE_MOUNT}/data --skip-test-db \
    --auth-root-authentication-method=socket > /dev/null
"""


_INSTALL_MYSQL = f"""
[ -d {DATABASE_MOUNT}/data/mysql ] || mysqld --no-defaults --initialize-insecure --user=mysql \
--datadir={DATABASE_MOUNT}/data
"""


@dataclasses.dataclass(frozen=True)
class _Kind:
    """Differences between the two servers."""

    settings_file: str
    group: str  #: of the settings; every version of the server reads it
    install: str  #: makes an empty database, as a shell script


_KINDS = {
    'mariadb': _Kind(SETTINGS_FILE, 'mariadb', _INSTALL),
    'mysql': _Kind(MYSQL_SETTINGS_FILE, 'mysqld', _INSTALL_MYSQL),
}


def volume_of(guest: Server) -> str:
    """Return the UUID of the guest's volume, for a database.

    :raises errors.LabError: it has none.
    """
    if guest.volume_uuid is None:
        raise errors.LabError(
            f'Cannot provision a database in guest {guest.id}: it has no volume. '
            'Create the server with an ephemeral disk in its flavor.',
            code='lab_guest_error',
        )
    return guest.volume_uuid


def provision_database(guest: Server, settings: dict[str, str] | None = None) -> Credentials:
    """Mount the guest's volume, install a database on it, start it and have it start by itself.
    Safe to repeat.

    Which kind is the image's: its facts name it.  `settings` go to the instance's own configuration
    file, over `DEFAULT_SETTINGS`.

    :raises errors.LabError: the guest has no volume.
    :raises errors.CommandFailed: a step inside the guest failed; its output is in the message.
    """
    volume_uuid = volume_of(guest)
    name, credentials = datastore(guest), LAB_CREDENTIALS
    kind = _KINDS[name]
    guest.exec(['/bin/sh', '-ec', _PREPARE, 'prepare', volume_uuid])
    guest.write_file(
        kind.settings_file, settings_file({**DEFAULT_SETTINGS, **(settings or {})}, kind.group)
    )
    guest.exec(['/bin/sh', '-ec', kind.install], timeout_seconds=180)
    start_database(guest)
    guest.write_file(
        ADMIN_CREDENTIALS_FILE,
        json.dumps(dataclasses.asdict(credentials.admin)) + '\n',
        mode='0600',
    )
    _make_accounts(guest, name, credentials)
    return credentials


def _make_accounts(guest: Server, datastore_name: str, credentials: Credentials) -> None:
    if datastore_name == 'mysql':
        _set_root_password(guest, credentials.admin.password)
        sql(
            guest,
            samples_mysql.accounts_sql(
                credentials.admin, credentials.application, credentials.reader, DATABASE
            ),
        )
    else:
        sql(guest, accounts_sql(credentials))


def image_facts(guest: Server) -> dict[str, object]:
    """Return the facts that the guest's image has of itself, of an old one too."""
    facts: dict[str, object] = json.loads(guest.exec(['/bin/sh', '-c', _FACTS]).output)
    return facts


def datastore(guest: Server) -> str:
    """Return which server the guest's image has: 'mariadb' or 'mysql'."""
    return str(image_facts(guest)['datastore'])


def _set_root_password(guest: Server, password: str) -> None:
    """MySQL's root has none at first; from then on the client file lets root in, and the agent."""
    if guest.exec(['test', '-e', CLIENT_FILE], check=False).returncode != 0:
        sql(guest, f"ALTER USER root@localhost IDENTIFIED BY '{password}';")
    guest.write_file(CLIENT_FILE, f'[client]\nuser = root\npassword = {password}\n', mode='0600')


def start_database(guest: Server) -> None:
    """Start the database service of our own and enable it, with whichever init the guest has."""
    if guest.init == 'systemd':
        guest.exec(
            ['systemctl', 'enable', '--now', 'trove-upgrade-database.service'], timeout_seconds=120
        )
    else:
        guest.exec(['update-rc.d', 'trove-upgrade-database', 'enable'])
        guest.exec(['service', 'trove-upgrade-database', 'start'], timeout_seconds=120)


def sql(guest: Server, statements: str, timeout_seconds: float = 120) -> str:
    """Run SQL in the guest as the server's root; rows come back as tab-separated lines without a
    heading.
    """
    return guest.exec(
        ['/bin/sh', '-c', _CLIENT], input_text=statements, timeout_seconds=timeout_seconds
    ).output


def settings_file(settings: dict[str, str], group: str = 'mariadb') -> str:
    """An option file with these settings."""
    lines = [f'{name} = {value}' for name, value in sorted(settings.items())]
    return '\n'.join(['# The settings of this instance.', f'[{group}]', *lines, ''])


def accounts_sql(credentials: Credentials) -> str:
    """Accounts, a role, a database and one of each kind of object that an upgrade must keep.  Safe
    to repeat.
    """
    admin, application, reader = credentials.admin, credentials.application, credentials.reader
    return f"""
CREATE USER IF NOT EXISTS '{admin.name}'@'localhost' IDENTIFIED BY '{admin.password}';
GRANT ALL PRIVILEGES ON *.* TO '{admin.name}'@'localhost' WITH GRANT OPTION;
CREATE DATABASE IF NOT EXISTS {DATABASE};
CREATE ROLE IF NOT EXISTS reporting;
GRANT SELECT ON {DATABASE}.* TO reporting;
CREATE USER IF NOT EXISTS '{application.name}'@'%' IDENTIFIED BY '{application.password}';
GRANT ALL PRIVILEGES ON {DATABASE}.* TO '{application.name}'@'%';
GRANT reporting TO '{application.name}'@'%';
CREATE USER IF NOT EXISTS '{reader.name}'@'%' IDENTIFIED BY '{reader.password}';
GRANT SELECT, SHOW VIEW ON {DATABASE}.* TO '{reader.name}'@'%';
USE {DATABASE};
CREATE TABLE IF NOT EXISTS customers (id INT PRIMARY KEY AUTO_INCREMENT, \
name VARCHAR(80) NOT NULL, town VARCHAR(40));
INSERT IGNORE INTO customers (id, name, town) VALUES (1, 'Zoë', 'Kraków'), (2, 'Bjørn', \
'Ærøskøbing'), (3, '山田', '東京');
CREATE TABLE IF NOT EXISTS heartbeat (id BIGINT PRIMARY KEY AUTO_INCREMENT, \
written_at DATETIME(6) NOT NULL DEFAULT NOW(6),
    note VARCHAR(64) NOT NULL DEFAULT '');
{samples_mysql.INVOICES}
CREATE OR REPLACE VIEW towns AS SELECT DISTINCT town FROM customers;
CREATE OR REPLACE FUNCTION double_it(n INT) RETURNS INT DETERMINISTIC RETURN n * 2;
CREATE OR REPLACE TRIGGER customers_town BEFORE INSERT ON customers FOR EACH ROW SET NEW.town = \
TRIM(NEW.town);
"""


def seed_rows(guest: Server, count: int) -> None:
    """Fill table `orders` of the sample database with `count` rows, of about 100 bytes each; what
    was in it goes away.
    """
    if datastore(guest) == 'mysql':
        sql(guest, samples_mysql.rows_sql(DATABASE, count), timeout_seconds=900)
        return
    sql(
        guest,
        f"""
CREATE OR REPLACE TABLE {DATABASE}.orders (id BIGINT PRIMARY KEY, customer_id INT NOT NULL, \
amount DECIMAL(12,2) NOT NULL,
    ordered_at DATETIME NOT NULL, note VARCHAR(120) NOT NULL, KEY by_customer (customer_id));
INSERT INTO {DATABASE}.orders SELECT seq, seq % 997, (seq * 7919 % 1000000) / 100,
    TIMESTAMP '2026-01-01 00:00:00' + INTERVAL seq % 31536000 SECOND, CONCAT('order ', seq, ' ', \
MD5(seq))
    FROM {DATABASE}.seq_1_to_{count:d};
""",
        timeout_seconds=900,
    )
