# SPDX-License-Identifier: Apache-2.0
"""Nova accepts a rebuild, and its answer is lost, or it cannot load the image: always, or once."""
from trove_upgrade.tests.functional.cloud.test_failures import REBUILD, NovaCase


class TestImageCannotBeLoaded(NovaCase):

    def test_an_image_that_cannot_be_loaded_leaves_the_old_guest_serving(self):
        instance = self.create_instance('unloadable')
        self.turn(instance, image_unloadable=True)

        upgrade = self.upgrade(instance)

        self.assertEqual('ABORTED', upgrade['state'], upgrade)
        self.assert_serves(instance, self.former)

    def test_an_image_that_cannot_be_loaded_once_is_tried_again(self):
        instance = self.create_instance('unloadable-once')
        self.turn(instance, image_unloadable=True, times=1)

        upgrade = self.upgrade(instance)

        self.assertEqual('COMPLETED', upgrade['state'], upgrade)
        self.assert_serves(instance, self.target)


class TestAnswerIsLost(NovaCase):

    def test_an_answer_that_is_lost_after_nova_accepted_does_not_rebuild_twice(self):
        instance = self.create_instance('lost-answer')
        self.fail_nova(action='drop_answer', count=1, **REBUILD)

        upgrade = self.upgrade(instance)

        self.assertEqual('COMPLETED', upgrade['state'], upgrade)
        self.assertEqual(1, self.rebuilds(instance))
        self.assert_serves(instance, self.target)
