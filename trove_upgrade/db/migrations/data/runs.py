# SPDX-License-Identifier: Apache-2.0
"""Runs data migrations, batch by batch, so that a run can be killed at any moment and several may
work at once.

A batch is one transaction: it takes the migration's row where the cursor is still the one that was
read, changes the rows, and saves cursor and counts.  So a batch and its bookkeeping happen together
or not at all, and a run that comes second for the same batch matches no row, reads again and takes
the next one.
"""

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from trove_upgrade.clock import SystemClock
from trove_upgrade.db import columns, errors
from trove_upgrade.db.migrations import clock as clocks
from trove_upgrade.db.migrations import lock_waits
from trove_upgrade.db.migrations.data import states
from trove_upgrade.db.migrations.data.migration import Batch, DataMigration
from trove_upgrade.db.migrations.data.states import Row, State
from trove_upgrade.db.repetition import repeat_on_new_columns

Result = TypeVar('Result')

#: Rows per transaction unless told: some 100 ms of work, which is how long a service may wait for
#: one of them.
BATCH_SIZE = 1000

#: Between two tries at a batch whose locks others held: they hold them for one transaction of a
#: service, or one batch.
_BACKOFF = lock_waits.Backoff(first_seconds=0.05, longest_seconds=5.0, budget_seconds=300.0)

#: Whole passes of one run.  Each finds what was written behind the cursor meanwhile; a fifth would
#: hardly find less.
_PASSES = 4

#: How long a batch waits for one locked row, while services may wait for the rows that it has
#: changed already.
_LOCK_SECONDS = 1.0

#: The rate looks back that far, so that a night that was slow does not spoil the morning's
#: estimate.
_RATE_SECONDS = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """State of a migration after a batch; the counts are of all runs together, as they are
    persisted.
    """

    name: str
    found: int  #: rows looked at that needed work
    done: int  #: of those, changed
    cursor: str  #: where the next batch begins
    rows_left: int  #: counted when the run began, and at its end; estimated in between
    rate: float | None  #: rows changed per second, over this and former runs
    eta_seconds: float | None  #: until no row is left; None where the rate is not known
    finished: bool  #: no row was left
    found_now: int  #: by this run alone
    done_now: int  #: by this run alone


@dataclasses.dataclass(frozen=True)
class Pace:
    """Speed that an operator lets it have."""

    batch_size: int = BATCH_SIZE
    max_count: int | None = None  #: rows that this run looks at; None: to the end
    sleep_seconds: float = 0.0  #: between two batches


@dataclasses.dataclass(frozen=True)
class Hooks:
    """Listeners of a run, and the hook that may stop it."""

    #: after each batch, and at the end
    progress: Callable[[Progress], None] = lambda _progress: None
    before_batch: Callable[[], None] = lambda: None  #: whatever it raises ends the run
    waiting: Callable[[str], None] = lambda _line: None  #: a line for each wait for others' locks


