# SPDX-License-Identifier: Apache-2.0
"""Brings a database on, one revision at a time, and only one run at a time.

Each revision is idempotent, so whatever ends a run (a lock that did not come in time, a lost lease,
a power cut), the next run carries on where it ended.
"""

import contextlib
import dataclasses
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import alembic.command
import alembic.util
import sqlalchemy as sa

from trove_upgrade.db import errors, schema_runs, trove_tables
from trove_upgrade.db.migrations import adoption, gate, lease, lock_waits, position
from trove_upgrade.db.migrations.chain import MAIN, STANDALONE, Chain, release_of
from trove_upgrade.db.migrations.data import runs as data_runs
from trove_upgrade.db.migrations.data import states
from trove_upgrade.db.migrations.data.migration import DataMigration
from trove_upgrade.db.migrations.position import Phase, Position
from trove_upgrade.db.repetition import repeat_on_new_columns
from trove_upgrade.domain import exceptions


def this_process() -> str:
    """Return this process's name as the lease's holder, as others are told it."""
    return f'{socket.gethostname()}/{os.getpid()}'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Patience of a run: its lease, its waits for locks, in seconds, and its batches."""

    holder: str = dataclasses.field(default_factory=this_process)
    lease_seconds: float = 30
    wait_seconds: float = 60  #: for another run to end
    #: that a statement waits for a lock of the table, while all others queue behind it
    lock_seconds: float = 1
    batch_size: int = data_runs.BATCH_SIZE
    sleep_seconds: float = 0  #: between two batches of rows


class Runner:
    """Migrations of one database.  `say` is told each thing that is done, in one line."""

    def __init__(
        self,
        engine: sa.Engine,
        chain: Chain = MAIN,
        *,
        options: Options | None = None,
        say: Callable[[str], None] = lambda _: None,
        progress: Callable[[data_runs.Progress], None] = lambda _: None,
    ) -> None:
        self._engine = engine
        self._chain = chain
        self._options = options or Options()
        self._say = say
        self._progress = progress
        self._recorded = schema_runs.SchemaRuns(engine)

    @repeat_on_new_columns  # `db check` may come while another run contracts
    def position(self, *, data: bool = True) -> Position:
        """Read where the database is; without `data` no rows are looked at.

        :raises SchemaFromTheFuture: a later release has upgraded the database.
        """
        with self._engine.connect() as connection:
            return position.read(connection, self._chain, data=data)

    def version(self) -> str:
        """Return what has been run, e.g. 'borealis_expand01, aurora_contract01'; 'none' for an
        empty database.
        """
        return self.position(data=False).version

    def sync(self, version: str | None = None, *, standalone: bool = False) -> Position:
        """Expand, migrate, contract, to the newest release or to that version.  May be repeated.

        A revision brings on its branch, with what must come before: for one of contract that is its
        release's expands and data migrations. `standalone` also makes Trove's tables, where no
        Trove does.

        :raises RevisionUnknown, RevisionsContradict: the version is none.
        :raises OlderServices: what can be done beside them has been done.
        :raises LeaseHeld, SchemaError, SchemaFromTheFuture, SchemaNotRecognized: what was done
            before stays done.
        """
        goals = self._chain.goals(version)
        with self._run('sync') as held:
            if standalone:
                self._standalone(held)
            self._adopt()
            self._upgrade(self._chain, 'expand', self._expands(goals), held)
            if 'contract' in goals:
                self._migrate(goals['contract'], held)
                self._contract(goals['contract'], held, forced=False)
        return self.position()

    def expand(self, target: str | None = None) -> Position:
        """Add what the new release needs; services of the release before go on.  `target`: a
        release, a revision or +N.
        """
        with self._run('expand') as held:
            self._adopt()
            self._upgrade(self._chain, 'expand', self._pending('expand', target), held)
        return self.position()

    def migrate(self) -> Position:
        """Run every data migration to its end.

        :raises SchemaOutOfOrder: expand comes first.
        """
        with self._run('migrate') as held:
            self._refuse_before_expand('migrate', self.position(data=False).pending['expand'])
            self._migrate(None, held)
        return self.position()

    def contract(self, target: str | None = None, *, reason: str | None = None) -> Position:
        """Take away what only older releases needed.  With a `reason` the services are not asked;
        it is recorded.

        :raises SchemaOutOfOrder: expand or migrate comes first.
        :raises OlderServices: one that needs what would be taken away runs, or that is not known.
        """
        with self._run('contract', reason) as held:
            self._contract(target, held, forced=reason is not None)
        return self.position()

    def stamp(self, revisions: Sequence[str]) -> Position:
        """Record revisions as run without running them: 'heads', or one of each branch that is
        meant.

        :raises RevisionUnknown: no such revision.
        """
        named = self._chain.heads_of(revisions)
        with self._run('stamp'):
            rows = [row for row in {**self.position(data=False).current, **named}.values() if row]
            # all rows anew: Alembic's stamp of two branches loses the one that is there already
            with self._engine.begin() as connection:
                alembic.command.stamp(self._chain.config(connection=connection), rows, purge=True)
        return self.position()

    def standalone(self) -> Position | None:
        """Return how far Trove's tables are, where we made them; None where a Trove does."""
        with self._engine.connect() as connection:
            found = position.read(connection, STANDALONE, data=False)
        return found if found.version != 'none' else None

    def upgrade_standalone(self) -> None:
        """Make Trove's tables alone, where no Trove makes them."""
        with self._run('sync') as held:
            self._standalone(held)

    def _standalone(self, held: lease.Held) -> None:
        refuse_troves_database(self._engine)
        with self._engine.connect() as connection:
            pending = position.read(connection, STANDALONE, data=False).pending['standalone']
        self._upgrade(STANDALONE, 'standalone', pending, held)

    def _adopt(self) -> None:
        with self._engine.begin() as connection:
            adopted = adoption.adopt(connection, self._chain)
        if adopted:
            self._say(f'The schema was recognized and recorded as {adopted}')

    @contextlib.contextmanager
    def _run(self, command: str, reason: str | None = None) -> Iterator[lease.Held]:
        held_by = lease.Lease(
            self._engine, self._options.holder, seconds=self._options.lease_seconds
        )
        with held_by.held(wait_seconds=self._options.wait_seconds, waiting=self._waiting) as held:
            before = self.version()
            run_id = self._recorded.begin(command, self._options.holder, before, reason)
            try:
                yield held
            except exceptions.TroveUpgradeError:
                # any other error leaves the run as a killed one does: without an end
                self._record_end(run_id, command, before, reason, 'REFUSED')
                raise
            self._record_end(run_id, command, before, reason, 'DONE')

    def _record_end(
        self, run_id: str | None, command: str, before: str, reason: str | None, outcome: str
    ) -> None:
        # this run has made the table
        run_id = run_id or self._recorded.begin(command, self._options.holder, before, reason)
        if run_id is not None:
            self._recorded.end(run_id, to_version=self.version(), outcome=outcome)

    def _waiting(self, holder: str, seconds: float) -> None:
        self._say(f'{holder} is changing the schema; waiting for it, {seconds:.0f} s at most')

    def _pending(self, branch: str, target: str | None) -> tuple[str, ...]:
        return self._chain.upto(branch, self.position(data=False).pending[branch], target)

    def _expands(self, goals: Mapping[str, str | None]) -> tuple[str, ...]:
        """Return the expands that are asked for, and those that a contract that is asked for
        needs.
        """
        ends = [goals['expand']] if 'expand' in goals else []
        if 'contract' in goals:
            newest = goals['contract']
            ends.append(newest and release_of(newest))
        return max((self._pending('expand', end) for end in ends), key=len)

    def _upgrade(
        self,
        chain: Chain,
        branch: str,
        revisions: Sequence[str],
        held: lease.Held,
        allow: Callable[[str], None] = lambda _revision: None,
    ) -> None:
        """`allow` raises what forbids a revision; it is asked before every try, as a lock may have
        been waited for in between.
        """
        if not revisions:
            self._say(f'{branch}: nothing to run')
        for revision in revisions:
            started = time.monotonic()

            def attempt(revision: str = revision) -> None:
                allow(revision)
                self._revision(chain, revision, held)

            lock_waits.Retry().run(
                f'Revision {revision}', attempt, rollback=_nothing_to_undo, report=self._say
            )
            self._say(f'{branch}: {revision} has been run in {time.monotonic() - started:.1f} s')

    def _revision(self, chain: Chain, revision: str, held: lease.Held) -> None:
        """Repeats itself safely: what a former try has done is looked for."""
        held.check()
        with (
            self._engine.connect() as connection,
            lock_waits.short_lock_waits(connection, self._options.lock_seconds),
        ):
            self._alembic(alembic.command.upgrade, connection, revision, chain)
            connection.commit()

    def _alembic(
        self,
        command: Callable[..., None],
        connection: sa.Connection,
        revision: str,
        chain: Chain | None = None,
    ) -> None:
        try:
            command((chain or self._chain).config(connection=connection), revision)
        except alembic.util.CommandError as error:
            raise errors.RevisionUnknown(name=revision, found=str(error)) from error

    def _migrate(self, target: str | None, held: lease.Held) -> None:
        """Run the data migrations that must come before the contracts up to `target`, all for
        None.
        """
        contracts = [one.revision for one in self._chain.revisions('contract')]
        before = self._chain.upto('contract', contracts, target)
        due = [one for one in self._chain.data if target is None or one.before in before]
        with self._engine.connect() as connection:
            done = position.done_revisions(connection, self._chain)
        data_runs.DataRuns(self._engine).run_all(
            due,
            done,
            batch_size=self._options.batch_size,
            sleep=self._options.sleep_seconds,
            progress=self._progress,
            before_batch=held.check,
            waiting=self._say,
        )

    def _contract(self, target: str | None, held: lease.Held, *, forced: bool) -> None:
        revisions = self._pending('contract', target)
        if revisions:
            # all of them, before the first is run
            self._refuse_contract(revisions[-1], revisions, forced=forced)
        self._upgrade(
            self._chain,
            'contract',
            revisions,
            held,
            lambda revision: self._refuse_contract(revision, (revision,), forced=forced),
        )

    def _refuse_contract(self, newest: str, revisions: Sequence[str], *, forced: bool) -> None:
        """Rows are looked at first, as that may take seconds, and the services last: a service that
        registers meanwhile is seen.
        """
        release = release_of(newest)
        now = self.position()
        self._refuse_before_expand(
            'contract', self._chain.upto('expand', now.pending['expand'], release)
        )
        waiting = [
            one for one in self._chain.data if one.name in now.data and one.before in revisions
        ]
        # rows that came back are older services': they are named first
        if not forced and all(self._has_been_run(one) for one in waiting):
            gate.check(self._engine, release, self._chain.releases())
        if waiting:
            names = ', '.join(one.name for one in waiting)
            raise errors.SchemaOutOfOrder(
                asked='contract',
                found=f'data migration {names} has rows left',
                next=Phase.MIGRATE,
                exit_code=Phase.MIGRATE.exit_code,
            )

    def _has_been_run(self, migration: DataMigration) -> bool:
        """Tell whether a migration went over all rows: to its end, or until older services wrote
        faster.
        """
        with self._engine.connect() as connection:
            row = states.read(connection, migration.name)
        return row is not None and (
            row.completed_at is not None or (not row.cursor and row.done > 0)
        )

    @staticmethod
    def _refuse_before_expand(asked: str, pending: Sequence[str]) -> None:
        if pending:
            raise errors.SchemaOutOfOrder(
                asked=asked,
                found=f'{", ".join(pending)} has not been run',
                next=Phase.EXPAND,
                exit_code=Phase.EXPAND.exit_code,
            )


def _nothing_to_undo() -> None:
    """A revision's connection has been given back with what was open in it."""


def refuse_troves_database(engine: sa.Engine) -> None:
    """The standalone tables have Trove's names: beside a real Trove they are Trove's own.

    :raises SchemaError: this is Trove's database.
    """
    if trove_tables.is_troves(set(sa.inspect(engine).get_table_names())):
        raise errors.SchemaError(
            what='made for running alone',
            found='the tables of a real Trove are in this database',
            advice='Leave --standalone away: beside Trove only our own tables are made.',
        )
