# SPDX-License-Identifier: Apache-2.0
"""The release below beside this one, on each server, with a million old upgrades."""
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.schema import old_rows
from trove_upgrade.tests.functional.schema.test_release_below import OnARealServer


class MillionOnMariaDBTestCase(OnARealServer, base.TestCase):
    server_class = old_rows.MariaDB


class MillionOnPostgreSQLTestCase(OnARealServer, base.TestCase):
    server_class = old_rows.PostgreSQL
