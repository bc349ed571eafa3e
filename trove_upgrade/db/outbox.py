# SPDX-License-Identifier: Apache-2.0
"""`upgrade_outbox`: what must be sent at least once, in order per upgrade, and one end or error per
attempt.

The order of one upgrade's events is (attempt, position), not a clock and not an auto-increment: on
a Galera cluster neither is monotonic from node to node.

An event is written in the transaction that makes it true. Before an end or an error that
transaction updates the upgrade's row, which must be RUNNING and of the claim's generation
(db/fence.py): a second writer finds no such row, and leaves the transaction. "Exactly one end"
rests on that, whichever releases run. The unique key (upgrade, attempt, position) refuses a second
end, too, but among writers of one release alone: borealis and this one give an end different
positions (domain/events.py).
"""

import dataclasses
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import columns, trove_tables
from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import upgrade_outbox as _outbox
from trove_upgrade.db.repetition import retry_on_deadlock
from trove_upgrade.domain import downtime, instances
from trove_upgrade.domain.events import PAYLOAD_VERSION, EventKind, OutboxEvent
from trove_upgrade.domain.explanation import Notice
from trove_upgrade.domain.upgrades import Upgrade

_earlier = _outbox.alias('earlier')
#: An earlier event of the same upgrade, for the same receiver, has not been sent.
_OVERTAKEN = sa.exists().where(
    _earlier.c.upgrade_id == _outbox.c.upgrade_id,
    _earlier.c.receiver == _outbox.c.receiver,
    _earlier.c.sent_at.is_(None),
    sa.or_(
        _earlier.c.attempt < _outbox.c.attempt,
        sa.and_(_earlier.c.attempt == _outbox.c.attempt, _earlier.c.position < _outbox.c.position),
    ),
)


