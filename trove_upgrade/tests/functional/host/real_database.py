# SPDX-License-Identifier: Apache-2.0
"""A database of a real server that our own migrations have made, and many threads at it at the same
moment.
"""

import concurrent.futures
import threading

import sqlalchemy as sa

from trove_upgrade.db import engine, models, repositories, trove_tables
from trove_upgrade.db.migrations.runner import Runner
from trove_upgrade.domain import exceptions
from trove_upgrade.tests.functional.host import databases
from trove_upgrade.tests.unit import database


class MigratedDatabase(database.SampleDatabase):
    """The samples, and nothing else, in a database that our own migrations have made."""

    def __init__(self, migrated):
        super().__init__()
        self.database = migrated
        self.repositories = repositories.Repositories.of(migrated)

    def _setUp(self):
        with self.database.write() as connection:
            for table in (
                *reversed(trove_tables.METADATA.sorted_tables),
                *models.METADATA.sorted_tables,
            ):
                connection.execute(sa.delete(table))
        self._add_samples()


class RealDatabase(databases.OneServer):
    """For test cases: one migrated database for all tests of a class, with the samples alone in it
    before each.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.migrated = engine.Database.from_url(
            cls.server.create(), max_pool_size=60, max_overflow=10
        )
        cls.addClassCleanup(cls.migrated.dispose)
        Runner(cls.migrated.engine).sync(standalone=True)

    def setUp(self):
        super().setUp()
        self.db = self.useFixture(MigratedDatabase(self.migrated))
        self.repos = self.db.repositories

    def together(self, count, call):
        """`call(number)` in that many threads at the same moment; what each returned or raised, by
        class.
        """
        barrier = threading.Barrier(count)

        def one(number):
            barrier.wait(30)
            try:
                return call(number)
            except exceptions.TroveUpgradeError as error:
                return error

        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, range(count)))
