# SPDX-License-Identifier: Apache-2.0
"""Record of a revision's work, without doing it: its typed operations, and the SQL that it sends to
each server.

Neither is enough alone.  Raw SQL is one opaque operation, and a batch's operations do not pass the
place where Alembic hands out the others; the SQL, in turn, does not say what a type means
elsewhere.  So both are kept, side by side where they can be.

Nothing here is safe beside another thread that runs migrations: Alembic's `op` is one for the whole
process.
"""

import contextlib
import dataclasses
import io
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import alembic.script
import alembic.util
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.operations.ops import MigrateOperation
from alembic.runtime.migration import MigrationContext

from trove_upgrade.db import errors
from trove_upgrade.db.migrations import ops
from trove_upgrade.db.migrations.chain import Chain, release_of
from trove_upgrade.db.migrations.schema_model import SchemaModel

DIALECTS = ('mysql', 'mariadb', 'postgresql', 'sqlite')


@dataclasses.dataclass(frozen=True)
class Statement:
    """One statement, without its semicolon."""

    sql: str
    operation: MigrateOperation | None  #: what it was rendered from, where that is known


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recorded:
    """One revision, on one kind of server."""

    revision: str
    branch: str
    dialect: str
    operations: tuple[MigrateOperation, ...]  #: in the order in which the revision asks for them
    paired: tuple[Statement, ...]  #: in the order in which the server gets them
    #: those that a function of `ops` asked for, which looks first where it can
    ensured: tuple[MigrateOperation, ...]
    #: that it makes, by name: a CreateTableOp's to_table() forgets foreign keys the second time
    tables: Mapping[str, sa.Table]

    @property
    def statements(self) -> tuple[str, ...]:
        """The SQL alone; Alembic's own row in the version table is no part of it."""
        return tuple(statement.sql for statement in self.paired)


def record(chain: Chain, revision: str, dialect: str) -> Recorded:
    """Render one revision for a kind of server; nothing is executed and no database is needed.

    :raises RevisionNotRendered: there is no such revision, or it cannot be printed, as where it
        reads the database.
    """
    return record_script(chain, _script(chain, revision, dialect), dialect)


def record_script(chain: Chain, script: alembic.script.Script, dialect: str) -> Recorded:
    """Record a revision that has been read from its file: for a caller that records many.

    :raises RevisionNotRendered: it cannot be printed, as where it reads the database.
    """
    revision = script.revision
    recorder = _Recorder(chain, revision, dialect)
    found: Exception | None = None
    with Operations.context(recorder.context) as operations:
        recorder.attach(operations)
        try:
            script.module.upgrade()
        except Exception as error:  # noqa: BLE001 - whatever a revision can do wrong; Alembic's `op` must be let go first
            found = error
    if found is not None:
        raise errors.RevisionNotRendered(
            revision=revision,
            dialect=dialect,
            found=f'{type(found).__name__}: {_first_line(found)}',
        ) from found
    branch = next((name for name in chain.branches if name in script.branch_labels), '')
    return Recorded(
        revision=revision,
        branch=branch,
        dialect=dialect,
        operations=tuple(recorder.operations),
        paired=tuple(recorder.statements),
        ensured=tuple(recorder.ensured),
        tables=recorder.tables,
    )


def history(chain: Chain, revision: str) -> list[str]:
    """Every revision that has been run when `revision` begins, oldest first.

    A release's contract is run before the next release's expand: that is the order of an upgraded
    database.  (A fresh one has all expands first, which ends at the same schema.)
    """
    releases = chain.releases()
    order = sorted(
        _every(chain),
        key=lambda one: (
            releases.index(release_of(one)) if release_of(one) in releases else len(releases)
        ),
    )
    return order[: order.index(revision)] if revision in order else order


def schema_at(chain: Chain, revisions: Sequence[str]) -> sa.MetaData:
    """The model that those revisions, applied in this order, leave; one that asks for the kind of
    server is told MySQL.

    Raw SQL changes nothing in it: what it does is known to the server alone.

    :raises RevisionNotRendered: one of them cannot be rendered.
    """
    model = SchemaModel()
    for revision in revisions:
        recorded = record(chain, revision, 'mysql')
        for operation in recorded.operations:
            model.apply(operation, recorded.tables)
    return model.metadata


