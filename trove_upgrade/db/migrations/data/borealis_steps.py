# SPDX-License-Identifier: Apache-2.0
"""The history of steps, from the JSON column of instance_upgrades into rows of
instance_upgrade_steps.

A row waits while `steps_at` is not its `updated_at`: never copied, or written since by a service of
aurora, which knows neither.  A batch holds the upgrades' rows while it copies them, so that a
service that writes one waits for the batch, or the batch for it.  Names and tables are of this
release for ever: what the code reads and writes may move on.
"""

import datetime
import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import columns, errors
from trove_upgrade.db.migrations.data.borealis_unfold import can_unfold, is_plain, unfold
from trove_upgrade.db.migrations.data.migration import Batch

_upgrades = sa.table(
    'instance_upgrades',
    sa.column('id', sa.String(36)),
    sa.column('steps', sa.Text()),
    sa.column('updated_at', sa.DateTime()),
    sa.column('steps_at', sa.DateTime()),
)
_steps = sa.table(
    'instance_upgrade_steps',
    *(
        sa.column(name, kind)
        for name, kind in (
            ('upgrade_id', sa.String(36)),
            ('position', sa.Integer()),
            ('attempt', sa.Integer()),
            ('step', sa.String(16)),
            ('started_at', sa.DateTime()),
            ('ended_at', sa.DateTime()),
            ('runs', sa.Integer()),
            ('outcome', sa.String(16)),
            ('percent', sa.Integer()),
            ('message', sa.Text()),
        )
    ),
)

_PENDING = sa.or_(_upgrades.c.steps_at.is_(None), _upgrades.c.steps_at != _upgrades.c.updated_at)
# by windows of the key: asked for the next rows that wait, PostgreSQL reads and sorts the whole
# table, as it has no statistics of a column that is new
_WINDOW_END = (
    sa.select(_upgrades.c.id)
    .where(_upgrades.c.id > sa.bindparam('cursor'))
    .order_by(_upgrades.c.id)
    .offset(sa.bindparam('before'))
    .limit(1)
)
_TABLE_END = sa.select(sa.func.max(_upgrades.c.id)).where(_upgrades.c.id > sa.bindparam('cursor'))
_WAITING = (
    sa.select(_upgrades.c.id, _upgrades.c.steps)
    .where(
        _upgrades.c.id > sa.bindparam('cursor'), _upgrades.c.id <= sa.bindparam('last'), _PENDING
    )
    .order_by(_upgrades.c.id)
    .limit(sa.bindparam('most'))
)
_OF_THESE: sa.BindParameter[Any] = sa.bindparam('ids', expanding=True)
_HAS_SOME = (
    sa.select(_steps.c.upgrade_id)
    .where(
        _steps.c.upgrade_id >= sa.bindparam('first'), _steps.c.upgrade_id <= sa.bindparam('last')
    )
    .order_by(_steps.c.upgrade_id)
    .limit(1)
)
_FORGET = sa.delete(_steps).where(_steps.c.upgrade_id.in_(_OF_THESE))
_INSERT_DOCUMENT = sa.text(
    'INSERT INTO instance_upgrade_steps (upgrade_id, position, attempt, step, started_at, '
    'ended_at, runs, outcome, percent, message) SELECT upgrade_id, position, attempt, step, '
    'started_at, ended_at, runs, outcome, percent, message FROM json_to_recordset(CAST(:document '
    'AS json)) AS given (upgrade_id text, position integer, attempt integer, step text, '
    'started_at timestamp, ended_at timestamp, runs integer, outcome text, percent integer, '
    'message text)'
)
_NAMES = tuple(column.name for column in _steps.c)
_INSERT_TUPLES = (
    # in the drivers' form, which they make one statement of
    f'INSERT INTO instance_upgrade_steps ({", ".join(_NAMES)}) '
    f'VALUES ({", ".join(["%s"] * len(_NAMES))})'
)
_COPIED = (
    sa.update(_upgrades)
    .where(_upgrades.c.id.in_(_OF_THESE))
    .values(steps_at=_upgrades.c.updated_at)
)

