# SPDX-License-Identifier: Apache-2.0
"""Whether a copy is stale, on real servers: their collations and their NULLs decide."""

import sqlalchemy as sa

from trove_upgrade.db import engine
from trove_upgrade.db.migrations.data.differing import Differs
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases

_ROWS = {
    'same': ('Prod', 'Prod'),
    'none': (None, None),
    'case': ('Prod', 'prod'),
    'accent': ('e', 'é'),
    'blank': ('a', 'a '),
    'cleared': (None, 'a'),
    'not copied': ('a', None),
}


class OnARealServer(databases.OneServer):
    def test_a_copy_differs_by_any_byte_and_by_null(self):
        database = engine.Database.from_url(self.server.create())
        self.addCleanup(database.dispose)
        notes = sa.Table(
            'notes',
            sa.MetaData(),
            *(sa.Column(name, sa.String(20)) for name in ('name', 'old', 'new')),
            mysql_charset='utf8mb4',
        )
        notes.create(database.engine)
        with database.write() as connection:
            connection.execute(
                sa.insert(notes),
                [{'name': name, 'old': old, 'new': new} for name, (old, new) in _ROWS.items()],
            )
            found = (
                connection.execute(sa.select(notes.c.name).where(Differs(notes.c.new, notes.c.old)))
                .scalars()
                .all()
            )
        self.assertEqual(set(_ROWS) - {'same', 'none'}, set(found))


class TestMariaDB(OnARealServer, base.TestCase):
    server_class = databases.MariaDB


class TestPostgreSQL(OnARealServer, base.TestCase):
    server_class = databases.PostgreSQL
