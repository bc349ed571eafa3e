# SPDX-License-Identifier: Apache-2.0
"""Faults around a rebuild: the server that serves afterwards, and the words for the operator.
`make test` has a refusal (notifications) and a rollback.
"""

from trove_upgrade.tests.functional.cloud.nova_case import REBUILD, NovaCase


class TestNovaFails(NovaCase):
    def test_a_rebuild_that_fails_after_acceptance_is_an_error_with_its_cause_and_retry_completes_it(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        instance = self.create_instance('no-space')
        before = self.snapshot(instance)
        self.turn(instance, spawn_error='no space left', times=1)

        upgrade = self.upgrade(instance)

        self.assertEqual('FAILED', upgrade['state'], upgrade)
        self.assertIn('no space left', upgrade['cause'])
        shown = self.show(instance)
        self.assertEqual(
            ('ERROR', self.former.name), (shown['status'], shown['datastore']['version'])
        )
        self.assertIn('no space left', shown['fault']['message'])
        status, body = self.patch(instance, self.target.name)
        self.assertEqual(
            (422, 'INSTANCE_NEEDS_RETRY'), (status, body['unprocessableEntity']['error_code'])
        )

        self.product.manage('upgrade', 'retry', upgrade['id'])

        self.assertEqual('COMPLETED', self.wait_ended(instance)['state'])
        self.assert_serves(instance, self.target)
        self.assertEqual(before.tables.keys(), self.snapshot(instance).tables.keys())
        self.assertEqual('ACTIVE', self.show(instance)['status'])

    def test_nova_refuses_the_upgrade_is_undone_and_the_database_serves_as_before(self):
        instance = self.create_instance('refused')
        self.fail_nova(
            action='refuse',
            status=403,
            count=-1,
            answer='{"forbidden": {"code": 403, "message": "not today"}}',
            **REBUILD,
        )

        upgrade = self.upgrade(instance)

        self.assertEqual(
            ('ABORTED', 'REBUILD_REFUSED'), (upgrade['state'], upgrade['error_code']), upgrade
        )
        self.assertIn('not today', upgrade['cause'])
        self.assert_serves(instance, self.former)
        shown = self.show(instance)
        self.assertEqual(
            ('ACTIVE', 'HEALTHY', self.former.name),
            (shown['status'], shown['operating_status'], shown['datastore']['version']),
        )
        self.guest(instance).reboot()
        self.wait_until(
            lambda: (
                self.guest(instance).exec(['mariadb', '-e', 'SELECT 1'], check=False).returncode
                == 0
            ),
            'the database to serve after a reboot: its autostart is back',
        )


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
