# SPDX-License-Identifier: Apache-2.0
"""Leases on the rows of a table: renewed for all rows of one owner at once, and ended where their
owner has ended.

They are taken and let go of by the table's own repository.
"""

import dataclasses
from collections.abc import Collection
from typing import Self

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import columns, models
from trove_upgrade.db.engine import Database
from trove_upgrade.db.repetition import retry_on_deadlock
from trove_upgrade.domain.leases import Renewal

#: Of an upgrade and of a check: the state in which a row is held.
_HELD = 'RUNNING'


class Leases:
    """Implements domain.leases.Leases for a table with id, state, owner and lease_until."""

    def __init__(self, database: Database, table: sa.Table) -> None:
        self._database = database
        self._table = table

    def renew(self, owner: str, row_ids: Collection[str], lease_seconds: float) -> Renewal:
        """Let the leases of `owner` on these rows end that many seconds from now.  A lease that has
        run out and that no other has taken is simply renewed.

        All in one statement; where that fails, row by row, so that a row that another transaction
        has locked costs no other row its lease.  A connection that was cut is made anew at once.
        """
        renewed = self._renewed_anew(owner, row_ids, lease_seconds)
        if renewed.error is None or len(row_ids) == 1 or _is_away(renewed.error):
            return renewed
        whole = Renewal()
        for row_id in row_ids:
            one = self._renewed_anew(owner, [row_id], lease_seconds)
            whole = whole.with_one(one)
            if _is_away(one.error):  # so it is for the others
                break
        return whole

    def _renewed_anew(self, owner: str, row_ids: Collection[str], lease_seconds: float) -> Renewal:
        """Renew them, twice where the first time finds the connection cut."""
        try:
            try:
                return self._renewed(owner, row_ids, lease_seconds)
            except db_exc.DBConnectionError:
                return self._renewed(owner, row_ids, lease_seconds)
        except (sa.exc.SQLAlchemyError, db_exc.DBError) as error:
            return Renewal(error=error)

    def _renewed(self, owner: str, row_ids: Collection[str], lease_seconds: float) -> Renewal:
        """One statement, and a second one only where a row was lost, to learn which.  Raises as
        the database does.
        """
        row, asked = self._table.c, frozenset(row_ids)
        own = (row.id.in_(sorted(asked)), row.owner == owner, row.state == _HELD)
        with self._database.write() as connection:
            renewed = connection.execute(
                sa.update(self._table).where(*own).values(lease_until=columns.ahead(lease_seconds))
            )
            if renewed.rowcount == len(asked):
                return Renewal(asked)
            still = frozenset(connection.execute(sa.select(row.id).where(*own)).scalars())
            return Renewal(still, asked - still)

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


@dataclasses.dataclass(frozen=True)
class KeptLeases:
    """Leases of each kind of row that a taskmanager holds."""

    upgrades: Leases
    checks: Leases

    @classmethod
    def of(cls, database: Database) -> Self:
        """Return them as they are renewed over this database."""
        return cls(
            Leases(database, models.instance_upgrades), Leases(database, models.upgrade_checks)
        )


def _is_away(error: Exception | None) -> bool:
    return isinstance(error, db_exc.DBConnectionError)
