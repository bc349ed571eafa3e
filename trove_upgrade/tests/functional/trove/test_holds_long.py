# SPDX-License-Identifier: Apache-2.0
"""An upgrade that is held on real Trove: Trove does what it is asked for meanwhile, and the upgrade
begins, or ends, by what it finds then.
"""

from lab.clients import Clients
from lab.demo.own_client import OwnClient
from trove_upgrade.tests.functional.trove import holding


class TestHeldOnTrove(holding.HoldingCase):
    NAMES = ('held', 'held-deleted')

    def begin_held(self, instance):
        """The upgrade once it is HELD."""
        asked = {
            'instance_id': instance.id,
            'datastore_version': self.target.id,
            'hold': True,
        }
        status, body = self.call('POST', '/upgrades', {'upgrade': asked})
        self.assertEqual(202, status, body)
        return self.until_state(body['upgrade'], 'HELD')

    def until_state(self, upgrade, *states):
        return self.wait_until(
            lambda: (
                (found := self.get(f'/upgrades/{upgrade["id"]}')['upgrade'])['state'] in states
                and found
            ),
            f'upgrade {upgrade["id"]} to be {states}',
        )

    def act(self, upgrade, action):
        status, body = self.call('POST', f'/upgrades/{upgrade["id"]}/action', {action: {}})
        return status, next(iter(body.values()))

    def images(self, instance):
        words = ['docker', 'image', 'ls', '--format', '{{.Repository}}:{{.Tag}}']
        return self.guest(instance).exec(words).output.split()

    def test_its_image_is_in_the_guest_and_trove_restarts_the_database_before_it_proceeds(self):
        instance = self.made['held']
        self.fill(instance)
        before = self.container(instance)
        held = self.begin_held(instance)
        self.assertEqual(before, self.container(instance))
        self.assertTrue(
            [name for name in self.images(instance) if name.endswith(f':{self.target.number}')],
            self.images(instance),
        )
        self.assertEqual('ACTIVE', self.instances.show(instance.id)['status'])
        status, body = self.patch(instance, self.target)
        self.assertEqual((422, 'UPGRADE_HELD'), (status, body['unprocessableEntity']['error_code']))

        status, body = self.call('POST', f'/instances/{instance.id}/action', {'restart': {}})
        self.assertEqual(202, status, body)
        status, answer = self.act(held, 'proceed')
        if status != 422:  # Trove had ended the restart already
            self.assertEqual(202, status, answer)
        else:
            self.assertEqual('INSTANCE_BUSY', answer['error_code'])
            self.assertEqual('HELD', self.get(f'/upgrades/{held["id"]}')['upgrade']['state'])
        self.wait_until(lambda: self.serves(instance), 'the database to serve again')
        self.wait_until(lambda: self.act(held, 'proceed')[0] == 202, 'it to proceed')

        own = OwnClient(Clients(self.handle.users['demo']), print)
        own.targets(instance.id)
        own.watch(instance.id, self.stage.layout.logs_dir)  # raises unless it is COMPLETED

        self.assert_serves(instance, self.target)

    def test_one_whose_instance_is_deleted_is_ended_by_the_next_look(self):
        instance = self.made['held-deleted']
        held = self.begin_held(instance)
        self.instances.delete(instance.id)
        status, answer = self.act(held, 'proceed')
        self.assertEqual((422, 'INSTANCE_DELETED'), (status, answer.get('error_code')), answer)
        self.side.sql(
            f"UPDATE instance_upgrades SET next_run_at = UTC_TIMESTAMP() WHERE id = '{held['id']}';"
        )
        self.wait_until(
            lambda: self.upgrade_row(held['id'])['state'] == 'ABORTED', 'the hold to end'
        )
        self.assertEqual('INSTANCE_DELETED', self.upgrade_row(held['id'])['error_code'])