class DataRuns:
    """Data migrations of one database.  READ COMMITTED, as our engines are."""

    def __init__(
        self,
        engine: sa.Engine,
        clock: clocks.Clock | None = None,
        *,
        backoff: lock_waits.Backoff = _BACKOFF,
    ) -> None:
        self._engine = engine
        self._clock = clock or SystemClock()
        self._retry = lock_waits.Retry(backoff, clock=self._clock)

    def run(
        self,
        migration: DataMigration,
        *,
        batch_size: int = BATCH_SIZE,
        max_count: int | None = None,
        sleep: float = 0.0,
        progress: Callable[[Progress], None] = lambda _progress: None,
        before_batch: Callable[[], None] = lambda: None,
        waiting: Callable[[str], None] = lambda _line: None,
    ) -> Progress:
        """Run a migration to its end, or to `max_count` rows. Its expand has been run and its
        contract has not: see `states.may_run`.

        Not `finished` where rows are left: `max_count` was reached, or services of the release
        before go on writing such rows.

        :raises SchemaLocked: other transactions held the rows of a batch for minutes; what was done
            before stays.
        :raises DataMigrationStuck: a fault of the migration.
        """
        with (
            self._engine.connect() as connection,
            lock_waits.short_lock_waits(connection, _LOCK_SECONDS),
        ):
            run = _Run(
                connection,
                migration,
                Pace(batch_size, max_count, sleep),
                Hooks(progress, before_batch, waiting),
                self._clock,
                self._retry,
            )
            return run.to_end()

    def run_all(
        self,
        migrations: Sequence[DataMigration],
        done_revisions: Collection[str],
        *,
        max_count: int | None = None,
        **how: Any,
    ) -> list[Progress]:
        """Each that is needed, in order; `how` as `run` takes it, `max_count` for all of them
        together.

        :raises SchemaOutOfOrder: the expand of one of them has not been run (exit code 3); none was
            begun.
        """
        needed = [
            migration for migration in migrations if states.may_run(migration, done_revisions)
        ]
        ended: list[Progress] = []
        for migration in needed:
            left = None if max_count is None else max_count - sum(one.found_now for one in ended)
            if left == 0 and self._is_pending(migration):
                ended.append(self._untouched(migration))
            else:
                ended.append(self.run(migration, max_count=left or None, **how))
        return ended

    @repeat_on_new_columns  # another run may contract meanwhile
    def states(
        self, migrations: Sequence[DataMigration], done_revisions: Collection[str]
    ) -> list[State]:
        """Return the state of each; rows are counted, and nothing is written."""
        with self._engine.connect() as connection:
            has_table = sa.inspect(connection).has_table(states.table.name)
            return [
                states.state_of(connection, migration, done_revisions, has_table=has_table)
                for migration in migrations
            ]

    def _is_pending(self, migration: DataMigration) -> bool:
        with self._engine.connect() as connection:
            return migration.is_pending(connection)

    def _untouched(self, migration: DataMigration) -> Progress:
        """One that waits, as those before it have used up the run's rows."""
        with self._engine.connect() as connection:
            row = states.read(connection, migration.name)
            left = migration.pending(connection)
        found, done, cursor = (row.found, row.done, row.cursor) if row else (0, 0, '')
        return Progress(
            name=migration.name,
            found=found,
            done=done,
            cursor=cursor,
            rows_left=left,
            rate=row.rate if row else None,
            eta_seconds=None,
            finished=False,
            found_now=0,
            done_now=0,
        )


