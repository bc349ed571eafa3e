# SPDX-License-Identifier: Apache-2.0
"""Steps that tests of the way back to the former image share."""

from trove_upgrade.tests.functional.cloud.configured_case import ConfiguredCase


class RollbackCase(ConfiguredCase):
    def assert_rolled_back(self, instance, before, upgrade, code):
        self.assertEqual(('ROLLED_BACK', code), (upgrade['state'], upgrade['error_code']), upgrade)
        after = self.snapshot(instance)
        self.assertEqual(
            (before.server_version, before.image, before.tables, before.users),
            (after.server_version, after.image, after.tables, after.users),
        )
        self.assertNotEqual(before.boot_id, after.boot_id)
        shown = self.show(instance)
        self.assertEqual(
            ('ACTIVE', 'HEALTHY', self.former.name),
            (shown['status'], shown['operating_status'], shown['datastore']['version']),
        )
        self.assert_serves(instance, self.former)
