# SPDX-License-Identifier: Apache-2.0
"""Tables whose rows are in files of their own, at a place that the table's definition or its engine chooses.

Source: MariaDB Knowledge Base, "CONNECT Create Table Options" (a relative name counts from the directory of the database) and
"MariaDB ColumnStore File System".
"""

import pathlib
import re
from collections.abc import Iterator

from trove_upgrade.guestagent.datastores.mysql_family import connection, stray

_TABLES = "SELECT TABLE_SCHEMA, TABLE_NAME, UPPER(ENGINE) FROM information_schema.TABLES WHERE ENGINE IN ('CONNECT', 'Columnstore') ORDER BY 1, 2"
_COLUMNSTORE = pathlib.Path('/var/lib/columnstore')
_FILE_NAME = re.compile(r"`?FILE_NAME`?\s*=\s*'((?:[^'\\]|''|\\.)*)'", re.IGNORECASE)
_ESCAPED = re.compile(r"''|\\(.)")
_NO_SUCH_TABLE = frozenset({1146, 1049})


def outside(session: connection.Session, data: pathlib.Path, volume: pathlib.Path) -> Iterator[str]:
    """Yield sentences' parts for those that are not on the volume.

    :raises SessionError: the server said no, or has gone.
    """
    for schema, name, engine in session.rows(_TABLES):
        if engine == 'COLUMNSTORE':
            if not stray.is_below(_COLUMNSTORE, volume):
                yield f'table {schema}.{name} is of ColumnStore, which keeps its rows in {_COLUMNSTORE}'
            continue
        for file in _named(session, str(schema), str(name)):
            if not stray.is_below(data / str(schema) / file, volume):
                yield f'table {schema}.{name} has its rows in {file}'


def _named(session: connection.Session, schema: str, name: str) -> list[str]:
    try:
        definition = str(session.rows(f'SHOW CREATE TABLE {connection.quoted(schema, name)}')[0][1])
    except connection.SessionError as error:
        if error.number in _NO_SUCH_TABLE:  # dropped since
            return []
        raise
    return [
        _ESCAPED.sub(lambda found: found.group(1) or "'", file)
        for file in _FILE_NAME.findall(definition)
        if file
    ]
