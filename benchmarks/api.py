# SPDX-License-Identifier: Apache-2.0
"""The API: PATCH, one instance, a list of 600; real tokens, the services of the one-machine cloud,
the taskmanager stopped.

Every PATCH is on an instance of its own and is accepted: what follows is only queued.
"""

import dataclasses
import json
import urllib.parse
import uuid
from collections.abc import Sequence
from typing import Any

import pymysql

from benchmarks import load
from lab import product as lab_product
from lab import rest
from lab.stage import Stage

PROJECT_ROWS = 600
PATCHES = 500
GETS = 1000
LISTS = 40
CONNECTIONS = 8


@dataclasses.dataclass(frozen=True)
class Client:
    """Sends requests with a token; or to an API that asks for none."""

    url: str
    token: str | None

    def send(
        self, name: str, requests: Sequence[load.Request], *, connections: int, status: int = 200
    ) -> load.Figures:
        """Measure them all; `status` is the one that is wanted."""
        return load.run(
            name,
            self.url,
            requests,
            token=self.token,
            connections=connections,
            status=status,
        )


def measure(stage: Stage) -> list[load.Figures]:
    """Figures with 8 connections, then with one."""
    demo = stage.handle.users['demo']
    token = rest.Session.of(demo).token()
    project = stage.maker.project_id('demo')
    client = Client(f'{stage.handle.database_api_url}/{project}', token)
    stage.product.stop(lab_product.TASKMANAGER)
    connection = _connect(stage)
    try:
        ids = _instances(connection, stage, project)
        body = json.dumps({'instance': {'datastore_version': stage.target.name}}).encode()
        client.send('warm-up', _shows(ids[:1] * 64), connections=CONNECTIONS)
        return [
            _baseline(stage),
            *_side_by_side(client, ids, body),
            *_one_by_one(client, ids, body),
        ]
    finally:
        _remove(connection)
        connection.close()
        stage.product.start_taskmanager()


def _baseline(stage: Stage) -> load.Figures:
    return Client(stage.product.url, token=None).send(
        'GET / (baseline: no token, no database)',
        [load.Request('GET', '/')] * GETS,
        connections=CONNECTIONS,
    )


def _side_by_side(client: Client, ids: Sequence[str], body: bytes) -> list[load.Figures]:
    patches = _patches(ids[:PATCHES], body)
    return [
        client.send('PATCH (202 each)', patches, connections=CONNECTIONS, status=202),
        client.send('PATCH (422: busy)', patches, connections=CONNECTIONS, status=422),
        client.send('GET one instance', _shows([*ids, *ids][:GETS]), connections=CONNECTIONS),
        client.send(
            f'GET the list of {len(ids)} instances',
            [load.Request('GET', '/instances')] * LISTS,
            connections=CONNECTIONS,
        ),
    ]


def _one_by_one(client: Client, ids: Sequence[str], body: bytes) -> list[load.Figures]:
    return [
        client.send('PATCH (202 each)', _patches(ids[PATCHES:], body), connections=1, status=202),
        client.send('GET one instance', _shows(ids[:200]), connections=1),
        client.send(
            f'GET the list of {len(ids)} instances',
            [load.Request('GET', '/instances')] * 10,
            connections=1,
        ),
    ]


def _patches(ids: Sequence[str], body: bytes) -> list[load.Request]:
    return [load.Request('PATCH', f'/instances/{one}', body) for one in ids]


def _shows(ids: Sequence[str]) -> list[load.Request]:
    return [load.Request('GET', f'/instances/{one}') for one in ids]


def _connect(stage: Stage) -> 'pymysql.connections.Connection[Any]':
    place = urllib.parse.urlsplit(stage.handle.mariadb_url)
    return pymysql.connect(
        host=place.hostname or '',
        port=place.port or 3306,
        user=place.username or '',
        password=place.password or '',
        database='trove',
        autocommit=True,
        cursorclass=pymysql.cursors.DictCursor,
    )


def _instances(
    connection: 'pymysql.connections.Connection[Any]', stage: Stage, project: str
) -> list[str]:
    """Rows like those of registered instances, on servers that Nova does not know."""
    with connection.cursor() as cursor:
        cursor.execute('SELECT id FROM datastore_versions WHERE name = %s', (stage.former.name,))
        version = cursor.fetchone()
        rows = [
            (
                str(uuid.uuid4()),
                f'bench-{number}',
                str(uuid.uuid4()),
                project,
                version['id'] if version else None,
            )
            for number in range(PROJECT_ROWS)
        ]
        cursor.executemany(
            'INSERT INTO instances (id, name, compute_instance_id, tenant_id, '
            'datastore_version_id, created, updated, task_id, '
            'task_description, deleted, volume_size, flavor_id) '
            "VALUES (%s, %s, %s, %s, %s, NOW(), NOW(), 1, 'No tasks', 0, 1, '1')",
            rows,
        )
    return [row[0] for row in rows]


def _remove(connection: 'pymysql.connections.Connection[Any]') -> None:
    with connection.cursor() as cursor:
        found = "(SELECT id FROM instances WHERE name LIKE 'bench-%')"
        cursor.execute(
            'DELETE FROM upgrade_outbox WHERE upgrade_id IN (SELECT id FROM instance_upgrades '
            f'WHERE instance_id IN {found})'
        )
        cursor.execute(f'DELETE FROM instance_upgrades WHERE instance_id IN {found}')
        cursor.execute("DELETE FROM instances WHERE name LIKE 'bench-%'")
