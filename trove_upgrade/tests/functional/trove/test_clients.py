# SPDX-License-Identifier: Apache-2.0
"""The unmodified clients, and a scenario that knows nothing of the product, against real Trove with
us in its pipeline: one real instance.
"""

import concurrent.futures
import json

from troveclient.apiclient import exceptions

from trove_upgrade.tests.functional import scenario_run
from trove_upgrade.tests.functional.trove.clients import ClientsCase


class TestUnmodifiedClients(ClientsCase):
    def test_an_unknown_version_is_said_in_words(self):
        status, text = self.patch('9.9')
        self.assertEqual((404, 'itemNotFound'), (status, next(iter(json.loads(text)))))
        for command in (('trove', 'upgrade'), ('openstack', 'database', 'instance', 'upgrade')):
            done = self.clients().attempt(*command, self.instance.name, '9.9')
            self.assertNotEqual(0, done.returncode)
            self.assertIn('9.9 cannot be found', done.stdout + done.stderr)

    def test_an_unknown_instance_is_said_in_words(self):
        done = self.clients().attempt(
            'openstack', 'database', 'instance', 'upgrade', 'no-such-instance', self.target.name
        )
        self.assertNotEqual(0, done.returncode)
        self.assertIn('no-such-instance', done.stdout + done.stderr)

    def test_another_project_finds_nothing_and_a_reader_does_not_upgrade(self):
        done = self.clients('other').attempt(
            'openstack', 'database', 'instance', 'show', self.instance.id
        )
        self.assertNotEqual(0, done.returncode)
        self.assertEqual(
            403, self.patch(self.target.name, 'other')[0]
        )  # the project in the URL is not the token's
        self.assertEqual(
            'ACTIVE',
            self.openstack('database', 'instance', 'show', self.instance.id, user='reader')[
                'status'
            ],
        )
        status, text = self.patch(self.target.name, 'reader')
        self.assertEqual((403, 'forbidden'), (status, next(iter(json.loads(text)))))

    def test_a_scenario_passes_and_every_client_is_refused_while_its_upgrade_runs(self):
        with concurrent.futures.ThreadPoolExecutor(1) as beside:
            running = beside.submit(
                scenario_run.run,
                self.handle,
                self.stage.host.fabric,
                self.instance,
                self.target.name,
                user=self.instance.user,
                password=self.instance.password,
                database=self.instance.database,
            )
            self.wait_until(
                lambda: (
                    running.done() or self.instances.show(self.instance.id)['status'] == 'UPGRADE'
                ),
                'the upgrade of the scenario',
            )
            self.assertFalse(running.done())
            refused = [
                self.clients().attempt(*command, self.instance.name, self.target.name)
                for command in (
                    ('trove', 'upgrade'),
                    ('openstack', 'database', 'instance', 'upgrade'),
                )
            ]
            self.assertRaises(
                exceptions.UnprocessableEntity,
                self.troveclient().instances.upgrade,
                self.instance.id,
                self.target.id,
            )
            self.assertFalse(running.done())
        done = running.result()
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertIn('Ran 1 test', done.stderr)
        for attempt in refused:
            self.assertNotEqual(0, attempt.returncode)
            self.assertIn('HTTP 422', attempt.stdout + attempt.stderr)
        self.assertEqual(
            ['COMPLETED'],
            [
                upgrade['state']
                for upgrade in self.get(f'/instances/{self.instance.id}/upgrades')['upgrades']
            ],
        )
        self.assertEqual(
            'Upgrade',
            self.sql(
                self.instance,
                f'SELECT LastName FROM {self.instance.database}.Persons WHERE PersonID = 99',
            ),
        )
