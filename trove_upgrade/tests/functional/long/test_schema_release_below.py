# SPDX-License-Identifier: Apache-2.0
"""The release below beside this one, on the other server."""
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.schema import old_rows
from trove_upgrade.tests.functional.schema.test_release_below import OnARealServer


class ReleaseBelowOnPostgreSQLTestCase(OnARealServer, base.TestCase):
    server_class = old_rows.PostgreSQL
