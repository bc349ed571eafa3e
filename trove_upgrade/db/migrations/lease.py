# SPDX-License-Identifier: Apache-2.0
"""One run at a time changes the schema: its holder stands in a row, with a time until which it
counts.

A row and a conditional UPDATE, not a lock of the server's: Galera has no GET_LOCK, a connection
pooler in between would lose it, and a row can be read by an operator.  All times are the
database's.  Each taking raises `generation`, by which a run notices that it was overtaken.  The
row's table is the one thing that is made without the lease; every other one is made under it.
"""

import contextlib
import dataclasses
import datetime
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.clock import SystemClock
from trove_upgrade.db import columns, errors
from trove_upgrade.db.migrations import clock as clocks
from trove_upgrade.db.migrations import lock_waits
from trove_upgrade.domain import logs

LOG = logs.get_logger(__name__)

#: What a database, or the way to it, may answer; oslo.db's errors are no SQLAlchemy errors.
DATABASE_ERRORS = (sa.exc.SQLAlchemyError, db_exc.DBError)

_METADATA = sa.MetaData()
_MYSQL: dict[str, Any] = {
    'mysql_engine': 'InnoDB',
    'mysql_charset': 'utf8mb4',
    'mariadb_engine': 'InnoDB',
    'mariadb_charset': 'utf8mb4',
}
_NAME = 'schema'

TABLE = sa.Table(
    'upgrade_schema_lease',
    _METADATA,
    sa.Column('name', sa.String(32), primary_key=True),
    sa.Column('holder', sa.String(255), nullable=True),  # NULL: no run
    sa.Column('generation', sa.BigInteger(), nullable=False),
    sa.Column('lease_until', columns.UtcDateTime(), nullable=True),
    sa.Column('taken_at', columns.UtcDateTime(), nullable=True),
    **_MYSQL,
)

_ROW = TABLE.c.name == _NAME
_IS_FREE = sa.or_(TABLE.c.holder.is_(None), TABLE.c.lease_until <= columns.now())

#: Of the transaction that makes the table, by itself; any number that others do not use.
_POSTGRESQL_LOCK = 7_205_759_403
#: Seconds within which the table and the row are there, or the lease is seen to be another's: all
#: of it is others' short transactions.
_SETTLE_SECONDS = 30.0
#: Seconds between two looks at a lease that is held, half to one and a half times.
_POLL_SECONDS = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeaseRow:
    """The row as it was when read."""

    holder: str | None
    generation: int
    lease_until: datetime.datetime | None
    taken_at: datetime.datetime | None
    is_free: bool  #: no run holds it, or not any more

    def refusal(self) -> errors.LeaseHeld:
        """Make the error that says that the lease is another's."""
        return errors.LeaseHeld(
            holder=self.holder, taken_at=_shown(self.taken_at), until=_shown(self.lease_until)
        )


def _shown(time: datetime.datetime | None) -> str:
    return 'an unknown time' if time is None else time.isoformat(sep=' ', timespec='seconds')


def read(connection: sa.Connection) -> LeaseRow | None:
    """Return what the row says; None where there is none yet.  The table is there."""
    row = connection.execute(
        sa.select(
            TABLE.c.holder,
            TABLE.c.generation,
            TABLE.c.lease_until,
            TABLE.c.taken_at,
            _IS_FREE.label('is_free'),
        ).where(_ROW)
    ).one_or_none()
    return (
        None
        if row is None
        else LeaseRow(
            holder=row.holder,
            generation=row.generation,
            lease_until=row.lease_until,
            taken_at=row.taken_at,
            is_free=bool(row.is_free),
        )
    )


