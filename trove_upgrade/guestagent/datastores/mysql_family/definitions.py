# SPDX-License-Identifier: Apache-2.0
"""Definitions of what is not a table: views, routines, triggers, events, foreign keys, loadable
functions.

Each is kept twice: as the server shows it, which is what agents of the first releases compare, and
aspect by aspect in words that do not change with the server's version.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trove_upgrade.guestagent.datastores.mysql_family import aspects, catalog, connection, events
from trove_upgrade.guestagent.datastores.mysql_family.catalog import NOT_SYSTEM
from trove_upgrade.guestagent.datastores.mysql_family.digests import digest

_Row = tuple[Any, ...]
#: The server has no such table.
_NO_SUCH_TABLE = 1146


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Kind:
    statement: str  #: schema, name, and what defines it
    aspects: Callable[[_Row], Mapping[str, str]]
    first: int | None = None  #: columns that agents of the first releases know; all where None
    opens: str | None = None  #: column of the schema, where the server opens the tables for it


def read(session: connection.Session, far: Sequence[catalog.Table] = ()) -> dict[str, str]:
    """Return the definitions for a fingerprint's `objects`.  `far`: tables that the server must not
    open for them.

    :raises SessionError: the server gives no answer to a statement.
    """
    found = {f'schema:{name}': '' for name in catalog.schemas(session)}
    for title, kind in KINDS.items():
        leaving_out = catalog.leaving_out(far, kind.opens) if kind.opens else ''
        for row in _rows(session, f'{kind.statement}{leaving_out}'):
            name = f'{row[0]}.{row[1]}'
            found[f'{title}:{name}'] = digest(*row[2 : kind.first])
            key, value = aspects.entry(title, name, kind.aspects(row[2:]))
            found[key] = value
    found.update(_loadable(session))
    return found


def _rows(session: connection.Session, statement: str) -> Sequence[_Row]:
    try:
        return session.rows(statement)
    except connection.SessionError as error:
        if error.number != events.SCHEDULER_IS_DISABLED:
            raise
        return events.rows(session)


def _loadable(session: connection.Session) -> dict[str, str]:
    """Functions of a library, in no schema."""
    try:
        rows = session.rows('SELECT name, ret, dl, type FROM mysql.func')
    except connection.SessionError as error:
        if error.number != _NO_SUCH_TABLE:
            raise
        return {}
    return {f'function:{name}': digest(ret, library, kind) for name, ret, library, kind in rows}


def _with_mode(row: _Row) -> dict[str, str]:
    """The last column is the sql_mode that its statements run with."""
    return {'definition': digest(*row[:-1]), aspects.SQL_MODE: str(row[-1] or '')}


def _of_view(row: _Row) -> dict[str, str]:
    text, *others = row
    return {'definition': digest(_present_names(text), *others)}


def _of_parameter(row: _Row) -> dict[str, str]:
    name, mode, *_, kind = row
    return {'definition': digest(name, mode, present_type(kind))}


def _of_event(row: _Row) -> dict[str, str]:
    """Source: MySQL 8.4 Reference Manual, "The INFORMATION_SCHEMA EVENTS Table": what is off at
    replicas has another name.
    """
    body, *schedule, status, definer, mode = row
    renamed = 'REPLICA_SIDE_DISABLED' if status == 'SLAVESIDE_DISABLED' else status
    return _with_mode((body, *schedule, renamed, definer, mode))


def _of_foreign_key(row: _Row) -> dict[str, str]:
    """Source: MySQL 8.0 Reference Manual, "FOREIGN KEY Constraints", and MariaDB Knowledge Base,
    "Foreign Keys": the two are one.
    """
    table, *rules = row
    return {
        'definition': digest(
            table, *('RESTRICT' if rule == 'NO ACTION' else rule for rule in rules)
        )
    }


_WIDTH = re.compile(r'\b((?:tiny|small|medium|big)?int|year)\(\d+\)')
_REMARK = re.compile(r'/\*.*?\*/|\b(?:character set|charset|collate)\s+\S+', re.IGNORECASE)
_FORMER_NAME = re.compile(r'\b(_?)utf8(?=\b|_(?!mb))')


def present_type(text: object) -> str:
    """Return a data type as later servers write it.

    Source: MySQL's worklogs 13528 and 13537: display widths are shown no more, but with ZEROFILL.
    The width of TINYINT(1) stays there, and changes nothing.
    """
    found = _REMARK.sub('', str(text or ''))
    if 'zerofill' not in found:
        found = _WIDTH.sub(r'\1', found)
    return ' '.join(found.split())


def _present_names(text: object) -> str:
    """Return a view's text with today's names of the 3-byte character set and its collations.

    Source: MySQL 8.0.28 to 8.0.30 Release Notes, and MariaDB 10.6 Release Notes: utf8 is shown as
    utf8mb3.
    """
    return _FORMER_NAME.sub(r'\1utf8mb3', str(text or ''))


#: all but loadable functions
KINDS: Mapping[str, _Kind] = {
    'view': _Kind(
        statement='SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION, CHECK_OPTION, DEFINER, '
        f'SECURITY_TYPE FROM information_schema.VIEWS WHERE TABLE_SCHEMA {NOT_SYSTEM}',
        aspects=_of_view,
    ),
    'routine': _Kind(
        statement="SELECT ROUTINE_SCHEMA, CONCAT(ROUTINE_NAME, ' (', LOWER(ROUTINE_TYPE), ')'), "
        'ROUTINE_DEFINITION, IS_DETERMINISTIC, SQL_DATA_ACCESS, SECURITY_TYPE, DEFINER, SQL_MODE '
        f'FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA {NOT_SYSTEM}',
        aspects=_with_mode,
    ),
    'parameter': _Kind(
        statement='SELECT SPECIFIC_SCHEMA, '
        "CONCAT(SPECIFIC_NAME, ' ', LOWER(ROUTINE_TYPE), ' ', ORDINAL_POSITION), "
        'PARAMETER_NAME, PARAMETER_MODE, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, '
        'NUMERIC_SCALE, DTD_IDENTIFIER '
        f'FROM information_schema.PARAMETERS WHERE SPECIFIC_SCHEMA {NOT_SYSTEM}',
        aspects=_of_parameter,
        first=-1,
    ),
    'trigger': _Kind(
        statement='SELECT TRIGGER_SCHEMA, TRIGGER_NAME, EVENT_OBJECT_TABLE, EVENT_MANIPULATION, '
        'ACTION_TIMING, ACTION_STATEMENT, DEFINER, SQL_MODE FROM information_schema.TRIGGERS '
        f'WHERE TRIGGER_SCHEMA {NOT_SYSTEM}',
        aspects=_with_mode,
    ),
    'event': _Kind(
        statement='SELECT EVENT_SCHEMA, EVENT_NAME, EVENT_DEFINITION, EVENT_TYPE, EXECUTE_AT, '
        'INTERVAL_VALUE, INTERVAL_FIELD, STATUS, DEFINER, SQL_MODE FROM '
        f'information_schema.EVENTS WHERE EVENT_SCHEMA {NOT_SYSTEM}',
        aspects=_of_event,
    ),
    'foreign key': _Kind(
        statement="SELECT CONSTRAINT_SCHEMA, CONCAT(TABLE_NAME, '.', CONSTRAINT_NAME), "
        'REFERENCED_TABLE_NAME, UPDATE_RULE, DELETE_RULE '
        f'FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA {NOT_SYSTEM}',
        aspects=_of_foreign_key,
        opens='CONSTRAINT_SCHEMA',
    ),
}
