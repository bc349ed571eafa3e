# SPDX-License-Identifier: Apache-2.0
"""A schema as text, exactly as the server has it, so that two of them can be compared."""

import sqlalchemy as sa

from trove_upgrade.db.migrations.chain import MAIN

#: Tables that keep books, and differ in nothing but their rows.
_BOOKS = {'upgrade_schema_lease'}

#: As `db version` prints it, at the end, and where a database of release aurora is before its
#: contracts.
NEWEST = f'{MAIN.head("expand")}, {MAIN.head("contract")}'
EXPANDED = f'{MAIN.head("expand")}, aurora_contract01'


def dump(engine):
    """By table; every engine's own words."""
    with engine.connect() as connection:
        names = sorted(set(sa.inspect(connection).get_table_names()) - _BOOKS)
        return {name: _DUMPS[engine.dialect.name](connection, name) for name in names}


def _mysql(connection, name):
    return connection.exec_driver_sql(f'SHOW CREATE TABLE {name}').one()[1]


def _postgresql(connection, name):
    columns = connection.execute(
        sa.text(
            'SELECT column_name, data_type, character_maximum_length, is_nullable, '
            'column_default, datetime_precision FROM information_schema.columns WHERE table_name '
            '= :name ORDER BY column_name'
        ),
        {'name': name},
    ).all()
    indexes = (
        connection.execute(
            sa.text('SELECT indexdef FROM pg_indexes WHERE tablename = :name ORDER BY 1'),
            {'name': name},
        )
        .scalars()
        .all()
    )
    constraints = connection.execute(
        sa.text(
            'SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = '
            'CAST(:name AS regclass) ORDER BY 1'
        ),
        {'name': name},
    ).all()
    return [tuple(row) for row in (*columns, *constraints)] + list(indexes)


def _sqlite(connection, name):
    found = connection.execute(
        sa.text(
            'SELECT sql FROM sqlite_master WHERE tbl_name = :name AND sql IS NOT NULL ORDER BY name'
        ),
        {'name': name},
    )
    return [' '.join(sql.split()) for sql in found.scalars()]  # it keeps the statement's own spaces


_DUMPS = {'mysql': _mysql, 'mariadb': _mysql, 'postgresql': _postgresql, 'sqlite': _sqlite}
