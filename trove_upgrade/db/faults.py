# SPDX-License-Identifier: Apache-2.0
"""Faults of the database, and of the way to it, as errors with a code: what was found, and what to
do next.
"""

import logging
import re

import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import exception as db_exc

from trove_upgrade.conf import fault
from trove_upgrade.db import address, driver_errors, errors, models, trove_tables
from trove_upgrade.db.old_schema import is_of_missing_table, is_of_old_columns
from trove_upgrade.domain import exceptions

#: MariaDB and MySQL: no such user or password, no right to the database, no such database.
_MYSQL_NO_WAY_IN = frozenset({1044, 1045, 1049, 1130, 1698})
#: MariaDB and MySQL: ER_CON_COUNT_ERROR, ER_OUT_OF_RESOURCES, ER_HANDSHAKE_ERROR,
#: ER_UNKNOWN_COM_ERROR (Galera's node is not ready), ER_SERVER_SHUTDOWN, ER_HOST_IS_BLOCKED,
#: ER_CANT_CREATE_THREAD, ER_NET_READ_ERROR to ER_NET_WRITE_INTERRUPTED,
#: ER_TOO_MANY_USER_CONNECTIONS, ER_USER_LIMIT_REACHED, ER_CONNECTION_KILLED,
#: ER_SERVER_OFFLINE_MODE.
_MYSQL_OUTAGES = frozenset(
    {1040, 1041, 1043, 1047, 1053, 1129, 1135, 1158, 1159, 1160, 1161, 1203, 1226, 1927, 3032}
)
#: PostgreSQL: too_many_connections, admin_shutdown, crash_shutdown, cannot_connect_now,
#: idle_session_timeout.
_POSTGRESQL_OUTAGES = frozenset({'53300', '57P01', '57P02', '57P03', '57P05'})
#: PostgreSQL: the class of connection exceptions.
_POSTGRESQL_CONNECTION = '08'
#: libpq sends these without a number: at the connect there is no statement that could have failed.
_POSTGRESQL_NO_WAY_IN = re.compile(
    r'password authentication failed|database "[^"]*" does not exist'
    r'|role "[^"]*" does not exist|no pg_hba\.conf entry'
)
_WORD = re.compile(r'\w+')


class _MissingTables(logging.Filter):
    """Drops what oslo.db logs with a traceback for a table of ours that is missing: the code that
    catches the error logs it, in one line.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record stays.  Those of other tables do: in Trove's process they are
        Trove's.
        """
        error = record.exc_info[1] if record.exc_info else None
        return (
            error is None
            or not is_of_missing_table(error)
            or not any(name in str(error) for name in models.METADATA.tables)
        )


_MISSING_TABLES = _MissingTables()


def log_once() -> None:
    """Keep oslo.db from logging, in this process, what our own line says. Safe to call twice."""
    logging.getLogger('oslo_db.sqlalchemy.exc_filters').addFilter(_MISSING_TABLES)


def explain(
    error: BaseException, connection: str | None = None
) -> exceptions.TroveUpgradeError | None:
    """Return a fault with a code and a remedy; None where it is neither the database's nor the
    configuration's.

    The passwords of `connection`, a URL, are kept out of the text.
    """
    if isinstance(error, exceptions.TroveUpgradeError):
        return error
    if isinstance(error, cfg.Error):
        return fault.ConfigurationInvalid(found=fault.describe(error))
    if not isinstance(error, db_exc.DBError | sa.exc.SQLAlchemyError):
        return None
    if is_of_missing_table(error) or isinstance(error, db_exc.DBNonExistentTable):
        return _missing_table(error)
    found = address.without_secrets(said(error), connection)
    if is_of_old_columns(error):
        return errors.SchemaMissing(found=found, advice=errors.EXPAND_TABLES)
    return _kind(error)(found=found)


def line(error: BaseException, connection: str | None = None) -> str:
    """One line with the code, as every program of ours prints it."""
    known = explain(error, connection)
    return (
        f'ERROR {known.code}: {known.message}'
        if known
        else f'ERROR INTERNAL_ERROR: {type(error).__name__}: {said(error)}'
    )


