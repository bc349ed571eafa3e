# SPDX-License-Identifier: Apache-2.0
"""The schema on PostgreSQL, killed on the way, and synced by many at once; `make test` has both on MariaDB."""
from trove_upgrade.tests.functional.schema.test_schema import AtOnce, Killed, OnPostgreSQL, SchemaTestCase


class TestPostgreSQL(AtOnce, Killed, OnPostgreSQL, SchemaTestCase):
    pass
