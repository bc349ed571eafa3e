# SPDX-License-Identifier: Apache-2.0
"""Waits for locks that are short, and repeated.

DDL that waits behind a long transaction makes every later query of the table wait behind the DDL.
So it gives up within a second or two, the service goes on, and the same revision is tried again a
little later: revisions are idempotent, a second run carries on. Source: MariaDB "Metadata Locking",
PostgreSQL "Client Connection Defaults: lock_timeout".
"""

import contextlib
import dataclasses
import math
import random
import sqlite3
from collections.abc import Callable, Iterator
from typing import TypeVar

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.clock import SystemClock
from trove_upgrade.db import driver_errors, errors
from trove_upgrade.db.migrations import clock as clocks
from trove_upgrade.domain import exceptions

Result = TypeVar('Result')

#: Seconds that a statement of a revision may wait for a lock.
LOCK_SECONDS = 2.0

#: 1205: waited too long for a row or a table; 1213: chosen to end a deadlock, or refused by another
#: node of a Galera cluster.
_MYSQL_ERRORS = frozenset({1205, 1213})
#: lock_not_available (lock_timeout), deadlock_detected
_POSTGRESQL_STATES = frozenset({'55P03', '40P01'})
_SQLITE_ERRORS = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

_MYSQL_SETTINGS = ('lock_wait_timeout', 'innodb_lock_wait_timeout')


@contextlib.contextmanager
def short_lock_waits(connection: sa.Connection, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Statements of the block give up after waiting that long for a lock (MariaDB and MySQL: whole
    seconds, at least 1).

    `connection` has no transaction open, before and after: PostgreSQL takes a setting back with the
    transaction that made it.  The block commits for itself; what it leaves open is rolled back.  A
    connection that cannot get its settings back is thrown away.

    :raises ValueError: a transaction is open.
    """
    if connection.in_transaction():
        raise ValueError('lock waits are set between transactions, and one is open')
    before = _read(connection)
    try:
        _write(connection, _values(connection, seconds))
        yield
    finally:
        if not connection.closed:
            _restore(connection, before)


def _restore(connection: sa.Connection, before: dict[str, int | str]) -> None:
    try:
        connection.rollback()
        _write(connection, before)
    except (sa.exc.SQLAlchemyError, db_exc.DBError):
        # mostly cut off: a fresh one has the server's settings anyway
        connection.invalidate()


def _values(connection: sa.Connection, seconds: float) -> dict[str, int | str]:
    if connection.dialect.name in {'mysql', 'mariadb'}:
        return dict.fromkeys(_MYSQL_SETTINGS, max(1, math.ceil(seconds)))
    if connection.dialect.name == 'postgresql':
        return {'lock_timeout': f'{max(1, round(seconds * 1000))}ms'}
    return {'busy_timeout': round(seconds * 1000)}


def _read(connection: sa.Connection) -> dict[str, int | str]:
    """Return what the session has now."""
    if connection.dialect.name in {'mysql', 'mariadb'}:
        row = connection.exec_driver_sql(
            'SELECT @@SESSION.lock_wait_timeout, @@SESSION.innodb_lock_wait_timeout'
        ).one()
        found: dict[str, int | str] = dict(zip(_MYSQL_SETTINGS, row, strict=True))
    elif connection.dialect.name == 'postgresql':
        found = {
            'lock_timeout': connection.exec_driver_sql(
                "SELECT current_setting('lock_timeout')"
            ).scalar_one()
        }
    else:
        found = {'busy_timeout': connection.exec_driver_sql('PRAGMA busy_timeout').scalar_one()}
    connection.rollback()
    return found


def _write(connection: sa.Connection, values: dict[str, int | str]) -> None:
    for name, value in values.items():
        if connection.dialect.name in {'mysql', 'mariadb'}:
            connection.exec_driver_sql(f'SET SESSION {name} = {value}')
        elif connection.dialect.name == 'postgresql':
            connection.execute(sa.select(sa.func.set_config(name, value, sa.false())))
        else:
            connection.exec_driver_sql(f'PRAGMA {name} = {value}').close()
    connection.commit()


def is_lock_timeout(error: BaseException) -> bool:
    """Return whether the server took a statement back because others held its locks, so that the
    same may succeed a little later.

    A deadlock's victim counts: nothing of it was done either.  Looks through what oslo.db,
    SQLAlchemy and our own errors wrap.
    """
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if _is_drivers_lock_timeout(one):
            return True
        left += [
            one.__cause__,
            *(
                inner
                for inner in (getattr(one, 'inner_exception', None), getattr(one, 'orig', None))
                if isinstance(inner, BaseException)
            ),
        ]
    return False


def _is_drivers_lock_timeout(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        # extended codes carry the plain one in their lowest byte
        code = getattr(error, 'sqlite_errorcode', None)
        return code is not None and code & 0xFF in _SQLITE_ERRORS
    if driver_errors.sql_state(error) in _POSTGRESQL_STATES:
        return True
    from_mysql = type(error).__module__.partition('.')[0] in {'pymysql', 'MySQLdb'}
    return from_mysql and driver_errors.number(error) in _MYSQL_ERRORS


@dataclasses.dataclass(frozen=True)
class Backoff:
    """Patience between two tries, and in all."""

    first_seconds: float = 0.5  #: before the second try; doubled for each one after it
    longest_seconds: float = 30.0  #: of one pause
    budget_seconds: float = 600.0  #: from the first try on; no try begins later

    def pauses(self, uniform: Callable[[float, float], float]) -> Iterator[float]:
        """Seconds, without an end; between half of each and the whole, so that several runs do not
        meet again.
        """
        seconds = self.first_seconds
        while True:
            yield uniform(seconds / 2, seconds)
            seconds = min(seconds * 2, self.longest_seconds)


class Retry:
    """Runs again what a lock time-out has ended."""

    def __init__(
        self,
        backoff: Backoff | None = None,
        *,
        clock: clocks.Clock | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """`uniform(low, high)` is the source of jitter."""
        self._backoff = backoff or Backoff()
        self._clock = clock or SystemClock()
        self._uniform = uniform

    def run(
        self,
        what: str,
        attempt: Callable[[], Result],
        *,
        rollback: Callable[[], None],
        report: Callable[[str], None],
    ) -> Result:
        """`attempt()` until it is not ended by a lock time-out; `rollback()` comes before each
        pause, so that we hold nothing in it.

        `what` names it in messages ('Revision aurora_expand02').  `report` gets one line for each
        pause.

        :raises SchemaLocked: the budget is used up.
        """
        began_at = self._clock.monotonic()
        for tries, planned in enumerate(self._backoff.pauses(self._uniform), start=1):
            try:
                return attempt()
            except (sa.exc.SQLAlchemyError, db_exc.DBError, exceptions.TroveUpgradeError) as error:
                if not is_lock_timeout(error):
                    raise
                rollback()
                left = self._backoff.budget_seconds - (self._clock.monotonic() - began_at)
                if left <= 0:
                    seconds = self._clock.monotonic() - began_at
                    raise errors.SchemaLocked(what=what, seconds=seconds, tries=tries) from error
            pause = min(planned, left)
            report(
                f'{what} did not get its locks in try {tries}: again in {pause:.1f} s, for '
                f'{left:.0f} s at most.'
            )
            self._clock.sleep(pause)
        raise AssertionError('pauses never end')  # pragma: no cover
