# SPDX-License-Identifier: Apache-2.0
"""Our own services and the broker die, again and again."""

import datetime

from trove_upgrade.tests.functional.cloud import base
from trove_upgrade.tests.functional.cloud.nova_case import REBUILD


class TestServicesFail(base.CloudTestCase):
    def test_an_upgrade_survives_the_death_of_its_taskmanager_at_every_step(self):
        instance = self.create_instance('takeover')
        self.addCleanup(self._control, 'DELETE', '/__requests')
        status, body = self.patch(instance, self.target.name)
        self.assertEqual(202, status, body)
        for step in ('quiesce', 'rebuild', 'boot', 'restore'):
            self.wait_until(
                lambda step=step: (
                    step in {run['step'] for run in self.upgrades_of(instance)[0]['steps']}
                ),
                step,
                timeout_seconds=120,
            )
            self.product.kill_taskmanager()
            self.product.start_taskmanager()

        upgrade = self.wait_ended(instance)

        self.assertEqual('COMPLETED', upgrade['state'], upgrade)
        self.assert_serves(instance, self.target)
        found = self._control('GET', f'/__requests?method=POST&path={instance.server_id}/action')
        self.assertEqual(1, found['count'], found)

    def test_a_broker_that_is_down_delays_an_upgrade_and_loses_nothing(self):
        instance = self.create_instance('no-broker')
        cloud = self.cloud()
        token = self.session().token()
        cloud.stop_process('rabbitmq')
        try:
            status, body = self.call(
                'PATCH',
                f'/instances/{instance.id}',
                {'instance': {'datastore_version': self.target.name}},
                token=token,
            )
            self.assertEqual(202, status, body)
            self.assertEqual('UPGRADE', self.show(instance)['status'])
        finally:
            # Nova has the same broker and loses what it is told while it reconnects itself: it is
            # asked for nothing until it has.
            self.fail_nova(action='refuse', status=503, count=-1, **REBUILD)
            cloud.restart('rabbitmq')
        restarted_at = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        self.wait_until(
            lambda: all(
                datetime.datetime.fromisoformat(service['updated_at']) > restarted_at
                for service in self._nova_services()
            ),
            "Nova's services to be back",
        )
        self._control('DELETE', '/__faults')

        upgrade = self.wait_ended(instance)
        self.assertEqual('COMPLETED', upgrade['state'], upgrade)
        self.assert_serves(instance, self.target)

    def _nova_services(self):
        return self.session('admin').request('GET', f'{self.handle.nova_url}/os-services')[
            'services'
        ]
