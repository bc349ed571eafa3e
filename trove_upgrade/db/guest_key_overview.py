# SPDX-License-Identifier: Apache-2.0
"""All guests' keys at once, for operators: which guest is spoken to sealed, and what a new entry of
the list is still to encrypt.

Nothing here opens a key but `rotate`.  Instances are asked for by ids and not by a join: Trove's
tables may have another collation.
"""

import dataclasses
import datetime
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import arrivals, batches, trove_tables
from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import upgrade_guest_keys as _keys
from trove_upgrade.db.models import upgrade_guest_wires as _wires
from trove_upgrade.db.models import upgrade_guests as _guests
from trove_upgrade.db.repetition import repeat_on_new_columns, retry_on_deadlock
from trove_upgrade.sealing.at_rest import KeyUnreadable, Wrapping

_instances = trove_tables.instances
_PAGE = 500


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuestSealing:
    """One instance, and how its guest is spoken to."""

    instance_id: str
    sealed: bool
    origin: str | None  #: of the current key
    since: datetime.datetime | None  #: the first message under it
    pending: int  #: keys under which the guest has not spoken yet
    heard_sealed: bool  #: its last heartbeat came under a key
    agent_version: str | None
    seen_at: datetime.datetime | None
    dropped: int  #: messages


@dataclasses.dataclass(frozen=True)
class WrappedKey:
    """A row as it is stored."""

    key_id: str
    instance_id: str
    wrapped: str


@dataclasses.dataclass(frozen=True)
class Rotation:
    """Outcome of a rotation of all keys."""

    rotated: int
    unchanged: int  #: under the first entry already
    unreadable: tuple[str, ...]  #: instances


