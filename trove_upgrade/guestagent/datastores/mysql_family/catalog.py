# SPDX-License-Identifier: Apache-2.0
"""Contents of a server: schemas, and tables with their kind, size and columns."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from trove_upgrade.guestagent.datastores.mysql_family import connection
from trove_upgrade.guestagent.datastores.mysql_family.dialect import SYSTEM_SCHEMAS
from trove_upgrade.guestagent.datastores.mysql_family.digests import digest
from trove_upgrade.guestagent.datastores.table_facts import TableKind

_KINDS = {
    'BASE TABLE': TableKind.TABLE,
    'SYSTEM VERSIONED': TableKind.VERSIONED,
    'SEQUENCE': TableKind.SEQUENCE,
    'VIEW': TableKind.VIEW,
}
#: Rows of these belong to another server, a bucket or a foreign file, which go on changing, and may
#: not be reached.
_FAR = ('FEDERATED', 'CONNECT', 'SPIDER', 'S3', 'OQGRAPH', 'SPHINX')
#: Rows in memory are gone after every stop.
_WITHOUT_OWN_ROWS = frozenset({'MEMORY', *_FAR, 'EXAMPLE', 'BLACKHOLE'})
#: The end of a condition that leaves the users' schemas.
NOT_SYSTEM = f'NOT IN ({", ".join(repr(name) for name in SYSTEM_SCHEMAS)})'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """One table, sequence or view."""

    schema: str
    name: str
    kind: TableKind
    size_bytes: int  #: as the engine estimates it
    columns: Sequence[str] = ()  #: visible ones, in order, without those that version the rows
    shape: str = ''  #: digest of names and types of all of `columns`
    #: not where they are gone after every stop, or lie on another server or in a foreign file
    has_own_rows: bool = True
    given: Sequence[str] = ()  #: columns whose values the users gave, invisible ones too
    has_generated: bool = False  #: has columns that the server computes

    @property
    def full_name(self) -> str:
        """Return the table's name as reports show it."""
        return f'{self.schema}.{self.name}'

    @property
    def quoted(self) -> str:
        """Return the table's name as SQL wants it."""
        return connection.quoted(self.schema, self.name)


def far_tables(session: connection.Session) -> list[Table]:
    """Tables of the users' schemas with rows elsewhere.

    The server need not open a table to report its engine.  For a size or a foreign key it opens it,
    and asks for the rows where they are: where nothing answers there, each statement takes half a
    minute and fails (measured: 11.8.9 with FederatedX, error 1159).
    """
    engines = ', '.join(repr(engine) for engine in _FAR)
    columns = _columns(session)
    rows = session.rows(
        'SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES WHERE '
        f'ENGINE IN ({engines}) AND TABLE_SCHEMA {NOT_SYSTEM}'
    )
    return [
        _table((schema, name, kind, 0, engine), columns)
        for schema, name, kind, engine in rows
        if kind in _KINDS
    ]


def leaving_out(far: Sequence[Table], schema: str = 'TABLE_SCHEMA') -> str:
    """Return what a condition ends with, so that the server does not open these tables.  `schema`:
    the column of their schemas.
    """
    return ''.join(
        f' AND NOT ({schema} = {connection.literal(table.schema)} AND TABLE_NAME = '
        f'{connection.literal(table.name)})'
        for table in far
    )


def tables(session: connection.Session, far: Sequence[Table] = ()) -> list[Table]:
    """Every table, sequence and view of the users' schemas, smallest first.  `far`: those of
    `far_tables`, which are not opened.
    """
    columns = _columns(session)
    rows = session.rows(
        'SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, COALESCE(DATA_LENGTH, 0) + '
        'COALESCE(INDEX_LENGTH, 0), ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA '
        f'{NOT_SYSTEM}{leaving_out(far)}'
    )
    found = [_table(row, columns) for row in rows if row[2] in _KINDS]
    return sorted([*found, *far], key=lambda table: (table.size_bytes, table.full_name))


def _table(row: tuple[Any, ...], columns: dict[tuple[str, str], list['_Column']]) -> Table:
    schema, name, kind, size, engine = row
    every = columns.get((schema, name), [])
    own = [(column.name, column.kind) for column in every if column.is_visible]
    return Table(
        schema=schema,
        name=name,
        kind=_KINDS[kind],
        size_bytes=int(size),
        columns=tuple(column for column, _ in own),
        shape=digest(*own),
        has_own_rows=str(engine).upper() not in _WITHOUT_OWN_ROWS,
        given=tuple(column.name for column in every if not column.is_generated),
        has_generated=any(column.is_generated for column in every),
    )


def schemas(session: connection.Session) -> list[str]:
    """The users' schemas, empty ones too."""
    return [
        row[0]
        for row in session.rows(
            f'SELECT SCHEMA_NAME FROM information_schema.SCHEMATA '
            f'WHERE SCHEMA_NAME {NOT_SYSTEM} ORDER BY 1'
        )
    ]


#: Words of a column that the server computes.
_GENERATED = ('STORED GENERATED', 'PERSISTENT', 'VIRTUAL')


@dataclasses.dataclass(frozen=True)
class _Column:
    name: str
    kind: str
    extra: str  #: in upper case

    @property
    def is_visible(self) -> bool:
        return 'INVISIBLE' not in self.extra

    @property
    def is_generated(self) -> bool:
        """An expression for a default, DEFAULT_GENERATED at MySQL, generates no column."""
        return any(word in self.extra for word in _GENERATED)


#: The server has no such column: MariaDB before 10.2.5 and MySQL before 5.7 keep no expressions of
#: columns.
_NO_SUCH_COLUMN = 1054


def _columns(session: connection.Session) -> dict[tuple[str, str], list[_Column]]:
    found: dict[tuple[str, str], list[_Column]] = {}
    for schema, table, name, kind, extra, expression in _rows_of_columns(session):
        # The end of a current row's time is 2038 before MariaDB 11.5 and 2106 after: not the user's
        # data.
        if str(expression).upper() not in {'ROW START', 'ROW END'}:
            found.setdefault((schema, table), []).append(_Column(name, kind, str(extra).upper()))
    return found


def _rows_of_columns(session: connection.Session) -> list[tuple[Any, ...]]:
    statement = (
        'SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, EXTRA, {} '
        'FROM information_schema.COLUMNS '
        f'WHERE TABLE_SCHEMA {NOT_SYSTEM} ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION'
    )
    try:
        return session.rows(statement.format('GENERATION_EXPRESSION'))
    except connection.SessionError as error:
        if error.number != _NO_SUCH_COLUMN:
            raise
        return session.rows(statement.format("''"))
