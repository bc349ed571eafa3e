# SPDX-License-Identifier: Apache-2.0
"""A revision really run, on a database that lives in memory: killed before each of its statements,
and started again.

SQLite stands in for MySQL here: each statement commits by itself, and nothing is undone.
"""

import dataclasses
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import alembic.script
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from trove_upgrade.schema_tools.sql.reader import read
from trove_upgrade.schema_tools.sql.statements import BATCH_COPY, Form

_WRITES = ('CREATE', 'ALTER', 'DROP', 'INSERT', 'UPDATE', 'DELETE', 'REPLACE')
#: That end a batch, in which a table is copied; Alembic does that in one transaction on a real
#: SQLite, and not at all elsewhere.
_ENDS_OF_BATCH = {Form.DROP_TABLE, Form.CREATE_INDEX}


@dataclasses.dataclass(frozen=True)
class Fault:
    """One way in which a run fails, or leaves another schema than it should."""

    found: str
    at_once: bool  #: also where the run is neither repeated nor killed


class _Killed(Exception):
    """Signal that ends a run in the middle, as a kill would."""


def faults(
    before: Sequence[alembic.script.Script], script: alembic.script.Script
) -> Iterator[Fault]:
    """Failures of the revision when it is run, run twice, or killed and started again; nothing if
    it does not fail.
    """
    start = _Database(None)
    for other in before:
        if start.run(other) is not None:
            return  # that revision has a finding of its own
    snapshot = start.snapshot()
    whole = _Database(snapshot)
    if (found := whole.run(script)) is not None:
        yield Fault(f'it fails on SQLite: {found}', at_once=True)
        return
    expected = whole.state()
    if (found := whole.run(script)) is not None:
        yield Fault(f'run a second time it fails: {found}', at_once=False)
        return
    if whole.state() != expected:
        yield Fault('run a second time it changes the database again', at_once=False)
        return
    yield from _faults_of_killed(
        snapshot, script, expected, _Database(snapshot).statements_of(script)
    )


def _faults_of_killed(
    snapshot: bytes, script: alembic.script.Script, expected: Any, statements: Sequence[str]
) -> Iterator[Fault]:
    in_batch = False
    for count, statement in enumerate(statements):
        form = read(statement, 'sqlite').form
        in_batch = BATCH_COPY in statement or (in_batch and form in _ENDS_OF_BATCH)
        if in_batch and form is not Form.CREATE_TABLE:
            continue
        database = _Database(snapshot)
        database.run(script, kill_before=count)
        found = database.run(script)
        where = f'killed before "{" ".join(statement.split())[:80]}" and started again, it'
        if found is not None:
            yield Fault(f'{where} fails: {found}', at_once=False)
            return
        if database.state() != expected:
            yield Fault(f'{where} ends at another schema', at_once=False)
            return


class _Database:
    """Database in memory; each trial has another one."""

    def __init__(self, snapshot: bytes | None) -> None:
        self._raw = sqlite3.connect(':memory:', isolation_level=None, check_same_thread=False)
        if snapshot is None:
            self._raw.execute('PRAGMA user_version = 1')  # nothing at all cannot be copied
        else:
            self._raw.deserialize(snapshot)
        self._engine = sa.create_engine(
            'sqlite://',
            creator=lambda: self._raw,
            poolclass=sa.pool.StaticPool,
            isolation_level='AUTOCOMMIT',
        )
        self._statements: list[str] = []
        self._kill_before: int | None = None
        sa.event.listen(self._engine, 'before_cursor_execute', self._about_to_run)

    def snapshot(self) -> bytes:
        """Return the content, from which another database can begin."""
        return self._raw.serialize()

    def run(self, script: alembic.script.Script, *, kill_before: int | None = None) -> str | None:
        """The first line of what went wrong; None if nothing did, and if it was killed as asked."""
        self._statements, self._kill_before = [], kill_before
        found = None
        with (
            self._engine.connect() as connection,
            Operations.context(MigrationContext.configure(connection)),
        ):
            try:
                script.module.upgrade()
            except _Killed:
                pass
            except Exception as error:  # noqa: BLE001 - whatever a revision can do wrong; Alembic's `op` must be let go first
                found = f'{type(error).__name__}: {next(iter(str(error).splitlines()), "")}'
        return found

    def statements_of(self, script: alembic.script.Script) -> list[str]:
        """Run a revision; return its statements that change something, in order."""
        self.run(script)
        return self._statements

    def state(self) -> Any:
        """Schema, and how many rows each table has."""
        schema = sorted(
            self._raw.execute('SELECT type, name, tbl_name, sql FROM sqlite_master').fetchall(),
            key=str,
        )
        tables = [name for kind, name, _, _ in schema if kind == 'table']
        return schema, [
            self._raw.execute(f'SELECT count(*) FROM "{name}"').fetchone() for name in tables
        ]

    def _about_to_run(self, _connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        if statement.lstrip().upper().startswith(_WRITES):
            if self._kill_before == len(self._statements):
                raise _Killed
            self._statements.append(statement.strip())
