# SPDX-License-Identifier: Apache-2.0
"""Data migrations as Python: batches and conditions are written out, what a value becomes is left
to the developer.
"""

import textwrap
from collections.abc import Sequence

import sqlalchemy as sa

from trove_upgrade.schema_tools.autogenerate.pieces import Rows, Work
from trove_upgrade.schema_tools.autogenerate.rendering import Renderer

_WIDTH = 116

_MODULE = '''\
# SPDX-License-Identifier: Apache-2.0
"""{message}: rows of {table} that the contract cannot do without.

{todo}
"""
import json
from typing import Any

{imports}# as it is between the two revisions: models move on, and this must not
_TABLE = sa.table({table!r},{columns})
_KEY = ({key})


def _needs_work() -> sa.ColumnElement[bool]:
    """Which rows are not yet as the contract needs them."""
{condition}


def _values(row: sa.RowMapping) -> dict[str, Any]:
    """What such a row becomes.  It is right however often it is done: services of the release \
before still write."""
{values}


class {cls}:
    """Between {after} and {before}."""

    name = {name!r}
    after = {after!r}
    before = {before!r}

    def pending(self, connection: sa.Connection) -> int:
        """Reads the whole table."""
        return \
connection.execute(sa.select(sa.func.count()).select_from(_TABLE).where(_needs_work())).scalar_one()

    def is_pending(self, connection: sa.Connection) -> bool:
        """Ends at the first row that is found."""
        return connection.execute(sa.select(*_KEY).where(_needs_work()).limit(1)).first() is not \
None

    def run_batch(self, connection: sa.Connection, cursor: str, limit: int) -> Batch:
        """In the order of the key, which is what the cursor holds."""
        behind = {behind} if cursor else sa.true()
        wanted = sa.select(_TABLE).where(_needs_work(), behind).order_by(*_KEY).limit(limit)
        rows = connection.execute(wanted.with_for_update()).mappings().all()    # held: a service \
may be writing the same
        for row in rows:
            same = [column == row[column.name] for column in _KEY]
            connection.execute(sa.update(_TABLE).where(*same).values(_values(row)))
        last = json.dumps([rows[-1][column.name] for column in _KEY]) if rows else cursor
        return Batch(len(rows), len(rows), last)
'''


def module(
    renderer: Renderer,
    table: sa.Table,
    wanted: sa.Table,
    rows: Sequence[Rows],
    *,
    message: str,
    name: str,
    after: str,
    before: str,
) -> str:
    """The file of one migration, for one table as it was before and as it is wanted; complete where
    a column is merely copied.
    """
    names = [column.name for column in table.primary_key.columns]
    columns = _columns(_described(renderer, table, wanted, rows))
    renderer.needs('from trove_upgrade.db.migrations.data.migration import Batch')
    if any(one.work is Work.COPY for one in rows):
        renderer.needs('from trove_upgrade.db.migrations.data.differing import Differs')
    return _MODULE.format(
        message=message,
        table=table.name,
        todo=_todo(rows, name),
        imports=renderer.imports(),
        columns=columns,
        key=', '.join(f'_TABLE.c[{column!r}]' for column in names)
        + (',' if len(names) == 1 else ''),
        condition=_indented(_condition(rows)),
        values=_indented(_values(rows)),
        cls=class_name(name),
        name=name,
        after=after,
        before=before,
        behind='sa.tuple_(*_KEY) > sa.tuple_(*json.loads(cursor))'
        if len(names) > 1
        else '_KEY[0] > json.loads(cursor)[0]',
    )


def _todo(rows: Sequence[Rows], name: str) -> str:
    """Work that is left to the developer."""
    todo = (
        f'Add {class_name(name)}() to MIGRATIONS in '
        'trove_upgrade/db/migrations/data/__init__.py, and test it.'
    )
    if any(one.work is not Work.COPY for one in rows):
        todo = f'Fill in what raises NotImplementedError. {todo}'
    return '\n'.join(textwrap.wrap(todo, _WIDTH))


def _described(
    renderer: Renderer, table: sa.Table, wanted: sa.Table, rows: Sequence[Rows]
) -> list[str]:
    """The key, and all that is read or written."""
    key = [column.name for column in table.primary_key.columns]
    written = [one.column for one in rows if one.column]
    columns = list(dict.fromkeys([*key, *written, *(one.source for one in rows if one.source)]))
    types = {
        **{column.name: column.type for column in wanted.columns},
        **{column.name: column.type for column in table.columns},
    }
    return [f'sa.column({name!r}, {renderer.type_of(types[name])})' for name in columns]


def _columns(described: Sequence[str]) -> str:
    """Write columns on one line if they fit, else each on its own."""
    line = ', '.join(described)
    return f' {line}' if len(line) < _WIDTH - 30 else '\n    ' + ',\n    '.join(described)


def class_name(name: str) -> str:
    """Return the name of a migration's class: 'BorealisSteps' for 'borealis_steps'."""
    return ''.join(word.capitalize() for word in name.split('_'))


def _condition(rows: Sequence[Rows]) -> list[str]:
    lines, parts = [], []
    for one in rows:
        lines += _comment(one.why)
        if one.work is Work.FILL:
            parts.append(f'_TABLE.c[{one.column!r}].is_(None)')
        elif one.work is Work.COPY:
            new, old = f'_TABLE.c[{one.column!r}]', f'_TABLE.c[{one.source!r}]'
            lines += _comment(
                'Services write both columns until the contract; where they differ, one of the '
                'release before has written.'
            )
            parts.append(f'Differs({new}, {old})')
        else:
            lines.append(f'raise NotImplementedError({_short(one)!r})')
    if any(one.work is Work.MEND for one in rows):
        lines += _comment('Then: return sa.or_(' + ', '.join([*parts, '...']) + ')')
    else:
        lines.append(
            f'return sa.or_({", ".join(parts)})' if len(parts) > 1 else f'return {parts[0]}'
        )
    return lines


def _values(rows: Sequence[Rows]) -> list[str]:
    copied = ', '.join(
        f'{one.column!r}: row[{one.source!r}]' for one in rows if one.work is Work.COPY
    )
    lines = []
    for one in (one for one in rows if one.work is not Work.COPY):
        lines += _comment(f'{one.why}. Say here what it is, from the row.')
        lines.append(f'raise NotImplementedError({_short(one)!r})')
    if lines:
        return [*lines, *_comment(f'Then: return {{{copied}{", " if copied else ""}...}}')]
    return [f'return {{{copied}}}']


def _short(one: Rows) -> str:
    return f'{one.table}.{one.column}' if one.column else one.table


def _comment(text: str) -> list[str]:
    return [f'# {line}' for line in textwrap.wrap(text, _WIDTH)]


def _indented(lines: Sequence[str]) -> str:
    return '\n'.join(f'    {line}' for line in lines)