class _Run:
    """One run of one migration."""

    def __init__(
        self,
        connection: sa.Connection,
        migration: DataMigration,
        pace: Pace,
        hooks: Hooks,
        clock: clocks.Clock,
        retry: lock_waits.Retry,
    ) -> None:
        self._connection = connection
        self._migration = migration
        self._pace = pace
        self._hooks = hooks
        self._clock = clock
        self._retry = retry
        self._found_now = self._done_now = 0
        self._left = self._done_when_counted = 0  # rows left, and `done` at that moment
        self._looked_at, self._done_seen = 0.0, 0  # of this runner's last batch
        # `found` at the start of this pass; None in one that was carried on
        self._pass_began: int | None = None
        self._passes: list[int] = []  # rows that each whole pass found
        self._for_now = False  # services write faster than passes help

    def to_end(self) -> Progress:
        """Run batches until none is left or the limit is met. Raises as `DataRuns.run`."""
        row, left = self._patiently(self._begin)
        self._left, self._done_when_counted = left, row.done
        self._looked_at, self._done_seen = self._clock.monotonic(), row.done
        self._pass_began = row.found if not row.cursor else None
        while row.completed_at is None and not self._for_now and self._room():
            row, batch = self._patiently(self._batch)
            if batch is not None:
                self._count(row, batch)
            if batch is not None and batch.found and self._room():
                self._hooks.progress(self._progress(row))
                self._clock.sleep(self._pace.sleep_seconds)
        if row.completed_at is None:
            row, self._left = self._patiently(self._leave)
            self._done_when_counted = row.done
        ended = self._progress(row)
        self._hooks.progress(ended)
        return ended

    def _room(self) -> int:
        """Rows that the next batch may look at."""
        if self._pace.max_count is None:
            return self._pace.batch_size
        return max(0, min(self._pace.batch_size, self._pace.max_count - self._found_now))

    def _patiently(self, work: Callable[[], Result]) -> Result:
        """Do work again, after a pause, where other runs held its locks: nothing was done then."""

        def attempt() -> Result:
            self._hooks.before_batch()
            return work()

        return self._retry.run(
            f'A batch of data migration {self._migration.name}',
            attempt,
            rollback=self._connection.rollback,
            report=self._hooks.waiting,
        )

    def _begin(self) -> tuple[Row, int]:
        """The row, from the start again where it was finished and is not any more; and how many
        rows are left.
        """
        states.ensure_row(self._connection, self._migration.name)
        with self._connection.begin():
            left = self._migration.pending(self._connection)
            if left:
                was_finished = states.table.c.completed_at.is_not(None)
                self._connection.execute(
                    self._update(
                        was_finished, completed_at=None, cursor='', updated_at=columns.now()
                    )
                )
            return self._row(), left

    def _batch(self) -> tuple[Row, Batch | None]:
        """One transaction.  Without a batch where another run took it, or has finished
        everything.
        """
        connection = self._connection
        with connection.begin():
            seen = self._row()
        with connection.begin():
            if seen.completed_at is not None or not self._claim(seen):
                return seen, None
            row = self._row()  # the counts may be newer than the cursor
            batch = self._migration.run_batch(connection, row.cursor, self._room())
            self._refuse_to_stand_still(row, batch)
            if not batch.found and batch.cursor == row.cursor:
                self._end_pass(row)
            else:
                connection.execute(
                    self._update(
                        cursor=batch.cursor,
                        found=row.found + batch.found,
                        done=row.done + batch.done,
                        rate=self._rate(row, batch),
                        updated_at=columns.now(),
                    )
                )
            return self._row(), batch

    def _claim(self, seen: Row) -> bool:
        """Take the migration's row until the transaction ends, unless its cursor has moved."""
        claim = self._update(states.table.c.cursor == seen.cursor, updated_at=columns.now())
        return bool(self._connection.execute(claim).rowcount)

    def _end_pass(self, row: Row) -> None:
        """End a pass: no row is left behind the cursor; before it, services of the release before
        may have written some.
        """
        if not self._migration.is_pending(self._connection):
            self._connection.execute(
                self._update(completed_at=columns.now(), updated_at=columns.now())
            )
            return
        self._connection.execute(self._update(cursor='', updated_at=columns.now()))
        if self._pass_began is not None:
            self._passes.append(row.found - self._pass_began)
        self._pass_began = row.found
        more_than_before = len(self._passes) > 1 and self._passes[-1] >= self._passes[-2]
        self._for_now = more_than_before or len(self._passes) >= _PASSES

    def _leave(self) -> tuple[Row, int]:
        """The run ends before the rows do, or just with them."""
        with self._connection.begin():
            row = self._row()
            if not self._migration.is_pending(self._connection):
                self._connection.execute(
                    self._update(completed_at=columns.now(), updated_at=columns.now())
                )
                return self._row(), 0
            if self._for_now:
                return row, self._migration.pending(self._connection)
            return row, max(1, self._estimate(row))  # the next of many short runs will count

    def _refuse_to_stand_still(self, row: Row, batch: Batch) -> None:
        """Raise DataMigrationStuck where the next batch would be the same again."""
        if batch.found and not batch.done and batch.cursor == row.cursor:
            raise errors.DataMigrationStuck(
                name=self._migration.name, found=batch.found, cursor=row.cursor
            )

    def _count(self, row: Row, batch: Batch) -> None:
        self._found_now += batch.found
        self._done_now += batch.done
        self._looked_at, self._done_seen = self._clock.monotonic(), row.done

    def _rate(self, row: Row, batch: Batch) -> float | None:
        """Rows per second of all runners together: what was done since this one looked last,
        weighed with what was known.
        """
        seconds = self._clock.monotonic() - self._looked_at
        rows = row.done + batch.done - self._done_seen
        former = min(row.done / row.rate, _RATE_SECONDS) if row.rate else 0.0
        if seconds + former <= 0:
            return row.rate
        return ((row.rate or 0.0) * former + rows) / (former + seconds)

    def _estimate(self, row: Row) -> int:
        """Rows left, without counting them."""
        return max(0, self._left - (row.done - self._done_when_counted))

    def _progress(self, row: Row) -> Progress:
        finished = row.completed_at is not None
        left = 0 if finished else self._estimate(row)
        eta = 0.0 if finished else left / row.rate if row.rate else None
        return Progress(
            name=row.name,
            found=row.found,
            done=row.done,
            cursor=row.cursor,
            rows_left=left,
            rate=row.rate,
            eta_seconds=eta,
            finished=finished,
            found_now=self._found_now,
            done_now=self._done_now,
        )

    def _row(self) -> Row:
        row = states.read(self._connection, self._migration.name)
        if row is None:  # another program has emptied the table
            raise errors.SchemaError(
                what='migrated',
                found=f'the row {self._migration.name} has gone from {states.table.name}',
                advice='Run the same command again: it begins at the start, and does what is left.',
            )
        return row

    def _update(self, *where: sa.ColumnElement[bool], **values: Any) -> sa.Update:
        return (
            sa.update(states.table)
            .where(states.table.c.name == self._migration.name, *where)
            .values(**values)
        )
