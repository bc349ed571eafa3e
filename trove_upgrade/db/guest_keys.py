# SPDX-License-Identifier: Apache-2.0
"""`upgrade_guest_keys` and `upgrade_guest_wires`: the key of each guest, and how far the messages
under it have come.

The keys of an instance are ordered by `created_at`.  The newest one with `proven_at` is the current
one; what is older counts as deleted, even where a row of it is left.  A key that Trove's own gives
is older than any other.  Several taskmanagers share the rows: each decision is an UPDATE with its
condition.  Until cygnus_expand02 has been run there is no key.
"""

import datetime
import enum
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import columns, errors, guest_wires
from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import upgrade_guest_keys as _keys
from trove_upgrade.db.repetition import repeat_on_new_columns, retry_on_deadlock
from trove_upgrade.db.troves_keys import TrovesKeys
from trove_upgrade.sealing.at_rest import Wrapping
from trove_upgrade.sealing.keys import BRIDGE_MARKER, GuestKey
from trove_upgrade.sealing.ports import Heard, KnownKey

_STEP = datetime.timedelta(microseconds=1)


class Origin(enum.StrEnum):
    """Source of a key: an upgrade, the operator or Trove."""

    REBUILD = 'rebuild'  #: an upgrade has put it into the user data of a rebuild
    OPERATOR = 'operator'  #: of a file that an operator puts into the guest
    TROVE = 'trove'  #: derived from what Trove and its agent share


def no_wrapping() -> None:
    """Return the wrapping of an installation without guests' keys."""