class GuestKeyOverview:
    """Reads in pages; no statement grows with the number of instances."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def instances(self) -> Iterator[GuestSealing]:
        """Yield every instance that is not deleted, by id."""
        marker = ''
        while page := self._page(marker):
            yield from page
            marker = page[-1].instance_id

    @repeat_on_new_columns
    def _page(self, marker: str) -> list[GuestSealing]:
        query = sa.select(_instances.c.id).where(
            _instances.c.deleted.is_not(True), _instances.c.id > marker
        )
        with self._database.read() as connection:
            ids = connection.execute(query.order_by(_instances.c.id).limit(_PAGE)).scalars().all()
            absent = arrivals.missing(self._database, connection, _guests)
            named = (_guests.c.instance_id, _guests.c.agent_version, _guests.c.seen_at)
            heard: sa.Select[Any] = sa.select(*named, arrivals.readable(_guests.c.key_id, absent))
            said: Sequence[sa.Row[Any]] = connection.execute(
                heard.where(_guests.c.instance_id.in_(ids))
            ).all()
            keys, wires = self._keys(connection, ids), self._wires(connection, ids)
        guests = {row.instance_id: row for row in said}
        return [
            _sealing(each, keys.get(each, []), guests.get(each), wires.get(each, 0)) for each in ids
        ]

    def _keys(self, connection: sa.Connection, ids: Sequence[str]) -> dict[str, list[sa.Row[Any]]]:
        found: dict[str, list[sa.Row[Any]]] = {}
        if not self._database.columns(connection, _keys.name):
            return found
        named = (_keys.c.instance_id, _keys.c.origin, _keys.c.proven_at)
        query: sa.Select[Any] = sa.select(*named).where(_keys.c.instance_id.in_(ids))
        for row in connection.execute(query.order_by(_keys.c.created_at, _keys.c.key_id)):
            found.setdefault(row.instance_id, []).append(row)
        return found

    def _wires(self, connection: sa.Connection, ids: Sequence[str]) -> dict[str, int]:
        if not self._database.columns(connection, _wires.name):
            return {}
        query = sa.select(_wires.c.instance_id, _wires.c.dropped)
        rows = connection.execute(query.where(_wires.c.instance_id.in_(ids)))
        return {row.instance_id: row.dropped for row in rows}

    def first_with_key(self) -> str | None:
        """Return one instance that is not deleted and has a key, be it that of a rebuild which its
        guest has not spoken under yet; None: there is none.
        """
        query = sa.select(_keys.c.instance_id).distinct()
        with self._database.read() as connection:
            if not self._database.columns(connection, _keys.name):
                return None
            ids = connection.execute(query.order_by(_keys.c.instance_id)).scalars().all()
            return min(self._of_instances(connection, ids), default=None)

    def left_behind(self) -> list[str]:
        """Return the ids of instances that are deleted and have keys still, sorted."""
        query = sa.select(_keys.c.instance_id).distinct()
        with self._database.read() as connection:
            if not self._database.columns(connection, _keys.name):
                return []
            ids = connection.execute(query.order_by(_keys.c.instance_id)).scalars().all()
            return sorted({*ids} - self._of_instances(connection, ids))

    @staticmethod
    def _of_instances(connection: sa.Connection, ids: Sequence[str]) -> set[str]:
        """Return those of `ids` that are instances and not deleted."""
        found: set[str] = set()
        for batch in batches.of_ids(ids):
            there = sa.select(_instances.c.id).where(
                _instances.c.id.in_(batch), _instances.c.deleted.is_not(True)
            )
            found.update(connection.execute(there).scalars())
        return found

    def count_of(self, instance_id: str) -> int:
        """Return how many keys an instance has, pending ones too; one that was deleted may have
        some.
        """
        query = sa.select(sa.func.count()).where(_keys.c.instance_id == instance_id)
        with self._database.read() as connection:
            if not self._database.columns(connection, _keys.name):
                return 0
            return int(connection.execute(query).scalar_one())

    def newest_current(self) -> WrappedKey | None:
        """Return the key that was made last of those under which the guest of an instance has
        spoken; None: there is none.
        """
        query = sa.select(_keys.c.key_id, _keys.c.instance_id).where(_keys.c.proven_at.is_not(None))
        with self._database.read() as connection:
            if not self._database.columns(connection, _keys.name):
                return None
            rows = connection.execute(query.order_by(_keys.c.created_at.desc())).all()
            there = self._of_instances(connection, [row.instance_id for row in rows])
            newest = next((row.key_id for row in rows if row.instance_id in there), None)
            if newest is None:
                return None
            named = (_keys.c.key_id, _keys.c.instance_id, _keys.c.wrapped)
            found = connection.execute(
                sa.select(*named).where(_keys.c.key_id == newest)
            ).one_or_none()
        return None if found is None else WrappedKey(*found)

    def stored(self) -> Iterator[WrappedKey]:
        """Yield every key as it is stored, pending ones too, by id."""
        marker = ''
        while page := self._stored_after(marker):
            yield from page
            marker = page[-1].key_id

    def _stored_after(self, marker: str) -> list[WrappedKey]:
        named = (_keys.c.key_id, _keys.c.instance_id, _keys.c.wrapped)
        query = sa.select(*named).where(_keys.c.key_id > marker)
        with self._database.read() as connection:
            if not self._database.columns(connection, _keys.name):
                return []
            rows = connection.execute(query.order_by(_keys.c.key_id).limit(_PAGE)).all()
        return [WrappedKey(*row) for row in rows]

    def rotate(self, wrapping: Wrapping) -> Rotation:
        """Encrypt every key under the first entry of the list.  May be killed and repeated, beside
        taskmanagers that work.
        """
        rotated = unchanged = 0
        unreadable = []
        for one in self.stored():
            if wrapping.is_newest(one.wrapped):
                unchanged += 1
                continue
            try:
                key = wrapping.unwrap(one.key_id, one.instance_id, one.wrapped)
            except KeyUnreadable:
                unreadable.append(one.instance_id)
                continue
            rotated += self._replace(one, wrapping.wrap(key))
        return Rotation(rotated, unchanged, tuple(dict.fromkeys(unreadable)))

    @retry_on_deadlock
    def _replace(self, former: WrappedKey, wrapped: str) -> int:
        same = (_keys.c.key_id == former.key_id, _keys.c.wrapped == former.wrapped)
        with self._database.write() as connection:
            update = sa.update(_keys).where(*same).values(wrapped=wrapped)
            return int(connection.execute(update).rowcount)


def _sealing(
    instance_id: str, keys: Sequence[sa.Row[Any]], said: sa.Row[Any] | None, dropped: int
) -> GuestSealing:
    """`keys` are in their order, so that the last proven one is the current one."""
    proven = [place for place, row in enumerate(keys) if row.proven_at is not None]
    current = keys[proven[-1]] if proven else None
    return GuestSealing(
        instance_id=instance_id,
        sealed=current is not None,
        origin=current.origin if current else None,
        since=current.proven_at if current else None,
        pending=len(keys) - (proven[-1] + 1 if proven else 0),
        heard_sealed=said is not None and said.key_id is not None,
        agent_version=said.agent_version if said else None,
        seen_at=said.seen_at if said else None,
        dropped=dropped,
    )
