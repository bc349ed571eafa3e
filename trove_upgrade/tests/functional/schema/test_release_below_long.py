# SPDX-License-Identifier: Apache-2.0
"""The first release beside this one, on each server, with a million old upgrades; and the release
below where the other tests have no room.
"""

from trove_upgrade.tests import base
from trove_upgrade.tests.functional.schema import old_rows
from trove_upgrade.tests.functional.schema.test_release_below import FromAurora, FromBorealis


class MillionOnMariaDBTestCase(FromAurora, base.TestCase):
    server_class = old_rows.MariaDB


class MillionOnPostgreSQLTestCase(FromAurora, base.TestCase):
    server_class = old_rows.PostgreSQL


class ReleaseBelowOnPostgreSQLTestCase(FromBorealis, base.TestCase):
    server_class = old_rows.PostgreSQL
    old_upgrades = 1_000
