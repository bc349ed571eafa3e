# SPDX-License-Identifier: Apache-2.0
"""Leases on the rows of a table: renewed for all rows of one owner at once, and ended where their
owner has ended.

They are taken and let go of by the table's own repository.
"""

from collections.abc import Collection

import sqlalchemy as sa

from trove_upgrade.db import columns
from trove_upgrade.db.engine import Database
from trove_upgrade.db.repetition import retry_on_deadlock

#: Of an upgrade and of a check: the state in which a row is held.
_HELD = 'RUNNING'


class Leases:
    """Implements domain.leases.Leases for a table with id, state, owner and lease_until."""

    def __init__(self, database: Database, table: sa.Table) -> None:
        self._database = database
        self._table = table

    @retry_on_deadlock
    def renew(self, owner: str, row_ids: Collection[str], lease_seconds: float) -> Collection[str]:
        """Let the leases of `owner` on these rows end that many seconds from now; return the rows
        that are still its own.

        One statement, and a second one only where a row was lost, to learn which.  A lease that has
        run out and that no other has taken is simply renewed.
        """
        row = self._table.c
        own = (row.id.in_(sorted(row_ids)), row.owner == owner, row.state == _HELD)
        with self._database.write() as connection:
            renewed = connection.execute(
                sa.update(self._table).where(*own).values(lease_until=columns.ahead(lease_seconds))
            )
            if renewed.rowcount == len(row_ids):
                return frozenset(row_ids)
            return frozenset(connection.execute(sa.select(row.id).where(*own)).scalars())

    def owners(self) -> Collection[str]:
        """Return the owners of leases that have not run out."""
        row = self._table.c
        query = (
            sa.select(row.owner)
            .where(row.state == _HELD, row.owner.is_not(None), row.lease_until > columns.now())
            .distinct()
        )
        with self._database.read() as connection:
            return frozenset(connection.execute(query).scalars())

    @retry_on_deadlock
    def expire(self, owner: str) -> int:
        """Let every lease of an owner that has ended for certain run out now; return how many.

        Its name stays until the next claim, so that the row tells who had it.
        """
        row = self._table.c
        with self._database.write() as connection:
            return connection.execute(
                sa.update(self._table)
                .where(row.owner == owner, row.state == _HELD, row.lease_until > columns.now())
                .values(lease_until=columns.now())
            ).rowcount
