# SPDX-License-Identifier: Apache-2.0
"""Outages of the database: errors after which the same may work in a while."""

from oslo_db import exception as db_exc

from trove_upgrade.db import driver_errors, errors, faults

#: MariaDB and MySQL: ER_OPTION_PREVENTS_STATEMENT, ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION and
#: ER_READ_ONLY_MODE.  A server is so for a while when another one takes its place.
_MYSQL_READ_ONLY = frozenset({1290, 1792, 1836})
#: PostgreSQL: read_only_sql_transaction; serialization_failure, deadlock_detected and
#: lock_not_available.
_POSTGRESQL_AGAIN = frozenset({'25006', '40001', '40P01', '55P03'})


def is_outage(error: BaseException) -> bool:
    """Return whether the database was away, full, read-only or busy with others.

    A statement or a login that it refuses is none: it will refuse that again.
    """
    if isinstance(error, db_exc.DBDeadlock):  # it was begun again, and given up each time
        return True
    driver = driver_errors.drivers(error)
    if driver is not None and (
        driver_errors.number(driver) in _MYSQL_READ_ONLY
        or driver_errors.sql_state(driver) in _POSTGRESQL_AGAIN
    ):
        return True
    if getattr(driver_errors.wrapped(error), 'connection_invalidated', False):
        return True
    known = faults.explain(error)
    return isinstance(known, errors.DatabaseUnreachable) and not isinstance(
        known, errors.AccessRefused
    )
