# SPDX-License-Identifier: Apache-2.0
"""The stop's readings, made while the database serves: what would end the fingerprint is found
before anything stops.

Of each table one row is read, so damage that opening the table does not show is left to the stop.
"""

from collections.abc import Callable, Sequence

from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores.mysql_family import connection, grants, reading, rows
from trove_upgrade.guestagent.datastores.mysql_family.catalog import Table
from trove_upgrade.guestagent.datastores.mysql_family.dialect import Dialect
from trove_upgrade.guestagent.datastores.table_facts import TableKind

NAME = 'readings'
#: For all tables, and for one of them; a connection that holds a table for longer does not hold up
#: the check.
_BUDGET_SECONDS, _TABLE_SECONDS = 20.0, 1
#: What the stop needs on every object, beside SELECT: to lock, to shut down, and to see other
#: connections.
_NEEDED = frozenset({'RELOAD', 'SHUTDOWN', 'PROCESS', 'SELECT'})
_EVERYTHING = 'ALL PRIVILEGES'
_NAMED = 5
_BUSY = connection.STATEMENT_TIMEOUT | {connection.LOCK_WAIT_TIMEOUT}


def rehearse(
    session: connection.Session, dialect: Dialect, monotonic: Callable[[], float]
) -> CheckResult:
    """Return what keeps the fingerprint from being taken.  The session's settings are others
    afterwards.

    :raises SessionError: the server has gone.
    """
    lacking = _lacking(session)
    if lacking:
        return _refused(
            'The database could not be stopped: the account of the agent lacks '
            f'{", ".join(lacking)}. Grant it on *.* and try again.',
            'AGENT_PRIVILEGES',
        )
    session.rows(f'SET SESSION lock_wait_timeout = {_TABLE_SECONDS}')
    try:
        found = reading.read(session, dialect)
    except connection.SessionError as error:
        if error.number in connection.CONNECTION_LOST:
            raise
        if error.number in _BUSY:
            return _busy(error.text)
        return _refused(
            'The fingerprint could not be taken: the server gives no answer to '
            f'"{error.statement}" ({error.text}). Mend the cause and try again.',
            Code.FINGERPRINT_FAILED,
        )
    dialect.limit_statements(session, _TABLE_SECONDS)
    tables = [
        table for table in found.tables if table.kind is not TableKind.VIEW and table.has_own_rows
    ]
    tried, broken = _try_all(session, tables, monotonic)
    if broken:
        return _unreadable(broken)
    return CheckResult.ok(
        NAME,
        f'What the fingerprint reads can be read: {len(found.accounts)} accounts, {tried} of '
        f'{len(tables)} tables.',
    )


def _try_all(
    session: connection.Session, tables: Sequence[Table], monotonic: Callable[[], float]
) -> tuple[int, list[str]]:
    """Return how many tables were opened, and each that cannot be read with the reason."""
    deadline = monotonic() + _BUDGET_SECONDS
    tried, broken = 0, []
    for table in tables:
        if monotonic() > deadline:
            break
        try:
            rows.try_one(session, table)
        except connection.SessionError as error:
            if error.number in connection.CONNECTION_LOST:
                raise
            if error.number in _BUSY or not _is_there(session, table):
                continue
            broken.append(f'{table.full_name} ({error.text})')
        tried += 1
    return tried, broken


def _is_there(session: connection.Session, table: Table) -> bool:
    """Return whether the table still is: what goes while a check looks was not there."""
    return bool(
        session.rows(
            'SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s',
            (table.schema, table.name),
        )
    )


def _lacking(session: connection.Session) -> list[str]:
    """Return the privileges that the agent's account lacks; none where the server does not list
    them, as without grant tables.
    """
    try:
        held = grants.items(str(row[0]) for row in session.rows('SHOW GRANTS'))
    except connection.SessionError as error:
        if error.number in connection.CONNECTION_LOST:
            raise
        return []
    everywhere = {privilege for privilege, target in held if target == '*.*'}
    return sorted(_NEEDED - everywhere) if everywhere and _EVERYTHING not in everywhere else []


def _busy(found: str) -> CheckResult:
    return CheckResult.warning(
        NAME,
        (
            'The upgrade may be refused: the catalog of the database cannot be read at this time '
            f'({found}). Look for statements that change tables, and wait for their end.'
        ),
        Code.DATABASE_BUSY,
    )


def _unreadable(broken: Sequence[str]) -> CheckResult:
    more = f' and {len(broken) - _NAMED} more' if len(broken) > _NAMED else ''
    return _refused(
        'The fingerprint could not be taken: tables cannot be read: '
        f'{", ".join(broken[:_NAMED])}{more}. Repair or drop them and try again.',
        Code.TABLE_UNREADABLE,
    )


def _refused(message: str, code: str) -> CheckResult:
    return CheckResult.refused(NAME, message, code)
