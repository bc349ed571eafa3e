# SPDX-License-Identifier: Apache-2.0
"""One row written, read back and removed, in a schema of our own and out of the binary log."""

import secrets

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.datastores.mysql_family import connection

SCHEMA = 'trove_upgrade_probe'


def write(session: connection.Session) -> None:
    """Leaves nothing behind.  A database with a configuration that keeps all writers out, as it did
    before, is asked for none.

    :raises StepFailed: WRITE_PROBE_FAILED.
    """
    word = secrets.token_hex(8)
    try:
        if _keeps_all_out(session):
            return
        session.rows('SET SESSION sql_log_bin = 0')
        session.rows(f'DROP DATABASE IF EXISTS {SCHEMA}')  # of a run that was cut off
        session.rows(f'CREATE DATABASE {SCHEMA}')
        try:
            session.rows(
                f'CREATE TABLE {SCHEMA}.probe (word CHAR(16) NOT NULL PRIMARY KEY) ENGINE=InnoDB'
            )
            session.rows(f'INSERT INTO {SCHEMA}.probe VALUES (%s)', (word,))
            found = session.rows(f'SELECT word FROM {SCHEMA}.probe')
        finally:
            session.rows(f'DROP DATABASE {SCHEMA}')
    except connection.SessionError as error:
        raise _failed(error.text) from error
    if found != [(word,)]:
        raise _failed('the row that was written was not read back')


def _keeps_all_out(session: connection.Session) -> bool:
    """MySQL's super_read_only; no other setting keeps the agent out."""
    return any(
        str(row[1]).upper() in {'ON', '1'}
        for row in session.rows("SHOW GLOBAL VARIABLES LIKE 'super_read_only'")
    )


def _failed(found: str) -> exceptions.StepFailed:
    return exceptions.StepFailed(
        f'The database does not take writes: {found}. Look at its error log and its read_only '
        'setting.',
        'WRITE_PROBE_FAILED',
    )
