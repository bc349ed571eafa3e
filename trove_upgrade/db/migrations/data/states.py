# SPDX-License-Identifier: Apache-2.0
"""State of each data migration: its row in `upgrade_data_migrations`, and what that means to an
operator.
"""

import dataclasses
import datetime
import enum
from collections.abc import Collection

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import columns, errors, models
from trove_upgrade.db.migrations.chain import release_of
from trove_upgrade.db.migrations.data.migration import DataMigration
from trove_upgrade.db.migrations.exit_codes import ExitCode

table = models.upgrade_data_migrations


class Standing(enum.StrEnum):
    """Line of `db data list`."""

    NOT_STARTED = 'not started'  #: rows wait, or will once the expand has been run
    #: has begun and has not come to its end; `updated` tells whether a run is at work
    RUNNING = 'running'
    FINISHED = 'finished'  #: no row is left
    #: was finished; services of the release before have written since
    PENDING_AGAIN = 'pending again'
    NOT_NEEDED = 'not needed'  #: the contract has been run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """Progress of all runs together."""

    name: str
    cursor: str  #: where the next batch begins
    found: int  #: rows looked at that needed work
    done: int  #: of those, changed
    rate: float | None  #: rows changed per second, over this and former runs
    started_at: datetime.datetime
    updated_at: datetime.datetime
    completed_at: datetime.datetime | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class State:
    """One migration in one database."""

    name: str
    release: str
    standing: Standing
    rows_left: int | None  #: None where it cannot be told, as the expand has not been run
    row: Row | None  #: None before the first run


def may_run(migration: DataMigration, done_revisions: Collection[str]) -> bool:
    """Tell whether a migration may run: not where the contract has been run, so that nothing is
    left.

    :raises SchemaOutOfOrder: its expand has not been run (exit code 3).
    """
    if migration.before in done_revisions:
        return False
    if migration.after not in done_revisions:
        found = (
            f'data migration {migration.name} needs revision {migration.after}, which has not '
            'been run'
        )
        raise errors.SchemaOutOfOrder(
            exit_code=ExitCode.EXPAND_NEXT, asked='data run', found=found, next='expand'
        )
    return True


def ensure_row(connection: sa.Connection, name: str) -> None:
    """Insert the row at the start of everything, in a transaction of its own; of several that try
    at once, one does.
    """
    values = {
        'name': name,
        'cursor': '',
        'found': 0,
        'done': 0,
        'started_at': columns.now(),
        'updated_at': columns.now(),
    }
    try:
        with connection.begin():
            if read(connection, name) is None:
                connection.execute(sa.insert(table).values(values))
    except (db_exc.DBDuplicateEntry, sa.exc.IntegrityError):
        return  # another run's row is as good


def read(connection: sa.Connection, name: str) -> Row | None:
    """The row, None before the first run."""
    found = connection.execute(
        sa.select(*(table.c[field.name] for field in dataclasses.fields(Row))).where(
            table.c.name == name
        )
    ).one_or_none()
    return None if found is None else Row(**found._mapping)  # noqa: SLF001 - its public name


def state_of(
    connection: sa.Connection,
    migration: DataMigration,
    done_revisions: Collection[str],
    *,
    has_table: bool,
) -> State:
    """Count what is left; nothing is written."""
    row = read(connection, migration.name) if has_table else None
    release = release_of(migration.after)
    if migration.before in done_revisions:
        return State(
            name=migration.name, release=release, standing=Standing.NOT_NEEDED, rows_left=0, row=row
        )
    if migration.after not in done_revisions:
        return State(
            name=migration.name,
            release=release,
            standing=Standing.NOT_STARTED,
            rows_left=None,
            row=row,
        )
    left = migration.pending(connection)
    return State(
        name=migration.name, release=release, standing=_standing(row, left), rows_left=left, row=row
    )


def _standing(row: Row | None, left: int) -> Standing:
    if not left:
        return Standing.FINISHED
    if row is None:
        return Standing.NOT_STARTED
    return Standing.RUNNING if row.completed_at is None else Standing.PENDING_AGAIN
