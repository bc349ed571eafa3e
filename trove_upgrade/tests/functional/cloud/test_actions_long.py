# SPDX-License-Identifier: Apache-2.0
"""Each action at each moment of an upgrade of a real guest."""

from trove_upgrade.tests.functional.cloud.actions_case import LOOKS, ActionsCase
from trove_upgrade.tests.functional.cloud.nova_case import REBUILD

_AGENT_LOG = '/var/log/trove/trove-upgrade-guestagent.log'


class TestAbort(ActionsCase):
    def setUp(self):
        super().setUp()
        self.instance = self.create_written(f'abort-{self.id().rpartition("_")[2]}')
        self.before = self.snapshot(self.instance)

    def test_before_any_taskmanager_has_it(self):
        with self.without_taskmanager():
            upgrade = self.begin(self.instance)
            status, ended = self.act(upgrade, 'abort')
            self.assertEqual((202, 'ABORTED'), (status, ended['state']))
        self.assert_as_before(self.instance, self.before, self.see(upgrade))

    def test_while_the_checks_are_made(self):
        self.fail_nova(**LOOKS)
        upgrade = self.begin(self.instance)
        self.until_step(upgrade, 'precheck', 'Nova')
        status, ended = self.act(upgrade, 'abort')
        self.assertEqual((202, 'ABORTED'), (status, ended['state']))
        self._control('DELETE', '/__faults')
        self.assert_as_before(self.instance, self.before, self.see(upgrade))

    def test_while_the_guest_waits_for_its_database(self):
        with self.nothing_lost(self.instance):
            with self.busy_database(self.instance):
                upgrade = self.begin(self.instance)
                self.until_step(upgrade, 'quiesce', 'waiting for running statements')
                self.assertEqual(202, self.act(upgrade, 'abort')[0])
                self.assertEqual(202, self.act(upgrade, 'abort')[0])
            self.assert_as_before(self.instance, self.before, self.until_end(upgrade))

    def test_while_the_database_shuts_down(self):
        """It cannot be called back: it is started again once it has ended."""
        with self.nothing_lost(self.instance):
            self.slow_shutdown(self.instance, 10)
            upgrade = self.begin(self.instance)
            self.until_step(upgrade, 'quiesce', 'shutting down, ')
            self.assertEqual(202, self.act(upgrade, 'abort')[0])
            self.assert_as_before(self.instance, self.before, self.until_end(upgrade))
        log = self.guest(self.instance).exec(['cat', _AGENT_LOG]).output
        self.assertNotIn('could not be undone', log)

    def test_when_the_guest_has_stopped_and_nova_is_still_to_be_asked(self):
        with self.nothing_lost(self.instance):
            upgrade = self.stopped_and_nova_not_asked(self.instance)
            self.assertTrue(self.see(upgrade)['cancellable'])
            self.assertEqual(202, self.act(upgrade, 'abort')[0])
            self.assert_as_before(self.instance, self.before, self.until_end(upgrade))
        self._control('DELETE', '/__faults')
        self.assertEqual('COMPLETED', self.upgrade(self.instance)['state'])
        self.assert_serves(self.instance, self.target)

    def test_a_taskmanager_that_dies_meanwhile_leaves_nothing_undone(self):
        with self.nothing_lost(self.instance):
            upgrade = self.stopped_and_nova_not_asked(self.instance)
            self.product.kill_taskmanager()
            status, undoing = self.act(upgrade, 'abort')
            self.assertEqual((202, 'RUNNING'), (status, undoing['state']))
            self.product.start_taskmanager()
            self.assert_as_before(self.instance, self.before, self.until_end(upgrade))

    def test_once_nova_was_asked_it_is_refused_and_the_upgrade_completes(self):
        self.turn(self.instance, stuck='blocked')
        upgrade = self.begin(self.instance)
        self.wait_until(lambda: self.rebuilds(self.instance), 'the rebuild')
        self.assert_not_aborted(upgrade)
        self.knobs.clear(self.instance.server_id)
        self.assertEqual('COMPLETED', self.until_end(upgrade)['state'])
        self.assertEqual('ABORT_REFUSED', self.act(upgrade, 'abort')[1])

    def test_while_the_answer_of_nova_is_still_to_come_it_is_refused(self):
        self.fail_nova(action='delay', seconds=5, count=1, **REBUILD)
        upgrade = self.begin(self.instance)
        self.wait_until(lambda: self.rebuilds(self.instance), 'the request')
        self.assert_not_aborted(upgrade)
        self.assertEqual('COMPLETED', self.until_end(upgrade)['state'])
        self.assertEqual(1, self.rebuilds(self.instance))

    def assert_not_aborted(self, upgrade):
        self.assertEqual((409, 'ABORT_REFUSED'), self.act(upgrade, 'abort'))
        self.assertFalse(self.see(upgrade)['cancellable'])
        self.assertEqual(1, self.openstack('abort', upgrade['id'], '--wait')[0])

    def stopped_and_nova_not_asked(self, instance):
        """An upgrade whose guest has stopped its database, and that cannot ask Nova."""
        with self.busy_database(instance):
            upgrade = self.begin(instance)
            self.until_step(upgrade, 'quiesce', 'waiting for running statements')
            self.fail_nova(**LOOKS)
        self.until_step(upgrade, 'rebuild', 'Nova')
        return upgrade
