# SPDX-License-Identifier: Apache-2.0
"""Trove's own tables, as its own migrations make them; kept in the cache, because a fresh cloud
wants them in a second.
"""

import pathlib

from lab import commands, errors
from lab.services import mariadb, openstack, trove
from lab.settings import Settings

ALONE = 'alembic_version_trove_upgrade_standalone'
_TABLES = (
    "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{}' ORDER BY "
    'TABLE_NAME;'
)


def ensure(settings: Settings, database: str) -> None:
    """Make the tables in a database that has none; in one that has them nothing is done.

    trove.conf must name this database.

    :raises CommandFailed: trove-manage failed.
    :raises LabError: trove-upgrade runs alone on this database; its tables only look like Trove's.
    """
    tables = _tables(settings, database)
    if ALONE in tables:
        raise errors.LabError(
            f'Cannot start Trove on database {database}: trove-upgrade runs alone on it. Run '
            'trove-upgrade-lab down first, then up --trove.',
            code='lab_runs_alone',
        )
    if tables:
        return
    kept = _kept(settings)
    if kept.exists():
        mariadb.execute(settings, f'USE {database};\n{kept.read_text()}')
        return
    migration = trove.migration(settings)
    commands.run(
        migration.argv,
        log=settings.layout.log_file('migrate-trove'),
        env=migration.env,
        timeout_seconds=openstack.MIGRATION_SECONDS,
    )
    unfinished = kept.with_suffix('.new')
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    unfinished.write_text(dump(settings, database))
    unfinished.rename(kept)


def dump(settings: Settings, database: str) -> str:
    """Statements that make the same tables again, in the order of their names: also to compare a
    schema before and after.

    With the rows of tables that a migration fills: a few, of text and numbers alone.
    """
    statements = ['SET FOREIGN_KEY_CHECKS = 0;']
    for table in _tables(settings, database):
        created = mariadb.execute(settings, f'SHOW CREATE TABLE `{database}`.`{table}`;')[0][1]
        statements.append(created.replace('\\n', '\n') + ';')
        for row in mariadb.execute(settings, f'SELECT * FROM `{database}`.`{table}`;'):
            values = ', '.join(
                'NULL' if value == 'NULL' else "'" + value.replace("'", "''") + "'" for value in row
            )
            statements.append(f'INSERT INTO `{table}` VALUES ({values});')
    return '\n'.join([*statements, 'SET FOREIGN_KEY_CHECKS = 1;', ''])


def _tables(settings: Settings, database: str) -> list[str]:
    return [row[0] for row in mariadb.execute(settings, _TABLES.format(database))]


def _kept(settings: Settings) -> pathlib.Path:
    return settings.layout.cache_dir / 'trove-schemas' / f'{settings.venv.digest}.sql'
