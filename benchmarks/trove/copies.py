# SPDX-License-Identifier: Apache-2.0
"""Hundreds of instances for the price of one: rows in Trove's database that are copies of a real
instance's.

A copy has an id and a name of its own, so every PATCH is on an instance of its own, and all else as
the real one has it: its server, its version, its guest's last words.  What stock Trove asks of Nova
and Neutron in each PATCH is asked of that one real server and of its real port, and is the same
work for them as for a server per row: each is looked up by its id, in tables where it is indexed.
The copies are made and removed while both taskmanagers are stopped, so no taskmanager ever works
on the server in their name.
"""

import contextlib
import threading
import urllib.parse
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import amqp  # type: ignore[import-untyped]
import pymysql

from lab import product as lab_product
from lab.settings import BROKER_VHOST, HOST
from lab.trove.instances import TroveInstance
from lab.trove.stage import OUR_QUEUE, TroveStage

PREFIX = 'bench-copy-'
TROVE_QUEUE = 'taskmanager'
_BATCH = 200
#: table -> the column that names the instance; `id` of all but the first and the last is the row's
#: own.
_COPIED = {
    'instances': 'id',
    'service_statuses': 'instance_id',
    'agent_heartbeats': 'instance_id',
    'upgrade_guests': 'instance_id',
}
_OURS = ('upgrade_outbox', 'instance_upgrade_steps')
#: What a stand-in's upgrade leaves of the key that its guest was given.
_KEYS = ('upgrade_guest_keys', 'upgrade_guest_wires')

Connection: TypeAlias = (
    'pymysql.connections.Connection[Any]'  #: quoted: it takes an argument for type checkers alone
)


class Copies:
    """Copies of one instance's rows."""

    def __init__(self, connection: Connection, original: TroveInstance) -> None:
        self._connection = connection
        self._original = original.id
        self._lock = threading.Lock()

    def make(self, count: int, *, with_servers: bool = False) -> list[str]:
        """Their ids.  `with_servers`: each also names a server of its own, which only a stand-in
        for Nova knows.
        """
        ids = [str(uuid.uuid4()) for _ in range(count)]
        with self._lock, self._connection.cursor() as cursor:
            for table, column in _COPIED.items():
                cursor.execute(f'SELECT * FROM {table} WHERE {column} = %s', (self._original,))
                found = cursor.fetchone()
                if found is not None:
                    rows = [
                        self._row(table, found, copy, with_servers=with_servers) for copy in ids
                    ]
                    insert(cursor, table, rows)
        return ids

    def _row(
        self, table: str, found: dict[str, Any], copy: str, *, with_servers: bool
    ) -> dict[str, Any]:
        row = {
            **found,
            **({'id': str(uuid.uuid4())} if 'id' in found else {}),
            _COPIED[table]: copy,
        }
        if table == 'instances':
            row |= {'name': PREFIX + copy[:8]} | (
                {'compute_instance_id': str(uuid.uuid4())} if with_servers else {}
            )
        return row

    def renew(self, copy: str) -> None:
        """As it was made, after an upgrade of it has ended."""
        with self._lock, self._connection.cursor() as cursor:
            for table in _OURS:
                cursor.execute(
                    f'DELETE FROM {table} WHERE upgrade_id IN (SELECT id FROM instance_upgrades '
                    'WHERE instance_id = %s)',
                    (copy,),
                )
            for table in ('instance_upgrades', *_KEYS):
                cursor.execute(f'DELETE FROM {table} WHERE instance_id = %s', (copy,))
            cursor.execute(
                'SELECT datastore_version_id FROM instances WHERE id = %s', (self._original,)
            )
            version = cursor.fetchone()
            cursor.execute(
                'UPDATE instances SET datastore_version_id = %s WHERE id = %s',
                (version and version['datastore_version_id'], copy),
            )

    def remove(self) -> None:
        """All copies, and our upgrades of them."""
        copies = f"(SELECT id FROM instances WHERE name LIKE '{PREFIX}%')"
        with self._connection.cursor() as cursor:
            for table in _OURS:
                cursor.execute(
                    f'DELETE FROM {table} WHERE upgrade_id IN (SELECT id FROM instance_upgrades '
                    f'WHERE instance_id IN {copies})'
                )
            for table in ('instance_upgrades', *_KEYS, *list(_COPIED)[1:]):
                cursor.execute(f'DELETE FROM {table} WHERE instance_id IN {copies}')
            cursor.execute(f"DELETE FROM instances WHERE name LIKE '{PREFIX}%'")


def insert(cursor: Any, table: str, rows: Sequence[dict[str, Any]]) -> None:
    """All rows, in batches."""
    names = list(rows[0])
    statement = (
        f'INSERT INTO {table} ({", ".join(f"`{name}`" for name in names)}) VALUES '
        f'({", ".join(["%s"] * len(names))})'
    )
    for start in range(0, len(rows), _BATCH):
        cursor.executemany(statement, [tuple(row.values()) for row in rows[start : start + _BATCH]])


def connect(stage: TroveStage) -> Connection:
    """Trove's database, as its own user."""
    place = urllib.parse.urlsplit(stage.side.database_url)
    return pymysql.connect(
        host=place.hostname or '',
        port=place.port or 3306,
        user=urllib.parse.unquote(place.username or ''),
        password=urllib.parse.unquote(place.password or ''),
        database=place.path.strip('/'),
        autocommit=True,
        cursorclass=pymysql.cursors.DictCursor,
    )


@contextlib.contextmanager
def copies_of(stage: TroveStage, original: TroveInstance) -> Iterator[Copies]:
    """No taskmanager runs as long as the context lasts: what is accepted is queued, and thrown away
    at the end with the copies.
    """
    stage.side.taskmanager.stop()
    stage.product.stop(lab_product.TASKMANAGER)
    connection = connect(stage)
    copies = Copies(connection, original)
    try:
        yield copies
    finally:
        copies.remove()
        connection.close()
        drain(stage)
        stage.side.taskmanager.start()
        stage.product.start_taskmanager()


def drain(stage: TroveStage) -> dict[str, int]:
    """Throw away what was queued for both taskmanagers; how many messages it was."""
    settings = stage.side.settings
    connection = amqp.Connection(
        f'{HOST}:{settings.ports.broker}',
        userid='trove',
        password=settings.secrets.broker_trove,
        virtual_host=BROKER_VHOST,
    )
    connection.connect()
    found = {}
    try:
        for queue in (TROVE_QUEUE, OUR_QUEUE):
            # Not found: no taskmanager has ever listened, so nothing is in it.
            with contextlib.suppress(amqp.NotFound):
                found[queue] = int(connection.channel().queue_purge(queue))
    finally:
        connection.close()
    return found
