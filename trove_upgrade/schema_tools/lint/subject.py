# SPDX-License-Identifier: Apache-2.0
"""One revision as the rules see it: what it does on every server, and what stands in the database
when it begins.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import alembic.script
import sqlalchemy as sa
from alembic.operations import ops
from sqlalchemy.engine import url as sa_url

from trove_upgrade.db import errors
from trove_upgrade.db.migrations import recording
from trove_upgrade.db.migrations.chain import STANDALONE, Chain, release_of
from trove_upgrade.db.migrations.schema_model import SchemaModel
from trove_upgrade.schema_tools.lint import operations, scratch
from trove_upgrade.schema_tools.sql.changes import Change, Kind
from trove_upgrade.schema_tools.sql.reader import read


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """A change, and where it was seen."""

    change: Change
    dialect: str
    sql: str  #: '' where an operation sends nothing to this server
    ensured: bool  #: asked for by a function that looks first


class Readings:
    """Revisions of a chain and their work, read once."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        #: All of the chain, oldest first.
        self.revisions = recording.history(chain, '')
        self._recorded: dict[tuple[str, str], recording.Recorded | errors.RevisionNotRendered] = {}
        self._faults: dict[str, tuple[scratch.Fault, ...]] = {}
        self._seen: dict[str, tuple[Seen, ...]] = {}
        self._scripts = {
            script.revision: script
            for branch in chain.branches
            for script in chain.revisions(branch)
        }

    def before(self, revision: str) -> list[str]:
        """Return what has been run when it begins, oldest first."""
        return self.revisions[: self.revisions.index(revision)]

    def script(self, revision: str) -> alembic.script.Script:
        """Return the revision's file, as alembic has loaded it."""
        return self._scripts[revision]

    def recorded(
        self, revision: str, dialect: str
    ) -> recording.Recorded | errors.RevisionNotRendered:
        """Return what a revision does on a dialect, or the error that says why it cannot be
        recorded.
        """
        key = (revision, dialect)
        if key not in self._recorded:
            try:
                self._recorded[key] = recording.record_script(
                    self.chain, self.script(revision), dialect
                )
            except errors.RevisionNotRendered as error:
                self._recorded[key] = error
        return self._recorded[key]

    def faults(self, revision: str) -> tuple[scratch.Fault, ...]:
        """Failures when it is really run, twice, or killed."""
        if revision not in self._faults:
            before = [self.script(one) for one in self.before(revision)]
            self._faults[revision] = tuple(scratch.faults(before, self.script(revision)))
        return self._faults[revision]

    def seen(self, revision: str) -> tuple[Seen, ...]:
        """Every change on every kind of server; most are seen several times."""
        if revision not in self._seen:
            self._seen[revision] = tuple(
                seen for dialect in recording.DIALECTS for seen in self._seen_on(revision, dialect)
            )
        return self._seen[revision]

    def _seen_on(self, revision: str, dialect_name: str) -> Iterator[Seen]:
        recorded = self.recorded(revision, dialect_name)
        if isinstance(recorded, errors.RevisionNotRendered):
            return
        dialect = dialect_of(dialect_name)
        ensured = {id(operation) for operation in recorded.ensured}
        told: set[int] = set()
        for statement in recorded.paired:
            operation = statement.operation
            is_raw = operation is None or isinstance(operation, ops.ExecuteSQLOp)
            looked = id(operation) in ensured
            if operation is not None and not is_raw and id(operation) not in told:
                told.add(id(operation))
                yield from (
                    Seen(change=change, dialect=dialect_name, sql=statement.sql, ensured=looked)
                    for change in operations.changes_of(operation, dialect)
                )
            # on SQLite a batch copies the table; its operation has said what for
            if is_raw or dialect_name != 'sqlite':
                yield from (
                    Seen(change=change, dialect=dialect_name, sql=statement.sql, ensured=looked)
                    for change in read(statement.sql, dialect_name).changes
                    if is_raw or change.kind is not Kind.UNKNOWN
                )
        for operation in recorded.operations:  # those that send nothing to this server
            if id(operation) not in told and not isinstance(operation, ops.ExecuteSQLOp):
                yield from (
                    Seen(
                        change=change,
                        dialect=dialect_name,
                        sql='',
                        ensured=id(operation) in ensured,
                    )
                    for change in operations.changes_of(operation, dialect)
                )