class GuestKeys:
    """Keys of guests in the database, wrapped: the port sealing.ports.GuestKeys."""

    def __init__(
        self,
        database: Database,
        wrapping: Callable[[], Wrapping | None] = no_wrapping,
        troves: TrovesKeys | None = None,
    ) -> None:
        """`wrapping` is called when a key is read or made: a process that needs none works with a
        list that is wrong.

        :param troves: None: no key is derived from Trove's.
        """
        self._database = database
        self._wrapping = wrapping
        self._troves = troves
        self._wires = guest_wires.GuestWires(database)

    @repeat_on_new_columns
    def mints(self) -> bool:
        """Return whether a key can be made: the operator's list is there, and so are the tables.

        :raises EncryptionKeysInvalid: an entry of the list is no key.
        """
        with self._database.read() as connection:
            return self._wrapping() is not None and self._has_tables(connection)

    @repeat_on_new_columns
    def current(self, instance_id: str) -> KnownKey | None:
        wrapping = self._wrapping()
        if wrapping is None:
            return None
        with self._database.read() as connection:
            live = self._live(connection, instance_id)
        if not live or live[0].proven_at is None:
            return None
        key = wrapping.unwrap(live[0].key_id, instance_id, live[0].wrapped)
        is_bridges = (live[0].marker or '').startswith(BRIDGE_MARKER)
        return KnownKey(key, live[0].session, is_bridges)

    @repeat_on_new_columns
    def find(self, instance_id: str, key_id: str) -> GuestKey | None:
        wrapping = self._wrapping()
        if wrapping is None:
            return None
        with self._database.read() as connection:
            live = self._live(connection, instance_id)
            row = _of_id(live, key_id)
            if row is not None:
                return wrapping.unwrap(row.key_id, instance_id, row.wrapped)
            derived = self._derived(connection, instance_id, live)
        return derived if derived is not None and derived.id == key_id else None

    @repeat_on_new_columns
    def stores(self, key: GuestKey) -> bool:
        with self._database.read() as connection:
            return _of_id(self._rows(connection, key.instance_id), key.id) is not None

    def next_number(self, instance_id: str, above: int = 0) -> int:
        """Count one request more to this guest; return its number, which is higher than `above`.

        :raises GuestNumbersExhausted: there is none above.
        """
        return self._wires.next_number(instance_id, above)

    @retry_on_deadlock
    def met(self, key: GuestKey, session: str, former: str | None = None) -> None:
        """Record the session that the guest answers under with this key; a key that was deleted
        meanwhile is left out.
        """
        with self._database.write() as connection:
            row = self._row(connection, key)
            if row is None:
                return
            is_new = sa.or_(_keys.c.session.is_(None), _keys.c.session != session)
            is_former = (
                sa.or_(_keys.c.session.is_(None), _keys.c.session == former)
                if former
                else sa.true()
            )
            connection.execute(
                sa.update(_keys)
                .where(_keys.c.key_id == key.id, is_new, is_former)
                .values(session=session, heard=0)
            )
            if row.proven_at is None:
                connection.execute(_proof(key.id).values(proven_at=columns.now()))
                _delete_older(connection, row)

    @retry_on_deadlock
    def hear(self, key: GuestKey, session: str, number: int) -> Heard:
        """A message under a key that was deleted meanwhile is dropped like a replayed one."""
        with self._database.write() as connection:
            row = self._row(connection, key)
            if row is None:
                return Heard.REPLAYED
            if row.proven_at is None:
                first = _proof(key.id).values(
                    proven_at=columns.now(), session=session, heard=number
                )
                if connection.execute(first).rowcount:
                    _delete_older(connection, row)
                    return Heard.TAKEN
            further = (
                sa.update(_keys)
                .where(_keys.c.key_id == key.id, _keys.c.session == session, _keys.c.heard < number)
                .values(heard=number)
            )
            if connection.execute(further).rowcount:
                return Heard.TAKEN
            known = connection.execute(
                sa.select(_keys.c.session).where(_keys.c.key_id == key.id)
            ).scalar_one_or_none()
        return Heard.REPLAYED if known in {None, session} else Heard.OTHER_SESSION

    @repeat_on_new_columns
    def minted_for(self, instance_id: str, marker: str) -> GuestKey | None:
        """Return the key that was made for this rebuild marker; None where there is none.

        :raises KeyUnreadable: no entry of the operator's list opens it.
        """
        wrapping = self._wrapping()
        if wrapping is None:
            return None
        with self._database.read() as connection:
            row = self._of_marker(connection, instance_id, marker)
        return None if row is None else wrapping.unwrap(row.key_id, instance_id, row.wrapped)

    @repeat_on_new_columns
    def minted_id(self, instance_id: str, marker: str) -> str | None:
        with self._database.read() as connection:
            row = self._of_marker(connection, instance_id, marker)
        return None if row is None else str(row.key_id)

    @retry_on_deadlock
    def mint(self, instance_id: str, marker: str | None) -> GuestKey:
        """Make a key, or return the one of this marker; a new one is encrypted under the operator's
        list.

        :raises GuestKeysUnset: there is no list to encrypt it under.
        :raises SchemaMissing: the expand of this release has not been run.
        :raises KeyUnreadable: the key of this marker is there, and no entry of the list opens it.
        """
        wrapping = self._wrapping()
        if wrapping is None:
            raise errors.GuestKeysUnset(service='trove-upgrade')
        with self._database.write() as connection:
            if not self._has_tables(connection):
                found = f'table {_keys.name} is missing'
                raise errors.SchemaMissing(found=found, advice=errors.EXPAND_TABLES)
            row = None if marker is None else self._of_marker(connection, instance_id, marker)
            if row is None:
                made = GuestKey.new(instance_id)
                origin = Origin.OPERATOR if marker is None else Origin.REBUILD
                newest = max(
                    (each.created_at for each in self._rows(connection, instance_id)), default=None
                )
                now = _now(connection)
                created_at = now if newest is None else max(now, newest + _STEP)
                if self._insert(connection, made, origin, created_at, marker):
                    return made
                row = self._of_marker(connection, instance_id, marker or '')
        if row is None:
            raise RuntimeError('the key of another process was deleted when it was made')
        return wrapping.unwrap(row.key_id, instance_id, row.wrapped)

    @retry_on_deadlock
    def retire(self, instance_id: str) -> None:
        self._delete(_keys.c.instance_id == instance_id)

    @retry_on_deadlock
    def discard(self, key: GuestKey) -> None:
        """Delete one key that was never given to a guest."""
        self._delete(_keys.c.key_id == key.id)

    def dropped(self, instance_id: str, count: int) -> None:
        self._wires.dropped(instance_id, count)

    def _delete(self, which: sa.ColumnElement[bool]) -> None:
        with self._database.write() as connection:
            if self._has_tables(connection):
                connection.execute(sa.delete(_keys).where(which))

    def _has_tables(self, connection: sa.Connection) -> bool:
        """The keys' table is made last."""
        return bool(self._database.columns(connection, _keys.name))

    def _rows(self, connection: sa.Connection, instance_id: str) -> Sequence[sa.Row[Any]]:
        """The keys of an instance, oldest first."""
        if not self._has_tables(connection):
            return []
        of_instance = sa.select(_keys).where(_keys.c.instance_id == instance_id)
        return connection.execute(of_instance.order_by(_keys.c.created_at, _keys.c.key_id)).all()

    def _live(self, connection: sa.Connection, instance_id: str) -> Sequence[sa.Row[Any]]:
        """The current key, if there is one, and the pending ones after it."""
        rows = self._rows(connection, instance_id)
        proven = [place for place, row in enumerate(rows) if row.proven_at is not None]
        return rows[proven[-1] :] if proven else rows

    def _of_marker(
        self, connection: sa.Connection, instance_id: str, marker: str
    ) -> sa.Row[Any] | None:
        rows = self._live(connection, instance_id)
        return next((row for row in rows if row.marker == marker), None)

    def _row(self, connection: sa.Connection, key: GuestKey) -> sa.Row[Any] | None:
        """The row of a key that counts; the one that Trove's key gives has its row from here on."""
        live = self._live(connection, key.instance_id)
        row = _of_id(live, key.id)
        if row is not None or self._derived(connection, key.instance_id, live) != key:
            return row
        now = _now(connection)
        created_at = min([now, *(each.created_at - _STEP for each in live)])
        self._insert(connection, key, Origin.TROVE, created_at, None)
        return _of_id(self._live(connection, key.instance_id), key.id)

    def _derived(
        self, connection: sa.Connection, instance_id: str, live: Sequence[sa.Row[Any]]
    ) -> GuestKey | None:
        """Return the key that Trove's own gives; it counts until the guest has spoken under any."""
        if self._troves is None or not self._has_tables(connection):
            return None
        if live and live[0].proven_at is not None:
            return None
        return self._troves.read(connection, instance_id)

    def _insert(
        self,
        connection: sa.Connection,
        key: GuestKey,
        origin: Origin,
        created_at: datetime.datetime,
        marker: str | None,
    ) -> bool:
        """Return whether it was made here: another process may have been first."""
        wrapping = self._wrapping()
        if wrapping is None:
            return False
        values = {
            'key_id': key.id,
            'instance_id': key.instance_id,
            'marker': marker,
            'origin': str(origin),
            'wrapped': wrapping.wrap(key),
            'created_at': created_at,
            'heard': 0,
        }
        try:
            with connection.begin_nested():
                connection.execute(sa.insert(_keys).values(**values))
        except db_exc.DBDuplicateEntry:
            return False
        return True


def _of_id(rows: Sequence[sa.Row[Any]], key_id: str) -> sa.Row[Any] | None:
    return next((row for row in rows if row.key_id == key_id), None)


def _proof(key_id: str) -> sa.Update:
    return sa.update(_keys).where(_keys.c.key_id == key_id, _keys.c.proven_at.is_(None))


def _delete_older(connection: sa.Connection, proven: sa.Row[Any]) -> None:
    older = sa.delete(_keys).where(
        _keys.c.instance_id == proven.instance_id, _keys.c.created_at < proven.created_at
    )
    connection.execute(older)


def _now(connection: sa.Connection) -> datetime.datetime:
    now: datetime.datetime = connection.execute(sa.select(columns.now())).scalar_one()
    return now
