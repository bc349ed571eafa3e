# SPDX-License-Identifier: Apache-2.0
"""Counts and checksums of a table's rows."""

import concurrent.futures
from collections.abc import Sequence

from trove_upgrade.guestagent.datastores.mysql_family import connection
from trove_upgrade.guestagent.datastores.mysql_family.catalog import Table
from trove_upgrade.guestagent.datastores.table_facts import ChecksumOf, RowFacts, TableKind

#: SQL's functions of a digest.  MySQL 9.7 has no MD5 any more; agents of earlier releases sum
#: versioned tables, which MariaDB alone has, by it.
_MD5, _SHA2 = 'MD5({})', 'SHA2({}, 256)'
#: Of a large table, at least; as the engine estimates it.
LARGE_BYTES = 8 << 20


def read(
    session: connection.Session, table: Table, counting: connection.Session | None = None
) -> RowFacts | None:
    """Return what a fingerprint has of the rows; None where the server gives no checksum.

    `counting`: a second session, which counts while the first one takes the checksum.  The caller
    sees to it that nothing writes meanwhile.

    :raises SessionError: the table cannot be read.
    """
    if table.kind is TableKind.VERSIONED:
        return _read_versioned(session, table)
    if table.kind is TableKind.SEQUENCE:
        return RowFacts(count=_count(session, table.quoted), checksum=_state(session, table))
    # 10.11 and 11.8 take other sums of stored results, and any server another one of virtual
    # columns after its restart.  Source: MDEV-32079, and as measured on 10.11.19.
    if table.has_generated:
        rows = _count(session, table.quoted)
        _use(session, table)
        checksum = _sum(session, table.given, table.quoted, _SHA2)[1]
        return RowFacts(count=rows, checksum=checksum, checksum_of=ChecksumOf.VALUES)
    if counting is None:
        rows, shown = _count(session, table.quoted), _checksum(session, table)
    else:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:  # waits for it, whatever happens
            counted = pool.submit(_count, counting, table.quoted)
            shown = _checksum(session, table)
        rows = counted.result()
    return None if shown is None else RowFacts(count=rows, checksum=shown)


def is_large(table: Table) -> bool:
    """Return whether a second session is worth its statements."""
    return table.size_bytes >= LARGE_BYTES


def try_one(session: connection.Session, table: Table) -> None:
    """Read one row at most, in the way that `read` reads all: what keeps the table from being
    opened or its values from being summed shows.

    :raises SessionError: the table cannot be read.
    """
    if table.kind is TableKind.SEQUENCE:
        _state(session, table)
    elif table.kind is TableKind.VERSIONED:
        source = f'{table.quoted} FOR SYSTEM_TIME ALL'
        _sum(session, table.columns, _sample(table.columns, source), _MD5)
        _sum(session, table.given, _sample(table.given, source), _SHA2)
    elif table.has_generated:
        _use(session, table)
        _sum(session, table.given, _sample(table.given, table.quoted), _SHA2)
    else:
        _count(session, _sample((), table.quoted))


def _read_versioned(session: connection.Session, table: Table) -> RowFacts:
    """Read current rows and history, by the values of the visible columns, which agents of earlier
    releases sum; by all that were given, too, where some are invisible.
    """
    source = f'{table.quoted} FOR SYSTEM_TIME ALL'
    every, checksum = _sum(session, table.columns, source, _MD5)
    rows = _count(session, table.quoted)
    of_all = None
    if not set(table.given) <= set(table.columns):
        of_all = _sum(session, table.given, source, _SHA2)[1]
    return RowFacts(count=rows, checksum=checksum, history=every - rows, checksum_of_all=of_all)


def _count(session: connection.Session, source: str) -> int:
    return int(session.rows(f'SELECT COUNT(*) FROM {source}')[0][0])


def _checksum(session: connection.Session, table: Table) -> str | None:
    shown = session.rows(f'CHECKSUM TABLE {table.quoted} EXTENDED')[0][1]
    return None if shown is None else str(shown)


def _state(session: connection.Session, table: Table) -> str:
    values = session.rows(f'SELECT * FROM {table.quoted}')
    return ' '.join(str(value) for value in values[0])


def _use(session: connection.Session, table: Table) -> None:
    """MySQL looks functions of expressions up in the database that is in use."""
    session.rows(f'USE {connection.quoted(table.schema)}')


def _sample(columns: Sequence[str], source: str) -> str:
    """Return a source of one row."""
    selected = ', '.join(connection.quoted(name) for name in columns) or '1'
    return f'(SELECT {selected} FROM {source} LIMIT 1) AS one_row'


def _sum(
    session: connection.Session, columns: Sequence[str], source: str, digest: str
) -> tuple[int, str]:
    """Return how many rows there are, and a sum of their values; the sum and the exclusive-or
    forget the order.
    """
    each = (digest.format(f'CAST({connection.quoted(name)} AS BINARY)') for name in columns)
    values = ', '.join(f"COALESCE({value}, 'NULL')" for value in each) or "''"
    hashed = digest.format(f"CONCAT_WS(',', {values})")
    rows, added, either = session.rows(
        f'SELECT COUNT(*), COALESCE(SUM(CRC32({hashed})), 0), '
        f'COALESCE(BIT_XOR(CAST(CONV(LEFT({hashed}, 16), 16, 10) AS UNSIGNED)), 0) FROM {source}'
    )[0]
    return int(rows), f'{added}:{either}'
