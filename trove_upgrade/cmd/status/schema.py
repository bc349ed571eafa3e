# SPDX-License-Identifier: Apache-2.0
"""The checks of the database's tables and of the release that its schema is at."""

from oslo_upgradecheck import upgradecheck
from sqlalchemy import Connection, inspect

from trove_upgrade.cmd.status.results import failure, success, warning
from trove_upgrade.db import engine, errors, faults, models, trove_tables
from trove_upgrade.db.migrations import position
from trove_upgrade.db.migrations.chain import MAIN, release_of

#: Of a database without any revision of ours.
_NONE = 'none'


def table_names(url: str) -> set[str]:
    """Return the names of all tables of a database, after one attempt to connect.

    :raises DBError, SQLAlchemyError: it cannot be asked.
    """
    # max_retries=0 would look at nothing before it is used
    database = engine.Database.from_url(url, max_retries=1, retry_interval=0)
    try:
        return set(inspect(database.engine).get_table_names())
    finally:
        database.dispose()


def schema_result(connection: Connection) -> upgradecheck.Result:
    """Return the result of the look at where the database is between our releases.

    :raises SchemaFromTheFuture: it holds a revision that this release does not know.
    """
    now = position.read(connection, MAIN)
    if now.next is None:
        return success(f'The database is at this release: {now.version}.')
    if now.version == _NONE:
        return failure(f'The database is of no version of trove-upgrade. {errors.MAKE_TABLES}.')
    text = (
        f'The database is at {now.version}: {now.describe()}. Run "trove-upgrade-manage db '
        f'{now.next}"'
    )
    if now.next is position.Phase.EXPAND and {
        release_of(revision) for revision in now.pending['expand']
    } == {MAIN.releases()[-1]}:
        return warning(
            f'{text}: services of this release and of the one before work, without what it adds.'
        )
    if now.next is position.Phase.EXPAND:
        return failure(
            f'{text} before any service of this release starts; those of the release before go on '
            'working.'
        )
    if now.next is position.Phase.MIGRATE:
        return warning(f'{text}; services of both releases go on working.')
    return warning(f'{text} once no service of an earlier release runs.')


def tables_result(tables: set[str], backend: str) -> upgradecheck.Result:
    """Return the result of the look for tables that are missing among `tables`."""
    missing = faults.missing_tables(tables)
    if missing is not None:
        return failure(missing.message)
    return success(
        f'The database is {backend} and has our {len(models.METADATA.tables)} tables and the '
        f'{len(trove_tables.METADATA.tables)} of Trove that are read.'
    )
