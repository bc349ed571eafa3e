# SPDX-License-Identifier: Apache-2.0
"""Structure of tables: engine and options, attributes of columns, indexes, CHECK constraints, each
in a form that an upgrade does not change.

Texts of expressions are not compared: a server makes them anew from what it has stored, and
releases write the same one in several ways.  That there is one is compared.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from trove_upgrade.guestagent.datastores.mysql_family import catalog, connection, versions
from trove_upgrade.guestagent.datastores.mysql_family.catalog import NOT_SYSTEM, Table
from trove_upgrade.guestagent.datastores.mysql_family.definitions import present_type
from trove_upgrade.guestagent.datastores.mysql_family.digests import digest
from trove_upgrade.guestagent.datastores.table_facts import TableKind

#: Kind of parts -> name -> digest.  A kind that the server could not be asked for is not there.
Structure = dict[str, dict[str, str]]
_Row = tuple[str, str, str, str]  #: schema, table, name of the part, digest
COLUMN, INDEX, CONSTRAINT, ATTRIBUTE = 'column', 'index', 'CHECK constraint', ''
#: Of more, indexes and constraints are not read: no client can write meanwhile, and MariaDB opens
#: each table once more for each of the two. Measured on a busy machine of two cores: 3000 tables
#: take 20 s.
MOST_TABLES = 10_000
#: Digits of a digest: it tells a change, and keeps nothing secret.
_LENGTH = 12
_WITH_STRUCTURE = frozenset({TableKind.TABLE, TableKind.VERSIONED})
#: MySQL's generated invisible primary key, shown or not as a variable says.  Source: MySQL 8.4
#: Reference Manual, "Generated Invisible Primary Keys".
_GENERATED_KEY = 'my_row_id'
#: MariaDB writes literals of defaults in quotes since then, and expressions without.  Source:
#: MariaDB Knowledge Base, "Information Schema COLUMNS Table".
_QUOTED_SINCE = (10, 2, 7)
_ATTRIBUTES = ('AUTO_INCREMENT', 'ON UPDATE', 'INVISIBLE', 'VIRTUAL', 'WITHOUT SYSTEM VERSIONING')
_STORED = ('STORED GENERATED', 'PERSISTENT')
#: Their default is text in the one and bits or hexadecimal in the other release.
_BINARY = ('bit', 'binary', 'varbinary', 'tinyblob', 'blob', 'mediumblob', 'longblob')
_WITH_TIME = ('timestamp', 'datetime')
_INEXACT = ('float', 'double')
_NUMBER = re.compile(r'[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?', re.IGNORECASE)
_NOW = re.compile(
    r'(?:current_timestamp|now|localtimestamp|localtime)(?:\((\d*)\))?', re.IGNORECASE
)
_OPTION = re.compile(r"`?(\w+)`?=(?:'([^']*)'|\"([^\"]*)\"|`([^`]*)`|(\S*))")
#: Options that say how rows are kept, without those that say how fast.
_OPTIONS = frozenset(
    {'ENCRYPTED', 'ENCRYPTION_KEY_ID', 'PAGE_COMPRESSED', 'COMPRESSION', 'ENCRYPTION'}
)
_ON, _OFF = frozenset({'1', 'ON', 'YES', 'Y'}), frozenset({'', '0', 'OFF', 'N', 'NONE', 'DEFAULT'})
_FORMER_COLLATION = re.compile(r'^utf8(?=_(?!mb)|$)')


def read(
    session: connection.Session, tables: Sequence[Table], far: Sequence[Table]
) -> dict[str, Structure]:
    """Return the structure of each table by its full name.  `far`: tables that the server must not
    open; of these the columns alone are known.

    :raises SessionError: the server gives no answer to a statement.
    """
    shown = _shown(session)
    readings: dict[str, Iterator[_Row]] = {
        COLUMN: _columns(session),
        ATTRIBUTE: _attributes(session, far),
    }
    if len(tables) <= MOST_TABLES:
        readings[INDEX] = _indexes(session, shown, far)
        if 'CHECK_CONSTRAINTS' in shown:
            readings[CONSTRAINT] = _constraints(session, shown, far)
    unopened = {table.full_name for table in far}
    found: dict[str, Structure] = {}
    for table in tables:
        if table.kind in _WITH_STRUCTURE:
            kinds = [COLUMN] if table.full_name in unopened else readings
            found[table.full_name] = {kind: {} for kind in kinds}
    for kind, rows in readings.items():
        for schema, name, part, value in rows:
            structure = found.get(f'{schema}.{name}', {})
            if kind in structure:
                structure[kind][part] = value
    return found


def lost(
    before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    """Yield what a table has no more, or in another way; kinds that one of the two agents or
    servers did not know are not compared.
    """
    for kind in sorted(before.keys() & after.keys()):
        for name, value in sorted(before[kind].items()):
            words = f'{kind} {name}'.strip()
            if name not in after[kind]:
                yield f'has no {words} any more'
            elif after[kind][name] != value:
                yield f'has another {words} now'


def _shown(session: connection.Session) -> dict[str, frozenset[str]]:
    """Return which columns the server has in the views that differ from release to release."""
    rows = session.rows(
        'SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS '
        "WHERE TABLE_SCHEMA = 'information_schema' "
        "AND TABLE_NAME IN ('STATISTICS', 'CHECK_CONSTRAINTS', 'TABLE_CONSTRAINTS')"
    )
    found: dict[str, set[str]] = {}
    for table, column in rows:
        found.setdefault(str(table).upper(), set()).add(str(column).upper())
    return {table: frozenset(columns) for table, columns in found.items()}


def _short(*parts: object) -> str:
    return digest(*parts)[:_LENGTH]


def _columns(session: connection.Session) -> Iterator[_Row]:
    version = str(session.rows('SELECT VERSION()')[0][0])
    has_quotes = versions.is_mariadb(version) and versions.release(version) >= _QUOTED_SINCE
    rows = session.rows(
        'SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, '
        f'EXTRA, COLLATION_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA {NOT_SYSTEM}'
    )
    for schema, table, name, kind, nullable, default, extra, collation in rows:
        flags = str(extra or '').upper()
        if str(name) == _GENERATED_KEY and 'INVISIBLE' in flags:
            continue
        attributes = [word for word in _ATTRIBUTES if word in flags]
        is_stored = any(word in flags for word in _STORED)
        is_compressed = 'COMPRESSED' in str(kind or '')
        value = _short(
            _type(kind), nullable, attributes, is_stored, is_compressed, _collation(collation),
            _default(default, str(kind or ''), flags, has_quotes=has_quotes),
        )  # fmt: skip
        yield str(schema), str(table), str(name), value


def _type(text: object) -> str:
    """Source: MySQL 8.0 Reference Manual, "Spatial Data Types": GEOMETRYCOLLECTION is shown as
    GEOMCOLLECTION since 8.0.11.
    """
    return present_type(text).replace('geometrycollection', 'geomcollection')


def _collation(name: object) -> str:
    return _FORMER_COLLATION.sub('utf8mb3', str(name or ''))


def _default(value: object, kind: str, flags: str, *, has_quotes: bool) -> str:
    """Return a literal as it is, or that there is an expression; '' for none, and for NULL."""
    if value is None or (has_quotes and value == 'NULL'):
        return ''
    text = str(value)
    now = _NOW.fullmatch(text)
    if now and (has_quotes or kind.startswith(_WITH_TIME)):
        return f'current_timestamp {now.group(1) or 0}'
    is_quoted = len(text) > 1 and text[0] == text[-1] == "'"
    if kind.startswith(_BINARY) or 'DEFAULT_GENERATED' in flags:
        return 'expression'
    if has_quotes and not is_quoted and not _NUMBER.fullmatch(text):
        return 'expression'
    plain = text[1:-1].replace("''", "'") if has_quotes and is_quoted else text
    if kind.startswith(_INEXACT) and _NUMBER.fullmatch(plain):
        return f'literal {float(plain):.6g}'
    return f'literal {plain}'


def _attributes(session: connection.Session, far: Sequence[Table]) -> Iterator[_Row]:
    rows = session.rows(
        'SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE, TABLE_COLLATION, CREATE_OPTIONS FROM '
        f'information_schema.TABLES WHERE TABLE_SCHEMA {NOT_SYSTEM}{catalog.leaving_out(far)}'
    )
    for schema, table, engine, collation, options in rows:
        if engine is None:
            continue
        found = _kept_options(str(options or ''))
        is_partitioned = 'partitioned' in str(options or '').lower().split()
        for name, value in (
            ('engine', str(engine).lower()),
            ('collation', _collation(collation)),
            ('encryption or compression', found),
            ('partitioning', is_partitioned),
        ):
            yield str(schema), str(table), name, _short(value)


def _kept_options(text: str) -> list[tuple[str, str]]:
    found = []
    for name, *values in _OPTION.findall(text):
        value = next((value for value in values if value), '').upper()
        # an ENCRYPTED that is off is kept as it is by a server that encrypts
        if name.upper() == 'ENCRYPTED' and value in {'NO', 'OFF', 'N'}:
            found.append(('ENCRYPTED', 'NO'))
        elif name.upper() in _OPTIONS and value not in _OFF:
            found.append((name.upper(), 'ON' if value in _ON else value))
    return sorted(found)


def _indexes(
    session: connection.Session, shown: Mapping[str, frozenset[str]], far: Sequence[Table]
) -> Iterator[_Row]:
    columns = shown.get('STATISTICS', frozenset())
    unused = "'NO'"
    if 'IGNORED' in columns:
        unused = 'IGNORED'
    elif 'IS_VISIBLE' in columns:
        unused = "IF(IS_VISIBLE = 'NO', 'YES', 'NO')"
    rows = session.rows(
        'SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, NON_UNIQUE, INDEX_TYPE, COLUMN_NAME, '
        f'SUB_PART, COLLATION, {unused} FROM information_schema.STATISTICS WHERE TABLE_SCHEMA '
        f'{NOT_SYSTEM}{catalog.leaving_out(far)} ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, '
        'SEQ_IN_INDEX'
    )
    found: dict[tuple[str, str, str], list[object]] = {}
    for schema, table, name, non_unique, kind, column, length, direction, ignored in rows:
        special = str(kind) if str(kind) in {'FULLTEXT', 'SPATIAL', 'VECTOR'} else ''
        head = (str(non_unique), special, str(ignored))
        part = (column, '' if special or length is None else str(length), direction == 'D')
        found.setdefault((str(schema), str(table), str(name)), [head]).append(part)
    for (schema, table, name), parts in found.items():
        if parts[1:] != [(_GENERATED_KEY, '', False)]:
            yield schema, table, str(name), _short(*parts)


def _constraints(
    session: connection.Session, shown: Mapping[str, frozenset[str]], far: Sequence[Table]
) -> Iterator[_Row]:
    """MariaDB's constraints of columns stand in CHECK_CONSTRAINTS alone; MySQL's table of that name
    names no table.
    """
    if 'TABLE_NAME' in shown['CHECK_CONSTRAINTS']:
        statement = (
            "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, 'YES' "
            'FROM information_schema.CHECK_CONSTRAINTS '
            f'WHERE CONSTRAINT_SCHEMA {NOT_SYSTEM}{catalog.leaving_out(far, "CONSTRAINT_SCHEMA")}'
        )
    else:
        enforced = 'ENFORCED' if 'ENFORCED' in shown.get('TABLE_CONSTRAINTS', ()) else "'YES'"
        statement = (
            f'SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, {enforced} '
            "FROM information_schema.TABLE_CONSTRAINTS WHERE CONSTRAINT_TYPE = 'CHECK' "
            f'AND TABLE_SCHEMA {NOT_SYSTEM}{catalog.leaving_out(far)}'
        )
    for schema, table, name, is_enforced in session.rows(statement):
        yield str(schema), str(table), str(name), _short(is_enforced)
