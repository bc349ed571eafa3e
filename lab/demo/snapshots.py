# SPDX-License-Identifier: Apache-2.0
"""Takes the snapshot of an instance: asks its database through the database's own client, and Nova
through its API.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

from lab.demo.proof import InstanceSnapshot
from lab.images import provision
from lab.instances import InstanceMaker, LabInstance
from lab.servers import Server

#: Runs statements as the database's root: rows come back as tab-separated lines.
Ask = Callable[[str], str]

#: The table that the application writes to all through; its rows are counted one by one instead.
WRITTEN_TABLE = f'{provision.DATABASE}.ticks'
_SYSTEM = "('mysql', 'information_schema', 'performance_schema', 'sys')"
_TABLES = (
    'SELECT table_schema, table_name FROM information_schema.tables '
    f"WHERE table_type = 'BASE TABLE' AND table_schema NOT IN {_SYSTEM}"
)
# Plain columns: the collations that literals and system columns have differ between versions, and
# do not mix.
_USERS = 'SELECT user, host, is_role FROM mysql.user'
_GRANTS = {
    '*.*': 'SELECT grantee, privilege_type FROM information_schema.user_privileges',
    'schema': 'SELECT grantee, privilege_type, table_schema FROM '
    'information_schema.schema_privileges',
    'role': 'SELECT user, host, role FROM mysql.roles_mapping',
}
_DATABASE_CHECK_SECONDS = 300


def take(maker: InstanceMaker, instance: LabInstance) -> InstanceSnapshot:
    """The instance as it is now."""
    guest = maker.guest(instance.server_id)
    return snapshot(guest, maker.server(instance.server_id), asker(guest), WRITTEN_TABLE)


def asker(guest: Server) -> Ask:
    """Asks the database that runs as a service of the guest."""
    return lambda statements: provision.sql(guest, statements, _DATABASE_CHECK_SECONDS)


def snapshot(
    guest: Server,
    server: Mapping[str, object],
    ask: Ask,
    written_table: str,
    settings: Sequence[str] = tuple(provision.DEFAULT_SETTINGS),
) -> InstanceSnapshot:
    """Return what the database, Nova (`server` is its JSON) and the guest say now; `written_table`
    is left out of the checksums.
    """
    facts = provision.image_facts(guest)
    tables = {f'{schema}.{name}' for schema, name in _rows(ask, _TABLES)} - {written_table}
    image = server['image']
    addresses = [
        found['addr'] for network in _mapping(server['addresses']).values() for found in network
    ]
    return InstanceSnapshot(
        server_version=_rows(ask, 'SELECT VERSION()')[0][0],
        image=str(_mapping(image)['id']) if image else 'volume',
        boot_id=guest.exec(['cat', '/proc/sys/kernel/random/boot_id']).output.strip(),
        agent_version=str(facts.get('agent_version') or 'none of ours'),
        operating_system=f'{facts["os"]}, Python {facts["python"]}',
        name=str(server['name']),
        address=', '.join(addresses),
        grants=frozenset(
            ' '.join((level, *row))
            for level, statement in _GRANTS.items()
            for row in _rows(ask, statement)
        ),
        users=frozenset('@'.join(row) for row in _rows(ask, _USERS)),
        tables={table: _content(ask, table) for table in sorted(tables)},
        settings=_variables(ask, settings),
    )


def numbers(ask: Ask, written_table: str) -> set[int]:
    """The numbers in the table that the application writes to."""
    return {int(row[0]) for row in _rows(ask, f'SELECT number FROM {written_table}')}


def acknowledged_rows(guest: Server) -> set[int]:
    """Return the numbers in the table of the lab's own sample database."""
    return numbers(asker(guest), WRITTEN_TABLE)


def answers(guest: Server) -> bool:
    """Return whether the database in the guest answers now."""
    return (
        guest.exec(['mariadb', '-e', 'SELECT 1'], check=False, timeout_seconds=10).returncode == 0
    )


def _variables(ask: Ask, settings: Sequence[str]) -> dict[str, str]:
    names = ', '.join(f"'{name}'" for name in sorted(settings))
    found = _rows(
        ask,
        'SELECT variable_name, variable_value FROM information_schema.global_variables '
        f'WHERE variable_name IN ({names})',
    )
    return {row[0].lower(): row[1] for row in found}


def _content(ask: Ask, table: str) -> tuple[int, str]:
    count = _rows(ask, f'SELECT COUNT(*) FROM {table}')[0][0]
    schema, name = table.split('.', 1)
    columns = _rows(
        ask,
        "SELECT column_name, CONCAT('-', extra) FROM information_schema.columns "
        f"WHERE table_schema = '{schema}' AND table_name = '{name}' ORDER BY ordinal_position",
    )
    if any(_is_generated(extra) for _, extra in columns):
        return int(count), _values(
            ask, table, [column for column, extra in columns if not _is_generated(extra)]
        )
    return int(count), _rows(ask, f'CHECKSUM TABLE {table} EXTENDED')[0][1]


def _is_generated(extra: str) -> bool:
    return any(word in extra.upper() for word in ('STORED', 'PERSISTENT', 'VIRTUAL'))


def _values(ask: Ask, table: str, columns: Sequence[str]) -> str:
    """A digest of the values that were given, row by row in no order: the server's checksum of
    stored results is another one in 11.8, and that of virtual columns after a restart.
    """
    shown = ', '.join(f'HEX(CAST(`{column}` AS BINARY))' for column in columns)
    lines = sorted(ask(f"SET time_zone = '+00:00'; SELECT {shown} FROM {table};").splitlines())
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()[:16]


def _rows(ask: Ask, statement: str) -> list[list[str]]:
    return [line.split('\t') for line in ask(statement + ';').splitlines()]


def _mapping(value: object) -> dict[str, list[dict[str, str]]]:
    return value if isinstance(value, dict) else {}
