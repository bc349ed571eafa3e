# SPDX-License-Identifier: Apache-2.0
"""Plan of an upgrade of the schema of this database.

Nothing of the real tables is changed or locked for longer than a SELECT does it; see the package
`probe` for how the server is asked.
"""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import sqlalchemy as sa

from trove_upgrade.db import models
from trove_upgrade.db.migrations import position, recording
from trove_upgrade.db.migrations.chain import MAIN, Chain
from trove_upgrade.db.migrations.data import states
from trove_upgrade.db.migrations.data.migration import DataMigration
from trove_upgrade.db.migrations.position import Phase, Position
from trove_upgrade.db.repetition import repeat_on_new_columns
from trove_upgrade.schema_tools import probe
from trove_upgrade.schema_tools.probe import known, risk, sizes
from trove_upgrade.schema_tools.sql.reader import read

#: Of the JSON; raised when a field changes its meaning or goes, not when one is added.
FORMAT = 1

#: Rows per second of a data migration that has never run here: what a small server does, with
#: services at work.
ASSUMED_RATE = 2000.0


@runtime_checkable
class OfOneTable(Protocol):
    """A data migration that walks over one table: before its expand has been run, that table's size
    is the most it can be.
    """

    @property
    def table(self) -> str:
        """Name of the table that the statement is about."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planned:
    """One statement of a revision, and what the probe said about it."""

    sql: str
    table: str  #: '' where the statement names none
    size: sizes.Size | None  #: of the table, None where it is not there or may not be seen
    answer: probe.Answer
    risk: risk.Risk | None  #: None for another engine's SQL, about which no server was asked


@dataclasses.dataclass(frozen=True, kw_only=True)
class RevisionStep:
    """One revision of expand or contract."""

    phase: Phase
    revision: str
    title: str
    statements: tuple[Planned, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataStep:
    """Step of a plan: one data migration, with the rows that it would move."""

    migration: str
    rows: int | None  #: None where the plan cannot tell yet
    rows_source: str  #: 'counted', 'estimated' (the whole table, before its expand) or 'unknown'
    rate: float  #: rows per second
    rate_source: str  #: 'persisted' (of former runs on this database) or 'assumed'
    phase: Phase = Phase.MIGRATE

    @property
    def seconds(self) -> float | None:
        """Return how long it takes, None where the rows are not known."""
        return None if self.rows is None else self.rows / self.rate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Plan of an upgrade: all steps that would run, in order."""

    server: str  #: 'mariadb', 'mysql', 'postgresql' or 'sqlite'
    server_version: str
    dialect: str  #: whose SQL is shown
    version: str  #: the composite, as `db version` prints it
    next: Phase | None
    steps: tuple[RevisionStep | DataStep, ...]
    notes: tuple[str, ...]

    @property
    def risk(self) -> risk.Level:
        """The highest of all statements."""
        found = [
            one.risk.level
            for step in self.steps
            if isinstance(step, RevisionStep)
            for one in step.statements
            if one.risk
        ]
        return max(found, key=lambda level: level.rank, default=risk.Level.NONE)


def make(engine: sa.Engine, chain: Chain = MAIN, dialect: str | None = None) -> Plan:
    """Look, and ask; `dialect` for the SQL of another kind of server, about which no server is
    asked.

    :raises SchemaFromTheFuture: the database holds a revision that this release does not know.
    :raises RevisionNotRendered: a pending revision cannot be printed.
    """
    kind = probe.server_kind(engine)
    now, table_sizes, data, version = _read_database(engine, chain)
    notes = _notes(now, table_sizes)
    if dialect in {None, kind}:
        # mysql+pymysql may lead to a MariaDB, and its revisions see 'mysql'
        shown, rendered = kind, engine.dialect.name
        with probe.probing(engine, kind) as asked:
            schema = _Schema(chain=chain, dialect=rendered, probe=asked, sizes=table_sizes)
            expands, contracts = schema.steps(now, Phase.EXPAND), schema.steps(now, Phase.CONTRACT)
        notes += asked.notes
    else:
        shown = str(dialect)
        schema = _Schema(
            chain=chain,
            dialect=shown,
            probe=known.Unasked(shown, f'the database is {kind}'),
            sizes=table_sizes,
            assesses=False,
        )
        expands, contracts = schema.steps(now, Phase.EXPAND), schema.steps(now, Phase.CONTRACT)
    return Plan(
        server=kind,
        server_version=version,
        dialect=shown,
        version=now.version,
        next=now.next,
        steps=(*expands, *data, *contracts),
        notes=tuple(notes),
    )


