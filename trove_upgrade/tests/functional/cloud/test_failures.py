# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around a rebuild, on the real thing: who serves afterwards, and what the operator is told."""
from trove_upgrade.lab.hypervisor.knobs import Knobs, KnobStore
from trove_upgrade.tests.functional.cloud import base

REBUILD = {'method': 'POST', 'path': '/action$', 'body': '"rebuild"'}


class NovaCase(base.CloudTestCase):

    def setUp(self):
        super().setUp()
        self.knobs = KnobStore(self.stage.layout.faults_dir)
        self.addCleanup(self._control, 'DELETE', '/__requests')

    def turn(self, instance, **knobs):
        self.knobs.turn(instance.server_id, Knobs(**knobs))
        self.addCleanup(self.knobs.clear, instance.server_id)

    def rebuilds(self, instance):
        found = self._control('GET', f'/__requests?method=POST&path={instance.server_id}/action')
        return found['count']


class TestNovaFails(NovaCase):

    def test_a_rebuild_that_fails_after_acceptance_is_an_error_with_its_cause_and_retry_completes_it(self):
        instance = self.create_instance('no-space')
        before = self.picture(instance)
        self.turn(instance, spawn_error='no space left', times=1)

        upgrade = self.upgrade(instance)

        self.assertEqual('FAILED', upgrade['state'], upgrade)
        self.assertIn('no space left', upgrade['cause'])
        shown = self.show(instance)
        self.assertEqual(('ERROR', self.former.name), (shown['status'], shown['datastore']['version']))
        self.assertIn('no space left', shown['fault']['message'])
        status, body = self.patch(instance, self.target.name)
        self.assertEqual((422, 'INSTANCE_NEEDS_RETRY'), (status, body['unprocessableEntity']['error_code']))

        self.product.manage('upgrade', 'retry', upgrade['id'])

        self.assertEqual('COMPLETED', self.wait_ended(instance)['state'])
        self.assert_serves(instance, self.target)
        self.assertEqual(before.tables.keys(), self.picture(instance).tables.keys())
        self.assertEqual('ACTIVE', self.show(instance)['status'])
