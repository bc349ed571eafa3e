# SPDX-License-Identifier: Apache-2.0
"""Tables with rows in files of their own, at a place that the table's definition or its engine
chooses.

Source: MariaDB Knowledge Base, "CONNECT Create Table Options" (a relative name counts from the
directory of the database) and "MariaDB ColumnStore File System".
"""

import pathlib
import re
from collections.abc import Iterator

from trove_upgrade.guestagent.datastores.mysql_family import connection, outside_volume

_TABLES = (
    'SELECT TABLE_SCHEMA, TABLE_NAME, UPPER(ENGINE) FROM information_schema.TABLES WHERE '
    "ENGINE IN ('CONNECT', 'Columnstore') ORDER BY 1, 2"
)
_COLUMNSTORE = pathlib.Path('/var/lib/columnstore')
#: Options of a table and their values, after its columns.
_OPTION = re.compile(r"`?([A-Za-z_][A-Za-z_ ]*?)`?\s*=\s*'((?:[^'\\]|''|\\.)*)'")
_ESCAPED = re.compile(r"''|\\(.)")
#: Slashes in them begin no path.
_NO_PATHS = frozenset(
    {'SEP_CHAR', 'QCHAR', 'URI', 'HTTP', 'TABNAME', 'DBNAME', 'SRCDEF', 'COMMENT', 'SUBTYPE'}
)
_NO_SUCH_TABLE = frozenset({1146, 1049})


def outside(session: connection.Session, data: pathlib.Path, volume: pathlib.Path) -> Iterator[str]:
    """Yield sentences' parts for those that are not on the volume.

    :raises SessionError: the server said no, or has gone.
    """
    for schema, name, engine in session.rows(_TABLES):
        if engine == 'COLUMNSTORE':
            if not outside_volume.is_below(_COLUMNSTORE, volume):
                yield (
                    f'table {schema}.{name} is of ColumnStore, which keeps its rows in '
                    f'{_COLUMNSTORE}'
                )
            continue
        for file in _named(session, str(schema), str(name)):
            if not outside_volume.is_below(data / str(schema) / file, volume):
                yield f'table {schema}.{name} has its rows in {file}'


def _named(session: connection.Session, schema: str, name: str) -> list[str]:
    try:
        definition = str(session.rows(f'SHOW CREATE TABLE {connection.quoted(schema, name)}')[0][1])
    except connection.SessionError as error:
        if error.number in _NO_SUCH_TABLE:  # dropped since
            return []
        raise
    options = definition[definition.upper().rfind('ENGINE=') :]
    return [path for key, value in _OPTION.findall(options) for path in _paths(key, value)]


def _paths(key: str, value: str) -> Iterator[str]:
    """Paths of one option: its value, or values of a list in it as
    `File_name=/srv/x.json,Pretty=1`.
    """
    if key.strip().upper() in _NO_PATHS:
        return
    text = _ESCAPED.sub(lambda found: found.group(1) or "'", value)
    is_name = key.strip().upper() == 'FILE_NAME'
    for part in (
        [text] if is_name else [item.rpartition('=')[2].strip() for item in text.split(',')]
    ):
        if part and (is_name or part.startswith('/') or '..' in part.split('/')):
            yield part