# a contract that runs meanwhile takes columns away between two of these looks
@repeat_on_new_columns
def _read_database(
    engine: sa.Engine, chain: Chain
) -> tuple[Position, dict[str, sizes.Size], list[DataStep], str]:
    """Read the position, the sizes of tables, the data migrations and the server's version."""
    with engine.connect() as connection:
        now = position.read(connection, chain)
        table_sizes = sizes.table_sizes(connection)
        data = _data_steps(connection, chain, now, table_sizes)
        return (
            now,
            table_sizes,
            data,
            '.'.join(
                str(part)
                for part in connection.dialect.server_version_info or ()
                if isinstance(part, int)
            ),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Schema:
    """Plans revisions, in the order in which they would run: later statements are about what
    earlier ones leave.
    """

    chain: Chain
    dialect: str
    probe: probe.Probe
    sizes: dict[str, sizes.Size]
    assesses: bool = True

    def steps(self, now: Position, phase: Phase) -> list[RevisionStep]:
        """Return the pending revisions of one branch as steps."""
        titles = {one.revision: str(one.doc or '') for one in self.chain.revisions(phase.value)}
        return [
            RevisionStep(
                phase=phase,
                revision=revision,
                title=titles[revision],
                statements=self._statements(revision),
            )
            for revision in now.pending.get(phase.value, ())
        ]

    def _statements(self, revision: str) -> tuple[Planned, ...]:
        return tuple(
            self._planned(sql)
            for sql in recording.record(self.chain, revision, self.dialect).statements
        )

    def _planned(self, sql: str) -> Planned:
        statement = read(sql, self.dialect)
        answer = self.probe.ask(sql)
        size = self.sizes.get(statement.table)
        unknown = answer.source is probe.Source.NOT_ASKED and not self.assesses
        return Planned(
            sql=sql,
            table=statement.table,
            size=size,
            answer=answer,
            risk=None if unknown else risk.assess(statement, answer, size),
        )


def _notes(now: Position, found: dict[str, sizes.Size]) -> list[str]:
    if now.version == 'none' and models.instance_upgrades.name in found:
        return [
            (
                'The database has our tables and no version: "db sync" would first find out which '
                'one it is, and leave away what is there.'
            )
        ]
    return []


def _data_steps(
    connection: sa.Connection, chain: Chain, now: Position, found: dict[str, sizes.Size]
) -> list[DataStep]:
    """Return the data migrations with rows left, and those with a pending expand."""
    has_table = states.table.name in found
    steps = []
    for migration in chain.data:
        if migration.before not in now.pending.get('contract', ()):
            continue
        rows, source = _rows(connection, migration, now, found)
        if rows == 0 and source == 'counted':
            continue
        row = states.read(connection, migration.name) if has_table else None
        rate, rate_source = (
            (row.rate, 'persisted') if row is not None and row.rate else (ASSUMED_RATE, 'assumed')
        )
        steps.append(
            DataStep(
                migration=migration.name,
                rows=rows,
                rows_source=source,
                rate=rate,
                rate_source=rate_source,
            )
        )
    return steps


def _rows(
    connection: sa.Connection, migration: DataMigration, now: Position, found: dict[str, sizes.Size]
) -> tuple[int | None, str]:
    if migration.after not in now.pending.get('expand', ()):
        return migration.pending(connection), 'counted'
    if not isinstance(migration, OfOneTable):
        return None, 'unknown'
    size = found.get(migration.table)
    return (size.rows if size else 0), 'estimated'


def as_json(plan: Plan) -> dict[str, Any]:
    """Return the plan in the documented form."""
    return {
        'format': FORMAT,
        'server': {'kind': plan.server, 'version': plan.server_version},
        'dialect': plan.dialect,
        'version': plan.version,
        'next': plan.next and plan.next.value,
        'risk': plan.risk.value,
        'steps': [
            _data_json(step) if isinstance(step, DataStep) else _revision_json(step)
            for step in plan.steps
        ],
        'notes': list(plan.notes),
    }


def _revision_json(step: RevisionStep) -> dict[str, Any]:
    return {
        'phase': step.phase.value,
        'revision': step.revision,
        'title': step.title,
        'statements': [_statement_json(one) for one in step.statements],
    }


def _statement_json(one: Planned) -> dict[str, Any]:
    answer = one.answer
    return {
        'sql': one.sql,
        'table': one.table or None,
        'rows': one.size.rows if one.size else None,
        'bytes': one.size.bytes if one.size else None,
        'rebuilds': answer.rebuilds,
        'work': answer.work.value,
        'lock': {
            'blocks': answer.blocks.value,
            'name': answer.lock or None,
            'source': answer.source.value,
            'detail': answer.detail or None,
        },
        'risk': {'level': one.risk.level.value, 'reason': one.risk.reason} if one.risk else None,
    }


def _data_json(step: DataStep) -> dict[str, Any]:
    return {
        'phase': step.phase.value,
        'migration': step.migration,
        'rows': step.rows,
        'rows_source': step.rows_source,
        'rows_per_second': step.rate,
        'rate_source': step.rate_source,
        'seconds': step.seconds,
    }
