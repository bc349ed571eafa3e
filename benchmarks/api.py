# SPDX-License-Identifier: Apache-2.0
"""The API: PATCH, one instance, a list of 600; real tokens, the services of the one-machine cloud,
the taskmanager stopped.

Every PATCH is on an instance of its own and is accepted: what follows is only queued.
"""

import json
import urllib.parse
import uuid
from typing import Any

import pymysql

from benchmarks import load
from trove_upgrade.lab import product as lab_product
from trove_upgrade.lab import rest
from trove_upgrade.lab.stage import Stage

PROJECT_ROWS = 600
PATCHES = 500
GETS = 1000
LISTS = 40
CONNECTIONS = 8


def measure(stage: Stage) -> list[load.Figures]:
    """Figures with 8 connections, then with one."""
    demo = stage.handle.users['demo']
    token = rest.Session(demo.auth_url, demo.username, demo.password, demo.project_name).token()
    project = stage.maker.project_id('demo')
    url = f'{stage.handle.database_api_url}/{project}'
    stage.product.stop(lab_product.TASKMANAGER)
    connection = _connect(stage)
    try:
        ids = _instances(connection, stage, project)
        body = json.dumps({'instance': {'datastore_version': stage.target.name}}).encode()
        warm = [load.Request('GET', f'/instances/{ids[0]}')] * 64
        load.run('warm-up', url, warm, token=token, connections=CONNECTIONS, status=200)
        figures = [
            load.run(
                'GET / (baseline: no token, no database)',
                stage.product.url,
                [load.Request('GET', '/')] * GETS,
                token=None,
                connections=CONNECTIONS,
                status=200,
            ),
            load.run(
                'PATCH (202 each)',
                url,
                [load.Request('PATCH', f'/instances/{one}', body) for one in ids[:PATCHES]],
                token=token,
                connections=CONNECTIONS,
                status=202,
            ),
            load.run(
                'PATCH (422: busy)',
                url,
                [load.Request('PATCH', f'/instances/{one}', body) for one in ids[:PATCHES]],
                token=token,
                connections=CONNECTIONS,
                status=422,
            ),
            load.run(
                'GET one instance',
                url,
                [load.Request('GET', f'/instances/{one}') for one in (ids * 2)[:GETS]],
                token=token,
                connections=CONNECTIONS,
                status=200,
            ),
            load.run(
                f'GET the list of {len(ids)} instances',
                url,
                [load.Request('GET', '/instances')] * LISTS,
                token=token,
                connections=CONNECTIONS,
                status=200,
            ),
            load.run(
                'PATCH (202 each)',
                url,
                [load.Request('PATCH', f'/instances/{one}', body) for one in ids[PATCHES:]],
                token=token,
                connections=1,
                status=202,
            ),
            load.run(
                'GET one instance',
                url,
                [load.Request('GET', f'/instances/{one}') for one in ids[:200]],
                token=token,
                connections=1,
                status=200,
            ),
            load.run(
                f'GET the list of {len(ids)} instances',
                url,
                [load.Request('GET', '/instances')] * 10,
                token=token,
                connections=1,
                status=200,
            ),
        ]
    finally:
        _remove(connection)
        connection.close()
        stage.product.start_taskmanager()
    return figures


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
