# SPDX-License-Identifier: Apache-2.0
"""Errors of statements that were made for another schema than the database has now."""

import sqlite3

#: MariaDB and MySQL: ER_BAD_FIELD_ERROR; ER_TABLE_DEF_CHANGED, for a statement that began before
#: the table was altered.
_OLD_COLUMNS_MYSQL = frozenset({1054, 1412})
#: PostgreSQL: undefined_column.
_OLD_COLUMNS_POSTGRESQL = '42703'


def is_of_old_columns(error: BaseException) -> bool:
    """Return whether a statement failed as it names a column that the table does not have."""
    # oslo.db's around SQLAlchemy's around the driver's
    driver = getattr(error, 'inner_exception', None) or error
    driver = getattr(driver, 'orig', None) or driver
    if (
        getattr(driver, 'sqlstate', None) == _OLD_COLUMNS_POSTGRESQL
        or getattr(driver, 'pgcode', None) == _OLD_COLUMNS_POSTGRESQL
    ):
        return True
    said = driver.args[0] if driver.args else None
    if isinstance(driver, sqlite3.OperationalError):
        return 'no such column' in str(said) or 'has no column named' in str(said)
    return said in _OLD_COLUMNS_MYSQL if isinstance(said, int) else False


#: ER_NO_SUCH_TABLE; undefined_table.  oslo.db 18 knows neither.
_NO_TABLE_MYSQL = 1146
_NO_TABLE_POSTGRESQL = '42P01'


def is_of_missing_table(error: BaseException) -> bool:
    """Return whether a statement failed as it names a table that is not there."""
    driver = getattr(error, 'inner_exception', None) or error
    driver = getattr(driver, 'orig', None) or driver
    if _NO_TABLE_POSTGRESQL in {getattr(driver, 'sqlstate', None), getattr(driver, 'pgcode', None)}:
        return True
    said = driver.args[0] if driver.args else None
    return said == _NO_TABLE_MYSQL or (
        isinstance(driver, sqlite3.OperationalError) and 'no such table' in str(said)
    )
