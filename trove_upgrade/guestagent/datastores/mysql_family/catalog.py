# SPDX-License-Identifier: Apache-2.0
"""What a server holds: tables with their kind and size, columns, and the definitions of everything that is not a table."""
import dataclasses
from collections.abc import Mapping, Sequence

from trove_upgrade.guestagent.datastores.mysql_family import connection
from trove_upgrade.guestagent.datastores.mysql_family.dialect import SYSTEM_SCHEMAS, digest

_KINDS = {'BASE TABLE': 'table', 'SYSTEM VERSIONED': 'versioned', 'SEQUENCE': 'sequence', 'VIEW': 'view'}
#: Rows in memory are gone after every stop; those of the others belong to another server, a bucket or a foreign file, which go on
#: changing, and may not be reached.
_WITHOUT_OWN_ROWS = frozenset({'MEMORY', 'FEDERATED', 'CONNECT', 'SPIDER', 'S3', 'OQGRAPH', 'SPHINX', 'EXAMPLE', 'BLACKHOLE'})
_NOT_SYSTEM = f'NOT IN ({", ".join(repr(name) for name in SYSTEM_SCHEMAS)})'


@dataclasses.dataclass(frozen=True)
class Table:
    """One table, sequence or view."""

    schema: str
    name: str
    kind: str                       #: 'table', 'versioned', 'sequence' or 'view'
    size_bytes: int                 #: as the engine estimates it
    columns: Sequence[str] = ()     #: visible ones, in order, without those that version the rows
    shape: str = ''                 #: digest of names and types of all of `columns`
    has_own_rows: bool = True       #: not where they are gone after every stop, or lie on another server or in a foreign file
    given: Sequence[str] = ()       #: columns whose values the users gave, invisible ones too
    has_stored_results: bool = False  #: keeps values of generated columns on disk

    @property
    def full_name(self) -> str:
        """As reports show it."""
        return f'{self.schema}.{self.name}'

    @property
    def quoted(self) -> str:
        """As SQL wants it."""
        return connection.quoted(self.schema, self.name)


def tables(session: connection.Session) -> list[Table]:
    """Every table, sequence and view of the users' schemas, smallest first."""
    columns = _columns(session)
    rows = session.rows('SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, COALESCE(DATA_LENGTH, 0) + COALESCE(INDEX_LENGTH, 0), ENGINE '
                        f'FROM information_schema.TABLES WHERE TABLE_SCHEMA {_NOT_SYSTEM}')
    found = []
    for schema, name, kind, size, engine in rows:
        if kind in _KINDS:
            every = columns.get((schema, name), [])
            own = [(column.name, column.kind) for column in every if column.is_visible]
            found.append(Table(schema, name, _KINDS[kind], int(size), tuple(column for column, _ in own), digest(*own),
                               str(engine).upper() not in _WITHOUT_OWN_ROWS, tuple(column.name for column in every if not column.is_generated),
                               any(column.is_stored_result for column in every)))
    return sorted(found, key=lambda table: (table.size_bytes, table.full_name))


def schemas(session: connection.Session) -> list[str]:
    """The users' schemas, empty ones too."""
    return [row[0] for row in session.rows(f'SELECT SCHEMA_NAME FROM information_schema.SCHEMATA '
                                           f'WHERE SCHEMA_NAME {_NOT_SYSTEM} ORDER BY 1')]


@dataclasses.dataclass(frozen=True)
class _Column:
    name: str
    kind: str
    extra: str   #: in upper case

    @property
    def is_visible(self) -> bool:
        return 'INVISIBLE' not in self.extra

    @property
    def is_stored_result(self) -> bool:
        return 'STORED GENERATED' in self.extra or 'PERSISTENT' in self.extra

    @property
    def is_generated(self) -> bool:
        """An expression for a default, DEFAULT_GENERATED at MySQL, generates no column."""
        return self.is_stored_result or 'VIRTUAL' in self.extra


def _columns(session: connection.Session) -> dict[tuple[str, str], list[_Column]]:
    found: dict[tuple[str, str], list[_Column]] = {}
    for schema, table, name, kind, extra, expression in session.rows(
            'SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, EXTRA, GENERATION_EXPRESSION FROM information_schema.COLUMNS '
            f'WHERE TABLE_SCHEMA {_NOT_SYSTEM} ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION'):
        # The end of a current row's time is 2038 before MariaDB 11.5 and 2106 after: not the user's data.
        if str(expression).upper() not in {'ROW START', 'ROW END'}:
            found.setdefault((schema, table), []).append(_Column(name, kind, str(extra).upper()))
    return found


_DEFINITIONS: Mapping[str, str] = {
    'view': 'SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION, CHECK_OPTION, DEFINER, SECURITY_TYPE '
            f'FROM information_schema.VIEWS WHERE TABLE_SCHEMA {_NOT_SYSTEM}',
    'routine': "SELECT ROUTINE_SCHEMA, CONCAT(ROUTINE_NAME, ' (', LOWER(ROUTINE_TYPE), ')'), ROUTINE_DEFINITION, IS_DETERMINISTIC, "
               'SQL_DATA_ACCESS, SECURITY_TYPE, DEFINER, SQL_MODE '
               f'FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA {_NOT_SYSTEM}',
    'parameter': "SELECT SPECIFIC_SCHEMA, CONCAT(SPECIFIC_NAME, ' ', LOWER(ROUTINE_TYPE), ' ', ORDINAL_POSITION), PARAMETER_NAME, "
                 'PARAMETER_MODE, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE '
                 f'FROM information_schema.PARAMETERS WHERE SPECIFIC_SCHEMA {_NOT_SYSTEM}',
    'trigger': 'SELECT TRIGGER_SCHEMA, TRIGGER_NAME, EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_STATEMENT, DEFINER, '
               f'SQL_MODE FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA {_NOT_SYSTEM}',
    'event': 'SELECT EVENT_SCHEMA, EVENT_NAME, EVENT_DEFINITION, EVENT_TYPE, EXECUTE_AT, INTERVAL_VALUE, INTERVAL_FIELD, STATUS, DEFINER, '
             f'SQL_MODE FROM information_schema.EVENTS WHERE EVENT_SCHEMA {_NOT_SYSTEM}',
    'foreign key': 'SELECT CONSTRAINT_SCHEMA, CONCAT(TABLE_NAME, \'.\', CONSTRAINT_NAME), REFERENCED_TABLE_NAME, UPDATE_RULE, DELETE_RULE '
                   f'FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA {_NOT_SYSTEM}',
}


def definitions(session: connection.Session) -> dict[str, str]:
    """'view:schema.name' and so on -> digest of the definition as it was written."""
    found = {f'schema:{name}': '' for name in schemas(session)}
    for kind, statement in _DEFINITIONS.items():
        for row in session.rows(statement):
            found[f'{kind}:{row[0]}.{row[1]}'] = digest(*row[2:])
    found.update({f'function:{name}': digest(ret, library, kind) for name, ret, library, kind in
                  session.rows('SELECT name, ret, dl, type FROM mysql.func')})   # of a library, in no schema
    return found
