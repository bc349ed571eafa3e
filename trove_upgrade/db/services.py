# SPDX-License-Identifier: Apache-2.0
"""`upgrade_services`: which processes of ours run, of which release; what may be contracted depends
on it.

One row per process: its column `host` holds `<host>/<pid>.<birth>-<first 8 digits of the
registration>`, its column `version` `<release>/<version of the package>`.  The birth
(`process_table`) is left out where it cannot be read.  Services of the first release, aurora, share
one row per host and binary, which holds the plain host and the plain version.  So neither touches
the other's: each looks for its own key.

The row of a process that has ended for certain, as the machine that it ran on can see, counts as
none: `listed` leaves it out.  It is deleted by the next process that registers there, and by
`forget_ended`.
"""

import dataclasses
import datetime
import os
import re
import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import columns, errors
from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import upgrade_services as _services
from trove_upgrade.db.process_table import TABLE, Birth
from trove_upgrade.db.release import FIRST_RELEASE, RELEASE
from trove_upgrade.db.repetition import retry_on_deadlock

#: How the processes register.
TASKMANAGER = 'trove-upgrade-taskmanager'
API = 'trove-upgrade-api'
FILTER = 'trove-upgrade-filter'  #: the API in Trove's own pipeline
#: Several signs of life have been missed ([trove_upgrade] service_report_interval, 10 s unless
#: set).
SILENT_SECONDS = 60.0

_PLACE = re.compile(
    r'(?P<host>.+)/(?P<pid>\d+)(?:\.(?P<birth>\d+\.[0-9a-f]{8}))?-[0-9a-f]{8}', re.DOTALL
)
_MARK_DIGITS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Service:
    """One process; of release aurora: one binary on one host."""

    id: str  #: of its registration
    place: str  #: the row's key among those of its binary
    host: str
    pid: int | None  #: None: aurora did not write it
    binary: str
    release: str
    version: str  #: of the package
    started_at: datetime.datetime
    seen_at: datetime.datetime
    silent_seconds: float  #: since it was last seen, by the database's clock
    birth: Birth | None = None  #: None: not written, or it could not be read

    @property
    def has_ended(self) -> bool:
        """Return True if its process has ended for certain, which only the machine that it ran on
        can see.
        """
        return TABLE.has_ended(self.pid, self.birth)

    @property
    def is_silent(self) -> bool:
        """Tell whether it was not seen for so long that it may be gone; or an API without requests:
        silence is not death.
        """
        return self.silent_seconds >= SILENT_SECONDS

    @property
    def state(self) -> str:
        """Return 'silent' or 'alive', for an operator's list."""
        return 'silent' if self.is_silent else 'alive'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Registration:
    """Record of a process about itself.  Its id is its own choice, so that every write of it may
    be repeated.
    """

    id: str
    host: str
    pid: int
    binary: str
    release: str
    version: str
    birth: Birth | None = None

    @classmethod
    def new(
        cls, binary: str, host: str, version: str, *, release: str = RELEASE, pid: int | None = None
    ) -> 'Registration':
        """Make a registration of this process unless `pid` names another: the birth of another is
        not looked up.
        """
        birth = TABLE.birth_of(os.getpid()) if pid is None else None
        return cls(
            id=str(uuid.uuid4()),
            host=host,
            pid=os.getpid() if pid is None else pid,
            binary=binary,
            release=release,
            version=version,
            birth=birth,
        )

    @property
    def place(self) -> str:
        """The row's key among those of its binary.  A host's name that is too long is cut."""
        birth = f'.{self.birth}' if self.birth else ''
        mark = f'/{self.pid}{birth}-{self.id[:_MARK_DIGITS]}'
        length = getattr(_services.c.host.type, 'length', None) or 255
        return self.host[: length - len(mark)] + mark


