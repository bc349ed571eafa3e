# SPDX-License-Identifier: Apache-2.0
"""`service_statuses`: the status of an instance's database, where no Trove writes it."""

import uuid

import sqlalchemy as sa

from trove_upgrade.db import columns
from trove_upgrade.db.trove_tables import service_statuses as _statuses

#: Source: trove/instance/service_status.py (Trove 26).
IDS = {
    'running': 0x01,
    'blocked': 0x02,
    'paused': 0x03,
    'shutdown': 0x04,
    'deleted': 0x05,
    'crashed': 0x06,
    'failed to spawn': 0x08,
    'building': 0x09,
    'promoting replica': 0x10,
    'ejecting replica source': 0x11,
    'transferring guest logs': 0x12,
    'unknown': 0x16,
    'new': 0x17,
    'guestagent error': 0x18,
    'instance ready': 0x19,
    'restart required': 0x20,
    'healthy': 0x21,
    'upgrading': 0x22,
    'restarting': 0x23,
}


def write(connection: sa.Connection, instance_id: str, status: str) -> None:
    """Write a status, in a transaction of the caller's.

    :raises ValueError: Trove has no such status.
    """
    if status not in IDS:
        raise ValueError(f'Trove has no service status {status!r}')
    values = {
        'status_id': IDS[status],
        'status_description': status,
        'updated_at': columns.now(),
    }
    updated = connection.execute(
        sa.update(_statuses).where(_statuses.c.instance_id == instance_id).values(**values)
    )
    if not updated.rowcount:
        connection.execute(
            sa.insert(_statuses).values(id=str(uuid.uuid4()), instance_id=instance_id, **values)
        )