#: Rows of a window where none waited in the one before, and how many such windows a batch passes
#: over: some 100 ms.
_WINDOW_ROWS, _WINDOWS = 5000, 8

#: Damaged rows that an error names.
_NAMED = 5


class Damaged(ValueError):
    """A history that is not what any release has written."""


class BorealisSteps:
    """Copies the steps of upgrades from a column to rows: a DataMigration."""

    name = 'borealis_steps'
    #: all of its rows wait at first, which `db plan` says before there is something to count
    table = _upgrades.name
    after = 'borealis_expand01'
    before = 'borealis_contract01'

    def pending(self, connection: sa.Connection) -> int:
        """Count the rows left; the whole table is read."""
        if not _has_column(connection):
            return 0
        counted: int = connection.execute(
            sa.select(sa.func.count()).select_from(_upgrades).where(_PENDING)
        ).scalar_one()
        return counted

    def is_pending(self, connection: sa.Connection) -> bool:
        """Tell whether a row is left; where none is, the whole table has been read."""
        return (
            _has_column(connection)
            and connection.execute(sa.select(_upgrades.c.id).where(_PENDING).limit(1)).first()
            is not None
        )

    def run_batch(self, connection: sa.Connection, cursor: str, limit: int) -> Batch:
        """A damaged row is passed over, and stays pending, so that it keeps no other from being
        copied.

        :raises DataMigrationBadRow: all that is left is damaged.
        """
        for window in range(_WINDOWS):
            found, behind = _next(
                connection,
                cursor,
                limit,
                max(limit, _WINDOW_ROWS) if window else limit,
                locked=True,
            )
            if found:
                copied = _copy(connection, found)
                if not copied:
                    _require_a_good_one(connection)
                return Batch(len(found), copied, behind)
            if behind == cursor:
                break
            cursor = behind
        return Batch(0, 0, cursor)


def _has_column(connection: sa.Connection) -> bool:
    """Tell whether the column is there still. It is not after a contract that was killed between
    its two statements: then all had been copied, and `steps_at` is written no more.
    """
    return 'steps' in {
        column['name'] for column in sa.inspect(connection).get_columns(_upgrades.name)
    }


def _next(
    connection: sa.Connection, cursor: str, limit: int, window: int, *, locked: bool
) -> tuple[Sequence[Any], str]:
    """Read at most `limit` rows that wait, of the next `window`, and the place to look on from;
    that is `cursor` at the table's end.
    """
    last = connection.execute(
        _WINDOW_END, {'cursor': cursor, 'before': window - 1}
    ).scalar_one_or_none()
    if last is None:
        last = connection.execute(_TABLE_END, {'cursor': cursor}).scalar_one()
    if last is None:
        return (), cursor
    query = _WAITING.with_for_update() if locked else _WAITING
    found = connection.execute(query, {'cursor': cursor, 'last': last, 'most': limit}).all()
    return found, found[-1].id if len(found) == limit else last


def _copy(connection: sa.Connection, found: Sequence[Any]) -> int:
    """Return how many of these upgrades are copied."""
    plain = (
        [row.id for row in found if is_plain(row.steps)] if can_unfold(connection.dialect) else []
    )
    rows, converted = _convert(_without(found, plain))
    copied = sorted(plain + converted)
    if copied:
        # mostly there are none yet
        if (
            connection.execute(_HAS_SOME, {'first': copied[0], 'last': copied[-1]}).first()
            is not None
        ):
            connection.execute(_FORGET, {'ids': copied})
        if plain:
            unfold(connection, plain)
        if rows:
            _insert(connection, rows)
        connection.execute(_COPIED, {'ids': copied})
    return len(copied)


def _without(found: Sequence[Any], plain: Sequence[str]) -> Sequence[Any]:
    left_out = set(plain)
    return [row for row in found if row.id not in left_out]


