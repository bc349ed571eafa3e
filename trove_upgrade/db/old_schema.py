# SPDX-License-Identifier: Apache-2.0
"""Errors of statements that were made for another schema than the database has now."""

import sqlite3

from trove_upgrade.db import driver_errors

#: MariaDB and MySQL: ER_BAD_FIELD_ERROR; ER_TABLE_DEF_CHANGED, for a statement that began before
#: the table was altered.
_OLD_COLUMNS_MYSQL = frozenset({1054, 1412})
#: PostgreSQL: undefined_column.
_OLD_COLUMNS_POSTGRESQL = '42703'


def is_of_old_columns(error: BaseException) -> bool:
    """Return whether a statement failed as it names a column that the table does not have."""
    driver = driver_errors.drivers(error) or error
    if driver_errors.sql_state(driver) == _OLD_COLUMNS_POSTGRESQL:
        return True
    if isinstance(driver, sqlite3.OperationalError):
        return 'no such column' in str(driver) or 'has no column named' in str(driver)
    return driver_errors.number(driver) in _OLD_COLUMNS_MYSQL


#: ER_NO_SUCH_TABLE; undefined_table.  oslo.db 18 knows neither.
_NO_TABLE_MYSQL = 1146
_NO_TABLE_POSTGRESQL = '42P01'


def is_of_missing_table(error: BaseException) -> bool:
    """Return whether a statement failed as it names a table that is not there."""
    driver = driver_errors.drivers(error) or error
    if driver_errors.sql_state(driver) == _NO_TABLE_POSTGRESQL:
        return True
    return driver_errors.number(driver) == _NO_TABLE_MYSQL or (
        isinstance(driver, sqlite3.OperationalError) and 'no such table' in str(driver)
    )