@functools.cache
def dialect_of(name: str) -> sa.Dialect:
    """Make a dialect without a driver, and without a server."""
    dialect: sa.Dialect = sa_url.make_url(f'{name}://').get_dialect()()
    return dialect


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """A revision that is judged."""

    readings: Readings
    revision: str
    branch: str
    seen: tuple[Seen, ...]
    before: sa.MetaData  #: the tables that its predecessors leave
    ours: frozenset[str]  #: tables that this chain has made, up to and with this revision
    others: frozenset[str]  #: names that belong to tables of other programs
    #: made by this release's run of this branch: no older service knows them
    new_tables: frozenset[str]
    #: likewise; those that an older service's rows leave NULL
    new_columns: frozenset[tuple[str, str]]

    @property
    def old_services_run(self) -> bool:
        """Contract alone waits for them to be gone."""
        return self.branch != 'contract'

    @property
    def script(self) -> alembic.script.Script:
        """Return this revision's file, as alembic has loaded it."""
        return self.readings.script(self.revision)

    def over_rows(self, *kinds: Kind) -> Iterator[Seen]:
        """Changes of these kinds to tables that have rows, and writers."""
        return (
            seen
            for seen in self.seen
            if seen.change.kind in kinds and self.table_of(seen.change) not in self.new_tables
        )

    def column_before(self, change: Change) -> sa.Column[Any] | None:
        """Return the column as it was before; None where raw SQL made it, or nothing did."""
        table = self.before.tables.get(change.table)
        return None if table is None else table.columns.get(change.name)

    def table_of(self, change: Change) -> str:
        """Return the table of a change, also of an index that is dropped without naming it; ''
        where no table of ours has one.
        """
        if change.table or change.kind not in {Kind.DROP_INDEX, Kind.RENAME_OTHER}:
            return change.table
        made = [
            seen.change
            for seen in self.seen
            if seen.change.kind is Kind.CREATE_INDEX and seen.change.name == change.name
        ]
        known = [
            table.name
            for table in self.before.tables.values()
            if change.name in {index.name for index in table.indexes}
        ]
        return next((one.table for one in made), next(iter(known), ''))

    def are_new_columns(self, change: Change) -> bool:
        """Return whether one of the constraint's columns is NULL in every row that older services
        have written or write.
        """
        indexed = [
            seen.change.columns
            for seen in self.seen
            if seen.change.kind is Kind.CREATE_INDEX and seen.change.name == change.name
        ]
        columns = change.columns or next(iter(indexed), ())  # UNIQUE USING INDEX names none
        return any((change.table, column) in self.new_columns for column in columns)


def subject_of(readings: Readings, revision: str) -> Subject:
    """Gather what the rules ask about a revision."""
    chain = readings.chain
    branch = next(
        (name for name in chain.branches if name in readings.script(revision).branch_labels), ''
    )
    seen = readings.seen(revision)
    earlier = readings.before(revision)
    run = [
        one
        for one in earlier
        if release_of(one) == release_of(revision) and branch in readings.script(one).branch_labels
    ]
    fresh = [*(one for other in run for one in readings.seen(other)), *seen]
    model = SchemaModel()
    for other in earlier:
        recorded = readings.recorded(other, 'mysql')
        if isinstance(recorded, recording.Recorded):
            for operation in recorded.operations:
                model.apply(operation, recorded.tables)
    made = _made([*(one for other in earlier for one in readings.seen(other)), *seen])
    return Subject(
        readings=readings,
        revision=revision,
        branch=branch,
        seen=seen,
        before=model.metadata,
        ours=made,
        others=_others(chain),
        new_tables=_made(fresh),
        new_columns=_new_columns(fresh),
    )


def _made(seen: Sequence[Seen]) -> frozenset[str]:
    created = {one.change.table for one in seen if one.change.kind is Kind.CREATE_TABLE}
    return frozenset(
        created
        | {
            one.change.new_name
            for one in seen
            if one.change.kind is Kind.RENAME_TABLE and one.change.table in created
        }
    )


def _new_columns(seen: Sequence[Seen]) -> frozenset[tuple[str, str]]:
    return frozenset(
        (one.change.table, one.change.name)
        for one in seen
        if one.change.kind is Kind.ADD_COLUMN and not one.change.not_null and not one.change.default
    )


def _others(chain: Chain) -> frozenset[str]:
    """Trove's tables stand in the same database; only where there is no Trove do we make them."""
    if chain.name == STANDALONE.name:
        return frozenset({'alembic_version'})
    return frozenset({'alembic_version', chain.version_table, *_standalone_tables()})


@functools.cache
def _standalone_tables() -> frozenset[str]:
    return frozenset(recording.schema_at(STANDALONE, recording.history(STANDALONE, '')).tables)