class Services:
    """Services in the database: registered at start, seen at each beat, removed by a clean stop, an
    operator, or once its process has ended for certain.

    Never for being silent.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(
        self,
        host: str,
        binary: str,
        version: str,
        *,
        release: str = RELEASE,
        pid: int | None = None,
    ) -> Registration:
        """Says that this process has started.  Returns its registration, for `beat` and
        `remove`.
        """
        registration = Registration.new(binary, host, version, release=release, pid=pid)
        self.beat(registration)
        return registration

    def beat(self, registration: Registration) -> None:
        """Record that the process runs.  A row that is not there is made: the first time, and where
        an operator forgot a process that lives.

        With the first one go the rows of its predecessors on this machine that ended without a
        clean stop.
        """
        if self._is_made_by_beat(registration):
            self.forget_ended()

    @retry_on_deadlock
    def _is_made_by_beat(self, registration: Registration) -> bool:
        seen = sa.update(_services).where(*_row_of(registration)).values(seen_at=columns.now())
        with self._database.write() as connection:
            if connection.execute(seen).rowcount:
                return False
            try:
                with connection.begin_nested():
                    connection.execute(
                        sa.insert(_services).values(
                            host=registration.place,
                            binary=registration.binary,
                            registration=registration.id,
                            version=columns.fitting(
                                _services.c.version,
                                f'{registration.release}/{registration.version}',
                            ),
                            started_at=columns.now(),
                            seen_at=columns.now(),
                        )
                    )
            except db_exc.DBDuplicateEntry:  # processes that a fork has made share one registration
                connection.execute(seen)
        return True

    @retry_on_deadlock
    def remove(self, registration: Registration) -> None:
        """A clean stop.  May be repeated."""
        with self._database.write() as connection:
            connection.execute(sa.delete(_services).where(*_row_of(registration)))

    @retry_on_deadlock
    def forget(self, service_id: str, *, force: bool = False) -> Service:
        """An operator is certain that it is gone.  Returns what was removed.

        :raises ServiceNotFound: none has this id.
        :raises ServiceAlive: it was seen a moment ago, its process has not ended for certain, and
            `force` was not given.
        """
        found = next((one for one in self._all() if one.id == service_id), None)
        if found is None:
            raise errors.ServiceNotFound(service_id=service_id)
        force = force or found.has_ended
        query = sa.delete(_services).where(_services.c.registration == service_id)
        if not force:
            query = query.where(_services.c.seen_at <= columns.ahead(-SILENT_SECONDS))
        with self._database.write() as connection:
            if not connection.execute(query).rowcount and not force:
                raise errors.ServiceAlive(
                    service_id=service_id,
                    binary=found.binary,
                    host=found.host,
                    silent=round(found.silent_seconds),
                )
        return found

    @retry_on_deadlock
    def forget_ended(self) -> Sequence[Service]:
        """Remove the rows of processes that have ended for certain, as seen from this machine;
        returns them.  May be repeated.
        """
        ended = [one for one in self._all() if one.has_ended]
        if ended:
            with self._database.write() as connection:
                for one in ended:
                    connection.execute(
                        sa.delete(_services).where(
                            _services.c.host == one.place,
                            _services.c.binary == one.binary,
                            _services.c.registration == one.id,
                        )
                    )
        return ended

    def list(self) -> Sequence[Service]:
        """All that may run, by host and binary."""
        with self._database.read() as connection:
            return listed(connection)

    def _all(self) -> Sequence[Service]:
        with self._database.read() as connection:
            return _rows(connection)


def is_place(owner: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Select the owners of rows that are named as `Registration.place`; earlier releases wrote
    their host's name and an id.
    """
    return owner.contains('/')


def has_ended(owner: str, host: str) -> bool:
    """Return True if the process of this owner has ended for certain: it ran on this host, in this
    boot and this pid namespace, and runs no more.

    :param owner: of a row that a process of ours holds; one that tells no process has never ended.
    :param host: the name of our own host, as processes of ours register here.
    """
    place = _PLACE.fullmatch(owner)
    if place is None or place['host'] != host:
        return False
    return TABLE.has_ended(int(place['pid']), Birth.parse(place['birth']))


def listed(connection: sa.Connection) -> list[Service]:
    """All that may run, by host and binary: what has ended for certain is left out."""
    return [one for one in _rows(connection) if not one.has_ended]


def _rows(connection: sa.Connection) -> list[Service]:
    query = sa.select(_services, columns.now().label('now')).order_by(
        _services.c.host, _services.c.binary
    )
    return [_service_of(row) for row in connection.execute(query)]


def _row_of(registration: Registration) -> tuple[sa.ColumnElement[bool], ...]:
    """Select a registration by its primary key, so that no other row is looked at or waited for."""
    return (
        _services.c.host == registration.place,
        _services.c.binary == registration.binary,
        _services.c.registration == registration.id,
    )


def _service_of(row: Any) -> Service:
    place = _PLACE.fullmatch(row.host)
    release, slash, version = row.version.partition('/')
    if not slash:
        release, version = FIRST_RELEASE, row.version
    return Service(
        id=row.registration,
        place=row.host,
        host=place['host'] if place else row.host,
        pid=int(place['pid']) if place else None,
        binary=row.binary,
        release=release,
        version=version,
        started_at=row.started_at,
        seen_at=row.seen_at,
        silent_seconds=(row.now - row.seen_at).total_seconds(),
        birth=Birth.parse(place['birth']) if place else None,
    )
