# SPDX-License-Identifier: Apache-2.0
"""The schema, killed on the way; and on PostgreSQL synced by many at once, which `make test` has on
MariaDB.
"""

from trove_upgrade.tests.functional.schema.test_schema import (
    AtOnce,
    Killed,
    OnMariaDB,
    OnPostgreSQL,
    SchemaTestCase,
)


class TestMariaDB(Killed, OnMariaDB, SchemaTestCase):
    pass


class TestPostgreSQL(AtOnce, Killed, OnPostgreSQL, SchemaTestCase):
    pass