def _every(chain: Chain) -> list[str]:
    """Expand before contract; the caller's sort by release is stable."""
    return [script.revision for branch in chain.branches for script in chain.revisions(branch)]


def _script(chain: Chain, revision: str, dialect: str) -> alembic.script.Script:
    try:
        return chain.script().get_revision(revision)
    except alembic.util.CommandError as error:
        raise errors.RevisionNotRendered(
            revision=revision, dialect=dialect, found=_first_line(error)
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), '')


class _Recorder(io.StringIO):
    """Stands where Alembic prints its SQL (one write per statement), and where operations are asked
    for.
    """

    def __init__(self, chain: Chain, revision: str, dialect: str) -> None:
        super().__init__()
        self._chain, self._revision = chain, revision
        self._current: MigrateOperation | None = None
        self.operations: list[MigrateOperation] = []
        self.statements: list[Statement] = []
        self.ensured: list[MigrateOperation] = []
        self.tables: dict[str, sa.Table] = {}
        self.context = MigrationContext.configure(
            dialect_name=dialect,
            # the others double every %
            dialect_opts=cast('dict[str, str]', {'paramstyle': 'named'}),
            opts={
                'as_sql': True,
                'output_buffer': self,
                'literal_binds': True,
                'transactional_ddl': False,
            },
        )

    def write(self, text: str) -> int:
        """One statement, as Alembic writes it."""
        if sql := text.rstrip('; \n').lstrip():
            self.statements.append(Statement(sql, self._current))
        return len(text)

    def attach(self, operations: Operations) -> None:
        """See every operation that `operations` is asked for, and those of the batches that it
        opens.
        """
        invoke, batch_alter_table = operations.invoke, operations.batch_alter_table

        def recording_invoke(operation: MigrateOperation) -> Any:
            self._asked(operation)
            with self._at(operation):
                result = invoke(operation)
            if isinstance(result, sa.Table):
                self.tables[result.name] = result
            return result

        @contextlib.contextmanager
        def recording_batch(table_name: str, *arguments: Any, **options: Any) -> Iterator[Any]:
            if self.context.dialect.name == 'sqlite' and options.get('copy_from') is None:
                options['copy_from'] = self._table_before(table_name)
                operations._install_proxy()  # noqa: SLF001 - recording other revisions has taken `op` away from this one
            with self._at(None), batch_alter_table(table_name, *arguments, **options) as batch:
                self._attach_batch(batch)
                yield batch

        vars(operations).update(invoke=recording_invoke, batch_alter_table=recording_batch)

    def _attach_batch(self, batch: Any) -> None:
        """A batch keeps its operations until it is closed: each then becomes the current one
        again.
        """
        invoke, kept = batch.invoke, _Kept(self)
        batch.impl.batch = kept

        def recording_invoke(operation: MigrateOperation) -> Any:
            self._asked(operation)
            kept.operation = operation
            return invoke(operation)

        vars(batch).update(invoke=recording_invoke)

    def _asked(self, operation: MigrateOperation) -> None:
        self.operations.append(operation)
        if any(
            frame.f_globals.get('__name__') == ops.__name__
            for frame, _line in traceback.walk_stack(None)
        ):
            self.ensured.append(operation)

    @contextlib.contextmanager
    def _at(self, operation: MigrateOperation | None) -> Iterator[None]:
        before, self._current = self._current, operation
        try:
            yield
        finally:
            self._current = before

    def take(self, operation: MigrateOperation | None) -> None:
        """All that is written from now on belongs to this operation."""
        self._current = operation

    def _table_before(self, name: str) -> sa.Table | None:
        """SQLite's batches copy the table into a new form, and have no table to look at."""
        model = SchemaModel(schema_at(self._chain, history(self._chain, self._revision)))
        for operation in self.operations:
            model.apply(operation, self.tables)
        return model.metadata.tables.get(name)


class _Kept(list[Any]):
    """The list of a batch's work: knows which operation put each piece there."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self._recorder = recorder
        self._operations: list[MigrateOperation | None] = []
        self.operation: MigrateOperation | None = None

    def append(self, piece: Any) -> None:
        """A piece of work of the operation that is being asked for."""
        super().append(piece)
        self._operations.append(self.operation)

    def __iter__(self) -> Iterator[Any]:
        for piece, operation in zip(super().__iter__(), self._operations, strict=True):
            self._recorder.take(operation)
            yield piece
