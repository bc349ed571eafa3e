# SPDX-License-Identifier: Apache-2.0
"""Nova fails once."""
from trove_upgrade.tests.functional.cloud.test_failures import NovaCase


class TestNovaFailsOnce(NovaCase):

    def test_an_image_that_cannot_be_loaded_once_is_tried_again(self):
        instance = self.create_instance('unloadable-once')
        self.turn(instance, image_unloadable=True, times=1)

        upgrade = self.upgrade(instance)

        self.assertEqual('COMPLETED', upgrade['state'], upgrade)
        self.assert_serves(instance, self.target)
