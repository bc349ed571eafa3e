# SPDX-License-Identifier: Apache-2.0
"""`upgrade_guest_wires`: the number of the last request to each guest, and how many messages were
dropped.

A row outlives the keys of its instance: no number is given out twice.
"""

from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import errors, trove_tables
from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import upgrade_guest_wires as _wires
from trove_upgrade.db.repetition import retry_on_deadlock
from trove_upgrade.sealing.messages import LARGEST_NUMBER

_instances = trove_tables.instances


class GuestWires:
    """Counts that all processes share."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @retry_on_deadlock
    def next_number(self, instance_id: str, above: int) -> int:
        """Count one request more, to a number above `above`.

        :raises GuestNumbersExhausted: there is none.
        :raises SchemaMissing: the expand of this release has not been run.
        """
        if above >= LARGEST_NUMBER:
            raise errors.GuestNumbersExhausted(instance_id=instance_id)
        same = _wires.c.instance_id == instance_id
        higher = sa.case((_wires.c.sent < above, above + 1), else_=_wires.c.sent + 1)
        counted = sa.update(_wires).where(same, _wires.c.sent < LARGEST_NUMBER).values(sent=higher)
        with self._database.write() as connection:
            if not self._database.columns(connection, _wires.name):
                found = f'table {_wires.name} is missing'
                raise errors.SchemaMissing(found=found, advice=errors.EXPAND_TABLES)
            if not connection.execute(counted).rowcount:
                self._insert(connection, instance_id)
                if not connection.execute(counted).rowcount:
                    raise errors.GuestNumbersExhausted(instance_id=instance_id)
            return int(connection.execute(sa.select(_wires.c.sent).where(same)).scalar_one())

    @retry_on_deadlock
    def dropped(self, instance_id: str, count: int) -> None:
        """Add to the count; one of no instance is not counted, as anything can be sent in its
        name.
        """
        known = sa.select(_instances.c.id).where(
            _instances.c.id == instance_id, _instances.c.deleted.is_not(True)
        )
        same = _wires.c.instance_id == instance_id
        room = LARGEST_NUMBER - count
        counted = (
            sa.update(_wires)
            .where(same, _wires.c.dropped <= room)
            .values(dropped=_wires.c.dropped + count)
        )
        with self._database.write() as connection:
            if not self._database.columns(connection, _wires.name):
                return
            if connection.execute(known).one_or_none() is None:
                return
            if not connection.execute(counted).rowcount:
                self._insert(connection, instance_id)
                connection.execute(counted)

    @staticmethod
    def _insert(connection: sa.Connection, instance_id: str) -> None:
        values: dict[str, Any] = {'instance_id': instance_id, 'sent': 0, 'dropped': 0}
        try:
            with connection.begin_nested():
                connection.execute(sa.insert(_wires).values(**values))
        except db_exc.DBDuplicateEntry:  # another process was first
            return