class Outbox:
    """Events in the database: the port events.OutboxRepository."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pending(
        self, limit: int, kinds: Collection[EventKind] = frozenset(EventKind)
    ) -> Sequence[OutboxEvent]:
        """Unsent events of these kinds that are due; per upgrade and receiver only the
        oldest one, so that order holds: one of a kind that only a later release knows is left to
        that release, and what follows it waits.

        Those that were tried least often come first: one with a silent receiver waits behind all
        the others.
        """
        query = (
            sa.select(_outbox)
            .where(
                _outbox.c.sent_at.is_(None),
                _outbox.c.next_try_at <= columns.now(),
                _outbox.c.kind.in_(sorted(str(kind) for kind in kinds)),
                ~_OVERTAKEN,
            )
            .order_by(_outbox.c.tries, _outbox.c.next_try_at, _outbox.c.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [_event(row) for row in rows]

    def is_behind_end(self, event: OutboxEvent) -> bool:
        """Return whether an end of its attempt stands before it: borealis gives an end a position
        below that of an opening.
        """
        query = sa.select(_outbox.c.id).where(
            _outbox.c.upgrade_id == event.upgrade_id,
            _outbox.c.attempt == event.attempt,
            _outbox.c.kind.in_([str(EventKind.END), str(EventKind.ERROR)]),
            _outbox.c.position < event.kind.position,
        )
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def history(self, upgrade_id: str) -> Sequence[Notice]:
        """Return the events of an upgrade in their order, sent or not; those of kinds that only a
        later release knows are left out.
        """
        query = (
            sa.select(
                _outbox.c.kind,
                _outbox.c.attempt,
                _outbox.c.created_at,
                _outbox.c.sent_at,
                _outbox.c.tries,
            )
            .where(
                _outbox.c.upgrade_id == upgrade_id,
                _outbox.c.kind.in_(sorted(str(kind) for kind in EventKind)),
            )
            .order_by(_outbox.c.attempt, _outbox.c.position)
        )
        with self._database.read() as connection:
            return [
                Notice(
                    kind=EventKind(row.kind),
                    attempt=row.attempt,
                    created_at=row.created_at,
                    sent_at=row.sent_at,
                    tries=row.tries,
                )
                for row in connection.execute(query)
            ]

    @retry_on_deadlock
    def sent(self, event_id: str) -> None:
        """Mark the event as sent: it is not sent again."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(_outbox)
                .where(_outbox.c.id == event_id, _outbox.c.sent_at.is_(None))
                .values(sent_at=columns.now(), tries=_outbox.c.tries + 1)
            )

    @retry_on_deadlock
    def postpone(self, event_id: str, seconds: float) -> None:
        """Try again that much later."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(_outbox)
                .where(_outbox.c.id == event_id, _outbox.c.sent_at.is_(None))
                .values(next_try_at=columns.ahead(seconds), tries=_outbox.c.tries + 1)
            )


def _event(row: sa.Row[Any]) -> OutboxEvent:
    return OutboxEvent(
        id=row.id,
        upgrade_id=row.upgrade_id,
        kind=EventKind(row.kind),
        attempt=row.attempt,
        payload=row.payload,
        created_at=row.created_at,
        tries=row.tries,
    )


_versions = trove_tables.datastore_versions
_NAMED = sa.select(_versions.c.id, _versions.c.name, _versions.c.version).where(
    _versions.c.id.in_([sa.bindparam('former_id'), sa.bindparam('target_id')])
)
_WRITE = sa.insert(_outbox).values(created_at=columns.now(), next_try_at=columns.now(), tries=0)


def write(
    connection: sa.Connection,
    kind: EventKind,
    about: Upgrade,
    versions: Sequence[instances.DatastoreVersion] | None = None,
) -> None:
    """Write one event inside the transaction that makes it true; `versions` are the upgrade's two
    where the caller has read them.
    """
    event_id = str(uuid.uuid4())
    if versions is None:
        known = {
            row.id: _version(row.id, row.name, row.version or row.name)
            for row in connection.execute(
                _NAMED, {'former_id': about.former_version_id, 'target_id': about.target_version_id}
            )
        }
    else:
        known = {each.id: _version(each.id, each.name, each.number) for each in versions}
    connection.execute(
        _WRITE,
        {
            'id': event_id,
            'upgrade_id': about.id,
            'attempt': about.attempt,
            'position': kind.position,
            'kind': str(kind),
            'receiver': str(kind.receiver),
            'payload': _payload(event_id, kind, about, known),
        },
    )


def _version(version_id: str, name: str | None, number: str | None) -> dict[str, Any]:
    return {'id': version_id, 'name': name, 'number': number}


def _payload(
    event_id: str, kind: EventKind, about: Upgrade, known: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """Payload 1.0: keys may be added under 1.x; none is renamed, removed or given another
    meaning.
    """
    former, target = (
        known.get(each, _version(each, None, None))
        for each in (about.former_version_id, about.target_version_id)
    )
    opened_at, parts = about.progress.restore.opened_at, downtime.of(about)
    return {
        'payload_version': PAYLOAD_VERSION,
        'event_id': event_id,
        'kind': str(kind),
        'upgrade_id': about.id,
        'attempt': about.attempt,
        'instance': {
            'id': about.instance_id,
            'name': about.instance_name,
            'server_id': about.server_id,
        },
        'project_id': about.project_id,
        'user_id': about.user_id,
        'request_id': about.request_id,
        'datastore_manager': about.datastore_manager,
        'former_version': {**former, 'image_id': about.former_image_id},
        'target_version': {**target, 'image_id': about.target_image_id},
        'state': str(about.state),
        'step': str(about.step),
        'cause': about.cause,
        'error_code': about.error_code,
        'created_at': about.created_at.isoformat(),
        'updated_at': about.updated_at.isoformat(),
        'ended_at': about.ended_at.isoformat() if about.ended_at else None,
        'opened_at': opened_at.isoformat() if opened_at else None,
        'downtime_seconds': about.progress.restore.downtime_seconds,
        'downtime': dataclasses.asdict(parts) if parts else None,
        **about.notes.to_answer(),
    }
