# SPDX-License-Identifier: Apache-2.0
"""An upgrade that changes no image."""

from trove_upgrade.tests.functional.cloud import base


class TestSameImage(base.CloudTestCase):
    def test_the_image_that_it_already_runs_is_an_upgrade_too(self):
        instance = self.create_instance('same-image')
        before = self.snapshot(instance)

        upgrade = self.upgrade(instance, self.former)

        self.assertEqual('COMPLETED', upgrade['state'], upgrade)
        after = self.snapshot(instance)
        self.assertNotEqual(before.boot_id, after.boot_id)
        self.assertEqual(
            (before.server_version, before.image, before.tables),
            (after.server_version, after.image, after.tables),
        )
        self.assertEqual('ACTIVE', self.show(instance)['status'])
