# SPDX-License-Identifier: Apache-2.0
"""An upgrade that has failed, and what its user and an admin do about it by the API."""

import concurrent.futures

from trove_upgrade.tests.functional.cloud.actions_case import ActionsCase
from trove_upgrade.tests.functional.cloud.rollback_case import RollbackCase


class FailedCase(ActionsCase):
    def failed(self, name, **choices):
        """An instance, as it was, and its upgrade, which Nova could not rebuild."""
        instance = self.create_written(name)
        before = self.snapshot(instance)
        self.turn(instance, spawn_error='no space left', times=1)
        upgrade = self.until_end(self.begin(instance, **choices))
        return instance, before, upgrade


class TestFailed(FailedCase, RollbackCase):
    def test_a_user_may_not_retry_it_and_an_admin_does(self):
        instance, _, upgrade = self.failed('retried')
        self.assertEqual(
            ('FAILED', 'retry'), (upgrade['state'], upgrade['rollback_possible_until'])
        )
        for action in ('retry', 'rollback'):
            self.assertEqual((403, 'FORBIDDEN'), self.act(upgrade, action))
            self.assertEqual(1, self.openstack(action, instance.name)[0])
        allowed = {one['Action']: one for one in self.openstack('action', 'list', instance.name)[1]}
        self.assertEqual('FORBIDDEN_BY_POLICY', allowed['retry']['Reason Code'])

        status, ended = self.openstack('retry', upgrade['id'], '--wait', user='admin')

        self.assertEqual((0, 'COMPLETED', 2), (status, ended['state'], ended['attempt']), ended)
        self.assert_serves(instance, self.target)
        self.assertEqual(2, self.rebuilds(instance))
        self.assertEqual(202, self.act(upgrade, 'retry', user='admin')[0])

    def test_an_admin_takes_the_former_image_back(self):
        instance, before, upgrade = self.failed('taken-back')

        status, ended = self.openstack('rollback', upgrade['id'], '--wait', user='admin')

        self.assertEqual(0, status)
        self.assert_rolled_back(instance, before, ended, 'REBUILD_FAILED')
        self.assertEqual((409, 'RETRY_REFUSED'), self.act(upgrade, 'retry', user='admin'))

    def test_of_many_actions_at_once_one_is_taken_and_the_upgrade_ends_by_it(self):
        instance, before, upgrade = self.failed('torn')
        asked = ('retry', 'rollback') * 4
        with concurrent.futures.ThreadPoolExecutor(len(asked)) as pool:
            answers = list(
                pool.map(lambda action: (action, *self.act(upgrade, action, user='admin')), asked)
            )
        (taken,) = {action for action, status, _ in answers if status == 202}
        self.assertEqual({202, 409}, {status for _, status, _ in answers}, answers)
        ended = self.until_end(upgrade)
        self.assertEqual(2, ended['attempt'])
        self.assertEqual(2, self.rebuilds(instance))
        if taken == 'retry':
            self.assertEqual('COMPLETED', ended['state'], ended)
            self.assert_serves(instance, self.target)
        else:
            self.assert_rolled_back(instance, before, ended, 'REBUILD_FAILED')

    def test_a_user_who_has_chosen_so_is_taken_back_without_an_operator(self):
        instance, before, upgrade = self.failed('by-itself', on_failure='rollback')
        self.assert_rolled_back(instance, before, upgrade, 'REBUILD_FAILED')


class TestOperatorRollsBack(FailedCase, RollbackCase):
    options = {'rollback_on_failure': True}

    def test_a_user_who_has_chosen_so_finds_it_failed(self):
        _, _, upgrade = self.failed('as-it-is', on_failure='error')
        self.assertEqual(('FAILED', 'error'), (upgrade['state'], upgrade['on_failure']), upgrade)
