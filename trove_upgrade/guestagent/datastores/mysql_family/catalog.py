# SPDX-License-Identifier: Apache-2.0
"""What a server holds: tables with their kind and size, columns, and the definitions of everything that is not a table."""
import dataclasses
from collections.abc import Mapping, Sequence

from trove_upgrade.guestagent.datastores.mysql_family import connection
from trove_upgrade.guestagent.datastores.mysql_family.dialect import SYSTEM_SCHEMAS, digest

_KINDS = {'BASE TABLE': 'table', 'SYSTEM VERSIONED': 'versioned', 'SEQUENCE': 'sequence', 'VIEW': 'view'}
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
    in_memory: bool = False         #: its rows are gone after every stop

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
            own = columns.get((schema, name), [])
            found.append(Table(schema, name, _KINDS[kind], int(size), tuple(column for column, _ in own), digest(*own),
                               str(engine).upper() == 'MEMORY'))
    return sorted(found, key=lambda table: (table.size_bytes, table.full_name))


def schemas(session: connection.Session) -> list[str]:
    """The users' schemas, empty ones too."""
    return [row[0] for row in session.rows(f'SELECT SCHEMA_NAME FROM information_schema.SCHEMATA '
                                           f'WHERE SCHEMA_NAME {_NOT_SYSTEM} ORDER BY 1')]


def _columns(session: connection.Session) -> dict[tuple[str, str], list[tuple[str, str]]]:
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for schema, table, name, kind, extra, expression in session.rows(
            'SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, EXTRA, GENERATION_EXPRESSION FROM information_schema.COLUMNS '
            f'WHERE TABLE_SCHEMA {_NOT_SYSTEM} ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION'):
        # The end of a current row's time is 2038 before MariaDB 11.5 and 2106 after: not the user's data.
        if 'INVISIBLE' not in str(extra).upper() and str(expression).upper() not in {'ROW START', 'ROW END'}:
            found.setdefault((schema, table), []).append((name, kind))
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
    return found
