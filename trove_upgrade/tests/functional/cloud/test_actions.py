# SPDX-License-Identifier: Apache-2.0
"""A user changes their mind, twice: the database that was to be upgraded serves all the time."""

from trove_upgrade.tests.functional.cloud.actions_case import ActionsCase


class TestActions(ActionsCase):
    def test_an_upgrade_is_held_and_let_proceed_and_aborted_while_the_guest_stops_its_database(
        self,
    ):
        instance = self.create_written('two-minds')
        with self.nothing_lost(instance):
            status, held = self.openstack(
                'start', instance.name, self.target.name, '--hold', '--wait'
            )
            self.assertEqual((0, 'HELD'), (status, held['state']), held)
            self.assertEqual('ACTIVE', self.show(instance)['status'])
            status, body = self.patch(instance, self.target.name)
            self.assertEqual(
                (422, 'UPGRADE_HELD'), (status, body['unprocessableEntity']['error_code'])
            )
            before = self.snapshot(instance)

            with self.busy_database(instance):
                self.assertEqual(202, self.act(held, 'proceed')[0])
                self.until_step(held, 'quiesce', 'waiting for running statements')
                self.assertEqual('UPGRADE', self.show(instance)['status'])
                self.assertEqual(202, self.act(held, 'abort')[0])

            status, ended = self.openstack('abort', instance.name, '--wait')
            self.assertEqual(0, status, ended)
            self.assert_as_before(instance, before, ended)
