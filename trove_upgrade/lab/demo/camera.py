# SPDX-License-Identifier: Apache-2.0
"""Takes the picture of an instance: asks its database through the database's own client, and Nova through its API."""

import json

from trove_upgrade.lab.demo.proof import Picture
from trove_upgrade.lab.hypervisor.guests import Guest
from trove_upgrade.lab.images import provision
from trove_upgrade.lab.instances import InstanceMaker, LabInstance

#: The table that the application writes to all through; its rows are counted one by one instead.
WRITTEN_TABLE = f'{provision.DATABASE}.ticks'
_SYSTEM = "('mysql', 'information_schema', 'performance_schema', 'sys')"
_TABLES = (f"SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
           f'AND table_schema NOT IN {_SYSTEM}')
# Plain columns: the collations that literals and system columns have differ between versions, and do not mix.
_USERS = 'SELECT user, host, is_role FROM mysql.user'
_GRANTS = {'*.*': 'SELECT grantee, privilege_type FROM information_schema.user_privileges',
           'schema': 'SELECT grantee, privilege_type, table_schema FROM information_schema.schema_privileges',
           'role': 'SELECT user, host, role FROM mysql.roles_mapping'}
_DATABASE_CHECK_SECONDS = 300


def take(maker: InstanceMaker, instance: LabInstance) -> Picture:
    """The instance as it is now."""
    guest = maker.guest(instance.server_id)
    server = maker.server(instance.server_id)
    facts = json.loads(guest.exec(['cat', '/etc/trove-upgrade/image-facts.json']).output)
    tables = {f'{schema}.{name}' for schema, name in _rows(guest, _TABLES)} - {WRITTEN_TABLE}
    names = ', '.join(f"'{name}'" for name in sorted(provision.DEFAULT_SETTINGS))
    image = server['image']
    addresses = [found['addr'] for network in _mapping(server['addresses']).values() for found in network]
    return Picture(
        server_version=_rows(guest, 'SELECT VERSION()')[0][0], image=str(_mapping(image)['id']) if image else 'volume',
        boot_id=guest.exec(['cat', '/proc/sys/kernel/random/boot_id']).output.strip(), agent_version=str(facts['agent_version']),
        operating_system=f'{facts["os"]}, Python {facts["python"]}', name=str(server['name']), address=', '.join(addresses),
        grants=frozenset(' '.join((level, *row)) for level, statement in _GRANTS.items() for row in _rows(guest, statement)),
        users=frozenset('@'.join(row) for row in _rows(guest, _USERS)),
        tables={table: _content(guest, table) for table in sorted(tables)},
        settings={row[0].lower(): row[1] for row in _rows(
            guest, f'SELECT variable_name, variable_value FROM information_schema.global_variables WHERE variable_name IN ({names})')})


def acknowledged_rows(guest: Guest) -> set[int]:
    """The numbers in the table that the application writes to."""
    return {int(row[0]) for row in _rows(guest, f'SELECT number FROM {WRITTEN_TABLE}')}


def answers(guest: Guest) -> bool:
    """Whether the database in the guest answers now."""
    return guest.exec(['mariadb', '-e', 'SELECT 1'], check=False, timeout_seconds=10).returncode == 0


def _content(guest: Guest, table: str) -> tuple[int, str]:
    count = _rows(guest, f'SELECT COUNT(*) FROM {table}')[0][0]
    return int(count), _rows(guest, f'CHECKSUM TABLE {table} EXTENDED')[0][1]


def _rows(guest: Guest, statement: str) -> list[list[str]]:
    return [line.split('\t') for line in provision.sql(guest, statement + ';', _DATABASE_CHECK_SECONDS).splitlines()]


def _mapping(value: object) -> dict[str, list[dict[str, str]]]:
    return value if isinstance(value, dict) else {}
