# SPDX-License-Identifier: Apache-2.0
"""`upgrade_bridge_openings`: ports that the bridge has opened, and until when.

Until cygnus_expand03 has been run there is none, and none can be made.
"""

import dataclasses
import uuid
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import columns, errors
from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import upgrade_bridge_openings as _openings
from trove_upgrade.db.repetition import retry_on_deadlock
from trove_upgrade.domain.openings import (
    Opening,
    OpeningLapsed,
    OpeningRequest,
    OpeningState,
    PortAlreadyOpen,
)

_CLOSED = str(OpeningState.CLOSED)
_REQUESTED = tuple(field.name for field in dataclasses.fields(OpeningRequest))


class OpeningEnded(Exception):
    """The opening that stood in the way has just been closed."""


class Openings:
    """Implements domain.openings.OpeningRepository."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def intend(self, request: OpeningRequest, lease_seconds: float) -> Opening:
        """Commit an intent.

        :raises PortAlreadyOpen: the port has one that is not closed.
        :raises SchemaMissing: the expand of this release has not been run.
        """
        try:
            return self._intend(request, lease_seconds)
        except OpeningEnded:
            return self._intend(request, lease_seconds)

    @retry_on_deadlock
    def _intend(self, request: OpeningRequest, lease_seconds: float) -> Opening:
        opening_id = str(uuid.uuid4())
        values: dict[str, Any] = {name: getattr(request, name) for name in _REQUESTED}
        with self._database.write() as connection:
            self._require_table(connection)
            try:
                with connection.begin_nested():
                    connection.execute(
                        sa.insert(_openings).values(
                            **values,
                            id=opening_id,
                            open_port_id=request.port_id,
                            state=str(OpeningState.INTENDED),
                            created_at=columns.now(),
                            lease_until=columns.ahead(lease_seconds),
                        )
                    )
            except db_exc.DBDuplicateEntry:
                raise self._already_open(connection, request) from None
            return self._fetched(connection, opening_id)

    @staticmethod
    def _already_open(
        connection: sa.Connection, request: OpeningRequest
    ) -> PortAlreadyOpen | OpeningEnded:
        row = connection.execute(
            sa.select(_openings).where(_openings.c.open_port_id == request.port_id)
        ).one_or_none()
        if row is None:  # it was closed between the two statements
            return OpeningEnded()
        return PortAlreadyOpen(
            port_id=request.port_id,
            instance_id=row.instance_id,
            opening_id=row.id,
            run_id=row.run_id,
            lease_until=f'{row.lease_until:%Y-%m-%d %H:%M:%S} UTC',
        )

    def record_former(self, opening_id: str, groups: tuple[str, ...]) -> None:
        """Write the port's groups as they are.

        :raises OpeningLapsed: it is closed, or its lease is over.
        """
        self._write_held(opening_id, former_groups=list(groups))

    def record_group(self, opening_id: str, group_id: str) -> None:
        """Write the id of its group.  Raises as `record_former`."""
        self._write_held(opening_id, group_id=group_id)

    def opened(self, opening_id: str) -> Opening:
        """Write OPEN.  Raises as `record_former`."""
        return self._write_held(opening_id, state=str(OpeningState.OPEN))

    def extend(self, opening_id: str, lease_seconds: float) -> None:
        """Let the lease end that many seconds from now.  Raises as `record_former`."""
        self._write_held(opening_id, lease_until=columns.ahead(lease_seconds))

    @retry_on_deadlock
    def _write_held(self, opening_id: str, **values: Any) -> Opening:
        held = sa.and_(
            _openings.c.id == opening_id,
            _openings.c.state != _CLOSED,
            _openings.c.lease_until > columns.now(),
        )
        with self._database.write() as connection:
            written = connection.execute(sa.update(_openings).where(held).values(**values))
            found = self._fetched(connection, opening_id)
            if not written.rowcount:
                raise OpeningLapsed(
                    port_id=found.port_id, instance_id=found.instance_id, opening_id=opening_id
                )
            return found

    @retry_on_deadlock
    def closed(self, opening_id: str, cause: str | None) -> None:
        """Write CLOSED.  The first cause stays."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(_openings)
                .where(_openings.c.id == opening_id, _openings.c.state != _CLOSED)
                .values(
                    state=_CLOSED,
                    open_port_id=None,
                    closed_at=columns.now(),
                    cause=columns.fitting(_openings.c.cause, cause, wide=True),
                )
            )

    def get(self, opening_id: str) -> Opening | None:
        """Return one; None: there is none."""
        found = self._listed(_openings.c.id == opening_id)
        return found[0] if found else None

    def not_closed(self) -> list[Opening]:
        """Return all that may still be open, the oldest first."""
        return self._listed(_openings.c.state != _CLOSED)

    def lapsed(self) -> list[Opening]:
        """Return those of `not_closed` whose lease is over, the oldest first."""
        return self._listed(_openings.c.state != _CLOSED, _openings.c.lease_until <= columns.now())

    def is_any_since(self, seconds: float) -> bool:
        """Return whether one is not closed, or was closed in the last `seconds`."""
        late = sa.or_(_openings.c.state != _CLOSED, _openings.c.closed_at > columns.ahead(-seconds))
        query = sa.select(_openings.c.id).where(late).limit(1)
        with self._database.read() as connection:
            if not self._has_table(connection):
                return False
            return connection.execute(query).first() is not None

    def require_table(self) -> None:
        """Refuse to tell that nothing is open where nothing can be recorded.

        :raises SchemaMissing: the expand of this release has not been run.
        """
        with self._database.read() as connection:
            self._require_table(connection)

    def _has_table(self, connection: sa.Connection) -> bool:
        if self._database.columns(connection, _openings.name):
            return True
        self._database.forget_columns()  # the expand may be run at any moment
        return False

    def _require_table(self, connection: sa.Connection) -> None:
        if not self._has_table(connection):
            found = f'table {_openings.name} is missing'
            raise errors.SchemaMissing(found=found, advice=errors.EXPAND_TABLES)

    def of_run(self, run_id: str) -> list[Opening]:
        """Return all of a run, the oldest first."""
        return self._listed(_openings.c.run_id == run_id)

    def _listed(self, *conditions: sa.ColumnElement[bool]) -> list[Opening]:
        query = (
            sa.select(_openings).where(*conditions).order_by(_openings.c.created_at, _openings.c.id)
        )
        with self._database.read() as connection:
            if not self._has_table(connection):
                return []
            return list(_openings_from(connection.execute(query)))

    @staticmethod
    def _fetched(connection: sa.Connection, opening_id: str) -> Opening:
        query = sa.select(_openings).where(_openings.c.id == opening_id)
        return next(iter(_openings_from([connection.execute(query).one()])))


def _openings_from(rows: Iterable[sa.Row[Any]]) -> Iterable[Opening]:
    for row in rows:
        former = row.former_groups
        yield Opening(
            **{name: getattr(row, name) for name in _REQUESTED},
            id=row.id,
            state=OpeningState(row.state),
            created_at=row.created_at,
            lease_until=row.lease_until,
            former_groups=None if former is None else tuple(former),
            group_id=row.group_id,
            closed_at=row.closed_at,
            cause=row.cause,
        )
