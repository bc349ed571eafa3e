# SPDX-License-Identifier: Apache-2.0
"""The schema on PostgreSQL, killed on the way; `make test` has it on MariaDB."""
from trove_upgrade.tests.functional.schema.test_schema import Killed, OnPostgreSQL, SchemaTestCase


class TestPostgreSQL(Killed, OnPostgreSQL, SchemaTestCase):
    pass
