# SPDX-License-Identifier: Apache-2.0
"""`upgrade_guests`: what each guest said last and under which key, and which image its server was
booted from.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import arrivals, batches, columns, trove_tables
from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import upgrade_guests as _guests
from trove_upgrade.db.repetition import repeat_on_new_columns, retry_on_deadlock
from trove_upgrade.domain import guests, logs

LOG = logs.get_logger(__name__)

_instances = trove_tables.instances
#: What a heartbeat is made of; every release's schema has these.
_SAID = tuple(column for column in _guests.c if column.name not in {'image_id', 'key_id'})


class Guests:
    """Heartbeats and images in the database: the port ports.GuestRepository."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @retry_on_deadlock
    def record(self, heartbeat: guests.Heartbeat, key_id: str | None = None) -> bool:
        """Insert or update, seen_at by the database's clock; return whether it was kept.

        Of an instance that does not exist nothing is kept, and nothing logged: any guest can send
        any id.

        :param key_id: the key that it came under; None: it came unsealed.
        """
        said = {
            name: columns.fitting(_guests.c[name], getattr(heartbeat, name))
            for name in ('boot_id', 'marker', 'agent_version', 'server_version')
        }
        known = sa.select(_instances.c.id).where(
            _instances.c.id == heartbeat.instance_id, _instances.c.deleted.is_not(True)
        )
        with self._database.write() as connection:
            if connection.execute(known).one_or_none() is None:
                LOG.debug(
                    'A heartbeat came from instance %s, which does not exist. Nothing of it is '
                    'kept',
                    heartbeat.instance_id,
                )
                return False
            absent = arrivals.missing(self._database, connection, _guests)
            upsert(
                connection,
                heartbeat.instance_id,
                restored=heartbeat.restored,
                server_state=str(heartbeat.server_state),
                seen_at=columns.now(),
                **said,
                **arrivals.writable({'key_id': key_id}, absent),
            )
        return True

    def heartbeat(self, instance_id: str) -> guests.Heartbeat | None:
        """The last one, or None if none ever came."""
        with self._database.read() as connection:
            row = connection.execute(
                sa.select(*_SAID).where(_guests.c.instance_id == instance_id)
            ).one_or_none()
        if row is None or row.boot_id is None:
            return None
        return guests.Heartbeat(
            instance_id=row.instance_id,
            boot_id=row.boot_id,
            marker=row.marker,
            restored=bool(row.restored),
            agent_version=row.agent_version,
            server_version=row.server_version,
            server_state=guests.ServerState(row.server_state),
        )

    @repeat_on_new_columns
    def heard_under(self, instance_id: str) -> str | None:
        """The key that the last heartbeat came under; None: it came unsealed, or none ever came."""
        with self._database.read() as connection:
            if 'key_id' in arrivals.missing(self._database, connection, _guests):
                return None
            return connection.execute(
                sa.select(_guests.c.key_id).where(_guests.c.instance_id == instance_id)
            ).scalar_one_or_none()

    def last_word(self, instance_id: str) -> guests.LastWord | None:
        """Return when and in which boot its agent was heard last; None if it never was."""
        query = sa.select(_guests.c.seen_at, _guests.c.boot_id).where(
            _guests.c.instance_id == instance_id,
            _guests.c.boot_id.is_not(None),
            _guests.c.seen_at.is_not(None),
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else guests.LastWord(row.seen_at, row.boot_id)

    def heard(self, instance_id: str, within_seconds: float) -> bool:
        """Return whether one came in the last seconds by the database's clock; 0: ever."""
        query = sa.select(_guests.c.instance_id).where(
            _guests.c.instance_id == instance_id, _guests.c.boot_id.is_not(None)
        )
        if within_seconds:
            query = query.where(_guests.c.seen_at > columns.ahead(-within_seconds))
        with self._database.read() as connection:
            return connection.execute(query).one_or_none() is not None

    @retry_on_deadlock
    def keep_known(self, instance_id: str) -> None:
        """Record that the guest has answered now; what its last heartbeat said stays."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(_guests)
                .where(_guests.c.instance_id == instance_id, _guests.c.boot_id.is_not(None))
                .values(seen_at=columns.now())
            )

    @retry_on_deadlock
    def forget_agent(self, instance_id: str) -> None:
        """Forget all that was heard of its agent, which was removed; the image stays."""
        said = {column.name: None for column in _SAID if not column.primary_key}
        with self._database.write() as connection:
            absent = arrivals.missing(self._database, connection, _guests)
            connection.execute(
                sa.update(_guests)
                .where(_guests.c.instance_id == instance_id)
                .values(**said, **arrivals.writable({'key_id': None}, absent))
            )

    def image(self, instance_id: str) -> str | None:
        """The image that the instance's server runs as far as we know."""
        with self._database.read() as connection:
            return connection.execute(
                sa.select(_guests.c.image_id).where(_guests.c.instance_id == instance_id)
            ).scalar_one_or_none()


def upsert(connection: sa.Connection, instance_id: str, **values: Any) -> None:
    """Insert or update inside a transaction of the caller's."""
    update = sa.update(_guests).where(_guests.c.instance_id == instance_id).values(**values)
    if connection.execute(update).rowcount:
        return
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(_guests).values(instance_id=instance_id, **values))
    except db_exc.DBDuplicateEntry:  # a heartbeat came in between
        connection.execute(update)


def learn_image(database: Database, instance_id: str, image_id: str) -> bool:
    """Keep the image of an instance if none is known; return whether it was kept."""

    @retry_on_deadlock
    def learn() -> bool:
        with database.write() as connection:
            learned = (
                sa.update(_guests)
                .where(_guests.c.instance_id == instance_id, _guests.c.image_id.is_(None))
                .values(image_id=image_id)
            )
            if connection.execute(learned).rowcount:
                return True
            try:
                with connection.begin_nested():
                    connection.execute(
                        sa.insert(_guests).values(instance_id=instance_id, image_id=image_id)
                    )
            except db_exc.DBDuplicateEntry:  # its image is known, or a heartbeat came in between
                return bool(connection.execute(learned).rowcount)
        return True

    return learn()


def images_of(connection: sa.Connection, instance_ids: Sequence[str]) -> Mapping[str, str | None]:
    """The image of each of these of which we have a row.

    Asked by ids and not by a join: Trove's tables may have another collation than ours, and servers
    refuse to compare the two.
    """
    found: dict[str, str | None] = {}
    for ids in batches.of_ids(instance_ids):
        rows = connection.execute(
            sa.select(_guests.c.instance_id, _guests.c.image_id).where(
                _guests.c.instance_id.in_(ids)
            )
        )
        found.update((row.instance_id, row.image_id) for row in rows)
    return found


def keep_former_image(connection: sa.Connection, version_id: str, image_id: str) -> None:
    """Remember the image that a version had, for its instances of an unknown image."""
    query = sa.select(_instances.c.id).where(
        _instances.c.datastore_version_id == version_id, _instances.c.deleted.is_not(True)
    )
    ids = connection.execute(query).scalars().all()
    known = images_of(connection, ids)
    for instance_id in ids:
        if known.get(instance_id) is None:
            upsert(connection, instance_id, image_id=image_id)