def _insert(connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
    """PostgreSQL takes one document sooner than a thousand VALUES; MySQL's driver is fastest with
    tuples.
    """
    if connection.dialect.name == 'postgresql':
        connection.execute(_INSERT_DOCUMENT, {'document': json.dumps(rows, default=str)})
    elif connection.dialect.name in {'mysql', 'mariadb'}:
        connection.exec_driver_sql(
            _INSERT_TUPLES, [tuple(row[name] for name in _NAMES) for row in rows]
        )
    else:
        connection.execute(sa.insert(_steps), rows)


def _convert(found: Sequence[Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of steps, and the upgrades that they are of."""
    rows: list[dict[str, Any]] = []
    copied: list[str] = []
    for upgrade_id, text in found:
        try:
            rows += history_of(upgrade_id, text)
        except Damaged:
            continue  # it stays pending, and the end of the migration names it
        copied.append(upgrade_id)
    return rows, copied


def _require_a_good_one(connection: sa.Connection) -> None:
    """Refuse a table of which no waiting row can be copied.

    :raises DataMigrationBadRow: from the start of the table to its end nothing that waits can be
    copied.
    """
    bad: list[str] = []
    cursor = ''
    while True:
        found, behind = _next(connection, cursor, _WINDOW_ROWS, _WINDOW_ROWS, locked=False)
        if behind == cursor:
            break
        cursor = behind
        for upgrade_id, text in found:
            try:
                history_of(upgrade_id, text)
            except Damaged as error:
                bad.append(f'{upgrade_id} ({error})')
            else:
                return
    more = f' and {len(bad) - _NAMED} more' if len(bad) > _NAMED else ''
    raise errors.DataMigrationBadRow(
        name=BorealisSteps.name,
        table=_upgrades.name,
        column='steps',
        rows=', '.join(bad[:_NAMED]) + more,
    )


def history_of(upgrade_id: str, text: str) -> list[dict[str, Any]]:
    """Rows of one upgrade; unknown keys are dropped, as every reader does.

    :raises Damaged: it is not a list of steps, each with a name, an attempt and a time in UTC or
        with an offset.
    """
    if text == '[]':
        return []
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise Damaged('not JSON') from error
    if not isinstance(entries, list):
        raise Damaged('not a list')
    rows = []
    for position, entry in enumerate(entries):
        try:
            rows.append(_row(upgrade_id, position, entry))
        except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
            raise Damaged(f'entry {position}: {error!r}') from error
    return rows


def _row(upgrade_id: str, position: int, entry: dict[str, Any]) -> dict[str, Any]:
    ended_at, message = entry.get('ended_at'), entry.get('message')
    return {
        'upgrade_id': upgrade_id,
        'position': position,
        'attempt': _number(entry['attempt']),
        'step': _word(entry['step']),
        'started_at': _naive_utc(entry['started_at']),
        'ended_at': _naive_utc(ended_at) if ended_at else None,
        'runs': _number(entry.get('runs', 0)),
        'outcome': None if entry.get('outcome') is None else _word(entry['outcome']),
        'percent': None if entry.get('percent') is None else _number(entry['percent']),
        'message': None
        if message is None
        else columns.fitting(_steps.c.message, message, wide=True),
    }


def _naive_utc(text: str) -> datetime.datetime:
    """Parse an ISO 8601 time into UTC without a zone, as the columns hold it."""
    if text.endswith('+00:00'):  # all that our services have written
        return datetime.datetime.fromisoformat(text[:-6])
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f'time {text} has no offset')
    return moment.astimezone(datetime.UTC).replace(tzinfo=None)


def _number(value: float) -> int:
    """Round a number to an integer that an INTEGER column can hold."""
    number = round(value)
    if not -(2**31) <= number < 2**31:
        raise ValueError(f'{value} is no count')
    return number


def _word(value: str) -> str:
    """Check that a text fits into a column of 16 characters."""
    if not isinstance(value, str) or not 0 < len(value) <= 16 or '\0' in value:
        raise ValueError(f'{value!r} is no name of a step or an outcome')
    return value
