# SPDX-License-Identifier: Apache-2.0
"""A data migration of a table of its own, for tests: `number` is copied to `copied`, and each row
counts how often that was done.
"""

import sqlalchemy as sa

from trove_upgrade.db import models
from trove_upgrade.db.migrations.data.migration import Batch

AFTER, BEFORE = 'tango_expand01', 'tango_contract01'

METADATA = sa.MetaData()
TABLE = sa.Table(
    'numbers',
    METADATA,
    sa.Column('id', sa.String(36), primary_key=True),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('copied', sa.Integer(), nullable=True),
    sa.Column('changes', sa.Integer(), nullable=False),
    mysql_engine='InnoDB',
    mariadb_engine='InnoDB',
)


class Numbers:
    """Implements DataMigration, in the order of the ids."""

    after, before = AFTER, BEFORE

    def __init__(self, name='tango_numbers', *, prefix=''):
        self.name = name
        self._mine = sa.and_(TABLE.c.copied.is_(None), TABLE.c.id.startswith(prefix))
        self.batches = []

    def pending(self, connection):
        return connection.execute(
            sa.select(sa.func.count()).select_from(TABLE).where(self._mine)
        ).scalar_one()

    def is_pending(self, connection):
        return (
            connection.execute(sa.select(TABLE.c.id).where(self._mine).limit(1)).first() is not None
        )

    def run_batch(self, connection, cursor, limit):
        self.batches.append((cursor, limit))
        query = (
            sa.select(TABLE.c.id)
            .where(self._mine, TABLE.c.id > cursor)
            .order_by(TABLE.c.id)
            .limit(limit)
        )
        ids = connection.execute(query).scalars().all()
        if not ids:
            return Batch(0, 0, cursor)
        done = connection.execute(
            sa.update(TABLE)
            .where(TABLE.c.id.in_(ids), self._mine)
            .values(copied=TABLE.c.number, changes=TABLE.c.changes + 1)
        ).rowcount
        return Batch(len(ids), done, ids[-1])


def create(engine):
    METADATA.create_all(engine)
    models.METADATA.create_all(engine, tables=[models.upgrade_data_migrations])


def fill(engine, count, prefix='n'):
    """Fresh rows, and nothing of former runs."""
    with engine.begin() as connection:
        connection.execute(sa.delete(TABLE))
        connection.execute(sa.delete(models.upgrade_data_migrations))
        if count:
            connection.execute(sa.insert(TABLE), rows(range(count), prefix))


def rows(wanted, prefix='n'):
    return [
        {'id': f'{prefix}{number:07d}', 'number': number, 'copied': None, 'changes': 0}
        for number in wanted
    ]


def changes(engine):
    """How often rows were changed: {1: 40} is forty rows, each once."""
    with engine.connect() as connection:
        query = sa.select(TABLE.c.changes, sa.func.count()).group_by(TABLE.c.changes)
        return dict(connection.execute(query).tuples().all())


def state(engine, name='tango_numbers'):
    with engine.connect() as connection:
        table = models.upgrade_data_migrations
        return connection.execute(sa.select(table).where(table.c.name == name)).one_or_none()
