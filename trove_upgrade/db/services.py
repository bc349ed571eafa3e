# SPDX-License-Identifier: Apache-2.0
"""`upgrade_services`: which processes of ours run, of which release; what may be contracted depends on it."""
import dataclasses
import datetime
import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import columns
from trove_upgrade.db.engine import Database, retry_on_deadlock
from trove_upgrade.db.models import upgrade_services as _services

#: How taskmanagers register.
TASKMANAGER = 'trove-upgrade-taskmanager'
#: Several signs of life have been missed ([trove_upgrade] service_report_interval, 10 s unless set).
SILENT_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Service:
    """One binary on one host."""

    host: str
    binary: str
    version: str
    started_at: datetime.datetime
    seen_at: datetime.datetime
    silent_seconds: float    #: since it was last seen, by the database's clock

    @property
    def is_silent(self) -> bool:
        """Not seen for so long that it is probably gone."""
        return self.silent_seconds >= SILENT_SECONDS


class Services:
    """Registered at start, seen at each beat, removed by a clean stop; one that was killed stays, silent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @retry_on_deadlock
    def register(self, host: str, binary: str, version: str) -> str:
        """Says that this process has started.  Returns its registration, for `beat` and `remove`."""
        registration = str(uuid.uuid4())
        values = {'registration': registration, 'version': version, 'started_at': columns.now(), 'seen_at': columns.now()}
        update = sa.update(_services).where(_services.c.host == host, _services.c.binary == binary).values(**values)
        with self._database.write() as connection:
            if not connection.execute(update).rowcount:
                try:
                    with connection.begin_nested():
                        connection.execute(sa.insert(_services).values(host=host, binary=binary, **values))
                except db_exc.DBDuplicateEntry:    # a sibling process started at the same moment
                    connection.execute(update)
        return registration

    @retry_on_deadlock
    def beat(self, host: str, binary: str, version: str) -> None:
        """Says that this process runs; a row that was removed meanwhile comes again."""
        with self._database.write() as connection:
            seen = connection.execute(
                sa.update(_services).where(_services.c.host == host, _services.c.binary == binary,
                                           _services.c.version == version).values(seen_at=columns.now())).rowcount
        if not seen:
            self.register(host, binary, version)

    @retry_on_deadlock
    def remove(self, registration: str) -> None:
        """A clean stop.  A successor's row stays: it has another registration."""
        with self._database.write() as connection:
            connection.execute(sa.delete(_services).where(_services.c.registration == registration))

    def list(self) -> Sequence[Service]:
        """All, by host and binary."""
        query = sa.select(_services, columns.now().label('now')).order_by(_services.c.host, _services.c.binary)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [Service(host=row.host, binary=row.binary, version=row.version, started_at=row.started_at, seen_at=row.seen_at,
                        silent_seconds=(row.now - row.seen_at).total_seconds()) for row in rows]