class Held:
    """The lease, while it is ours."""

    def __init__(
        self,
        connection: sa.Connection,
        holder: str,
        generation: int,
        seconds: float,
        clock: clocks.Clock,
    ) -> None:
        """`connection` is the lease's own; it is used by one thread at a time.  It was taken just
        now.
        """
        self.holder = holder
        self.generation = generation
        self._connection = connection
        self._seconds = seconds
        self._clock = clock
        self._turn = threading.Lock()
        self._alone = _is_ours_alone(connection)
        self._renewed_at = clock.monotonic()
        self._overtaken = False

    def check(self) -> None:
        """Check, before each revision and each batch, that it is still ours; between the caller's
        transactions.

        A run that slept longer than the lease, and that no other has overtaken meanwhile, simply
        has it again.  A database in memory is not asked: no other process sees it, and its only
        connection is the caller's.

        :raises MigrationLeaseLost: another run has taken it, or it has run out and the database
            cannot be asked.
        """
        if self._alone:
            return
        began_at = self._clock.monotonic()
        try:
            mine = (
                self._is_mine() if began_at - self._renewed_at < self._seconds / 3 else self.renew()
            )
        except DATABASE_ERRORS as error:
            if began_at - self._renewed_at < self._seconds:
                return
            found = (
                f'its lease could not be renewed for {self._seconds:g} s, and the database '
                'does not say whose it is'
            )
            raise errors.MigrationLeaseLost(holder=self.holder, found=found) from error
        if not mine:
            raise errors.MigrationLeaseLost(
                holder=self.holder, found='another run has taken the lease'
            )

    def renew(self) -> bool:
        """Have it for its whole length again; False where it was overtaken."""
        values = {'lease_until': columns.ahead(self._seconds)}
        # before the statement: the database counts from later on
        began_at = self._clock.monotonic()
        with self._turn:
            if self._overtaken:
                return False
            self._overtaken = not _write(
                self._connection,
                sa.update(TABLE).where(_ROW, TABLE.c.generation == self.generation).values(values),
            )
            if not self._overtaken:
                self._renewed_at = began_at
            return not self._overtaken

    def _is_mine(self) -> bool:
        with self._turn, _read_only(self._connection):
            row = read(self._connection)
            self._overtaken = self._overtaken or row is None or row.generation != self.generation
            return not self._overtaken

    def release(self) -> None:
        """Give it back, unless it is another's by now.  What fails here heals by itself: the lease
        runs out.
        """
        values = {'holder': None, 'lease_until': None}
        try:
            with self._turn:
                _write(
                    self._connection,
                    sa.update(TABLE)
                    .where(_ROW, TABLE.c.generation == self.generation)
                    .values(values),
                )
        except DATABASE_ERRORS as error:
            LOG.warning(
                'The lease of the database schema (%s) could not be given back: it is free in %g '
                's. %s',
                self.holder,
                self._seconds,
                type(error).__name__,
            )

    @contextlib.contextmanager
    def renewed(self) -> Iterator[None]:
        """A thread renews it every third of its length, so that one failure costs nothing."""
        if self._alone:
            yield
            return
        ended = threading.Event()
        thread = threading.Thread(
            target=self._keep, args=(ended,), name='schema-lease', daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _keep(self, ended: threading.Event) -> None:
        while not ended.wait(self._seconds / 3):
            try:
                if not self.renew():
                    LOG.warning(
                        "The lease of the database schema (%s) is another run's now: this one ends",
                        self.holder,
                    )
                    return
            except DATABASE_ERRORS as error:  # `check` says how long that can go on
                LOG.warning(
                    'The lease of the database schema (%s) could not be renewed, and is tried '
                    'again: %s',
                    self.holder,
                    type(error).__name__,
                )


class Lease:
    """Lease on the schema, taken for the length of a run."""

    def __init__(
        self,
        engine: sa.Engine,
        holder: str,
        *,
        seconds: float = 30,
        clock: clocks.Clock | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """`holder` names the process to an operator ('host/pid'); `uniform(low, high)` is the
        source of jitter.

        `seconds`: how long the lease of a run that was killed keeps others away.
        """
        self._engine = engine
        self._holder = holder[:255]
        self._seconds = seconds
        self._clock = clock or SystemClock()
        self._uniform = uniform

    @contextlib.contextmanager
    def held(
        self,
        *,
        wait_seconds: float = 0,
        waiting: Callable[[str, float], None] = lambda _holder, _seconds_left: None,
    ) -> Iterator[Held]:
        """Hold it for the length of the block, on a connection of its own.

        `waiting(holder, seconds_left)` is called at each look at a lease that is another's, with
        how long it is still waited for. With a database in memory no transaction of the caller's
        may be open when the block begins or ends.

        :raises LeaseHeld: another run holds it, and held it for `wait_seconds`.
        """
        with (
            self._engine.connect() as connection,
            lock_waits.short_lock_waits(connection, max(1.0, self._seconds / 6)),
        ):
            self._make_row(connection)
            held = self._take(connection, wait_seconds, waiting)
            try:
                with held.renewed():
                    yield held
            finally:
                held.release()

    def _make_row(self, connection: sa.Connection) -> None:
        """The table and the row, by the run that comes first."""

        def make_table() -> None:
            if not sa.inspect(connection).has_table(TABLE.name):
                # without the lock the race ends in errors that oslo.db writes into the log
                if connection.dialect.name == 'postgresql':
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_POSTGRESQL_LOCK)))
                connection.execute(sa.schema.CreateTable(TABLE, if_not_exists=True))

        def make_row() -> None:
            if read(connection) is None:
                connection.execute(sa.insert(TABLE).values(name=_NAME, generation=0))

        self._settled(connection, make_table)
        self._settled(connection, make_row)

    def _settled(self, connection: sa.Connection, make: Callable[[], None]) -> None:
        """`make`, which looks first, until it is done by us or by another.

        The second run may meet many errors: on PostgreSQL, where IF NOT EXISTS looks before it
        waits, a duplicate key or a duplicate type; on MariaDB a deadlock of two INSERTs; on SQLite
        "locked".  So every error has one more look behind it, and counts where that meets one, too.
        """
        deadline = self._clock.monotonic() + _SETTLE_SECONDS
        failed = False
        while True:
            try:
                with connection.begin():
                    make()
            except DATABASE_ERRORS as error:
                if self._clock.monotonic() > deadline or (
                    failed and not lock_waits.is_lock_timeout(error)
                ):
                    raise
                failed = failed or not lock_waits.is_lock_timeout(error)
                self._clock.sleep(self._uniform(0.01, 0.1))
            else:
                return

    def _take(
        self, connection: sa.Connection, wait_seconds: float, waiting: Callable[[str, float], None]
    ) -> Held:
        began_at = self._clock.monotonic()
        while True:
            taken_at = self._clock.monotonic()
            try:
                with _read_only(connection):
                    row = read(connection)
                if row is None:
                    self._make_row(connection)
                    continue
                if row.is_free:
                    if self._overtake(connection, row.generation):
                        return Held(
                            connection, self._holder, row.generation + 1, self._seconds, self._clock
                        )
                    continue  # another was faster, and the next look names it
            except DATABASE_ERRORS as error:
                if not lock_waits.is_lock_timeout(error) or taken_at - began_at > max(
                    wait_seconds, _SETTLE_SECONDS
                ):
                    raise
                self._clock.sleep(self._uniform(0.01, 0.1))
                continue
            left = wait_seconds - (taken_at - began_at)
            if left <= 0:
                raise row.refusal()
            waiting(row.holder or '', left)
            self._clock.sleep(min(left, self._uniform(_POLL_SECONDS / 2, _POLL_SECONDS * 1.5)))

    def _overtake(self, connection: sa.Connection, generation: int) -> bool:
        values = {
            'holder': self._holder,
            'generation': generation + 1,
            'taken_at': columns.now(),
            'lease_until': columns.ahead(self._seconds),
        }
        return _write(
            connection,
            sa.update(TABLE).where(_ROW, TABLE.c.generation == generation, _IS_FREE).values(values),
        )


def _write(connection: sa.Connection, statement: sa.Update) -> bool:
    """One transaction; whether it met a row."""
    with connection.begin():
        return bool(connection.execute(statement).rowcount)


@contextlib.contextmanager
def _read_only(connection: sa.Connection) -> Iterator[None]:
    """Read without leaving a transaction open: on PostgreSQL it would keep VACUUM and CREATE INDEX
    CONCURRENTLY waiting.
    """
    with connection.begin():
        yield


def _is_ours_alone(connection: sa.Connection) -> bool:
    """A database in memory: of this process alone, and with one connection."""
    return connection.dialect.name == 'sqlite' and isinstance(
        connection.engine.pool, sa.pool.StaticPool | sa.pool.SingletonThreadPool
    )