def words(error: BaseException, connection: str | None = None) -> str:
    """Return an error as a part of a line: its code and its message, without the statement."""
    known = explain(error, connection)
    return f'{known.code}: {known.message}' if known else f'{type(error).__name__}: {said(error)}.'


def missing_tables(tables: set[str]) -> errors.SchemaMissing | None:
    """Return what a service needs and is not among `tables`; None where all is there."""
    needed = {
        name
        for name, table in models.METADATA.tables.items()
        if models.UNTIL_EXPAND not in table.info
    }
    ours = sorted(needed - tables)
    if ours:
        is_older = bool(set(models.METADATA.tables) & tables)
        advice = errors.EXPAND_TABLES if is_older else errors.MAKE_TABLES
        return errors.SchemaMissing(
            found=f'tables of trove-upgrade are missing ({", ".join(ours)})', advice=advice
        )
    troves = sorted(set(trove_tables.METADATA.tables) - tables)
    return _troves_missing(', '.join(troves)) if troves else None


def said(error: BaseException) -> str:
    """The first line of the driver's own text; the others are the statement, and links."""
    driver = driver_errors.drivers(error)
    if driver is None:
        return str(error).splitlines()[0].rstrip('.') if str(error) else type(error).__name__
    if len(driver.args) > 1 and isinstance(driver.args[0], int):
        return f'{driver.args[1]} ({driver.args[0]})'
    return str(driver).partition('\n')[0].strip().rstrip('.') or type(driver).__name__


def _missing_table(error: BaseException) -> errors.SchemaMissing:
    words = _WORD.findall(f'{getattr(error, "table", None) or ""} {said(error)}')
    troves = [word for word in words if word in trove_tables.METADATA.tables]
    if troves:
        return _troves_missing(troves[0])
    named = next((word for word in words if word in models.METADATA.tables), None)
    found = f'table {named} is missing' if named else f'a table is missing ({said(error)})'
    return errors.SchemaMissing(found=found, advice=errors.MAKE_TABLES)


def _troves_missing(names: str) -> errors.SchemaMissing:
    return errors.SchemaMissing(
        found=f'tables of Trove are missing ({names})', advice=errors.FIND_TROVES_TABLES
    )


def _kind(error: BaseException) -> type[exceptions.TroveUpgradeError]:
    driver = driver_errors.drivers(error)
    number = driver.args[0] if driver is not None and driver.args else None
    if (
        number in _MYSQL_NO_WAY_IN
        or isinstance(error, db_exc.DBNonExistentDatabase)
        or _POSTGRESQL_NO_WAY_IN.search(said(error))
    ):
        return errors.AccessRefused
    # psycopg2: it takes it for an error of a statement
    refuses_url = str(number).startswith('invalid dsn')
    if isinstance(error, db_exc.DBConnectionError) or refuses_url:
        return errors.AccessRefused if refuses_url else errors.DatabaseUnreachable
    return errors.DatabaseUnreachable if _is_outage(error, driver) else errors.StatementRefused


def _is_outage(error: BaseException, driver: BaseException | None) -> bool:
    """Return whether the server is full, starts or ends, or no connection could be had: what is
    asked again later may work.
    """
    if isinstance(error, sa.exc.TimeoutError):  # all connections of the pool are in use
        return True
    if driver is None:
        return False
    number = driver_errors.number(driver)
    if number is not None:
        return number in _MYSQL_OUTAGES
    state = driver_errors.sql_state(driver)
    if state is not None:
        return state in _POSTGRESQL_OUTAGES or state.startswith(_POSTGRESQL_CONNECTION)
    return _is_of_connect(error, driver)


def _is_of_connect(error: BaseException, driver: BaseException) -> bool:
    """Return whether libpq could not connect: its errors have no state then, and a text in the
    server's language.
    """
    met = driver_errors.wrapped(error)
    return (
        driver_errors.is_of_postgresql(driver)
        and isinstance(met, sa.exc.OperationalError)
        and met.statement is None
    )
