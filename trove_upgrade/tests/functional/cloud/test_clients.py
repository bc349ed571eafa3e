# SPDX-License-Identifier: Apache-2.0
"""The unmodified clients, every command of theirs that concerns an upgrade, against one
instance.
"""

import concurrent.futures
import json

from keystoneauth1 import loading
from keystoneauth1 import session as ksa_session
from troveclient.v1 import client as trove_client

from trove_upgrade.tests.functional.cloud import base


class ClientsCase(base.CloudTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.instance = cls.maker.create(cls.__name__.lower(), cls.former)
        cls.addClassCleanup(cls.maker.delete, cls.instance.server_id)

    def openstack(self, *arguments, user='demo'):
        return json.loads(self.clients(user).run('openstack', *arguments, '-f', 'json'))

    def troveclient(self, user='demo'):
        found = self.handle.users[user]
        auth = loading.get_plugin_loader('password').load_from_options(
            auth_url=found.auth_url,
            username=found.username,
            password=found.password,
            project_name=found.project_name,
            user_domain_name='Default',
            project_domain_name='Default',
        )
        return trove_client.Client(
            session=ksa_session.Session(auth),
            service_type='database',
            region_name=found.region_name,
        )


class TestClients(ClientsCase):
    def test_an_admin_lists_every_project(self):
        listed = self.openstack('database', 'instance', 'list', '--all-projects', user='admin')
        self.assertIn(self.instance.id, [row['ID'] for row in listed])

    def test_an_unknown_version_is_said_in_words(self):
        for command in (('trove', 'upgrade'), ('openstack', 'database', 'instance', 'upgrade')):
            done = self.clients().attempt(*command, self.instance.name, '9.9')
            self.assertNotEqual(0, done.returncode)
            self.assertIn('9.9 cannot be found', done.stdout + done.stderr)

    def test_another_project_finds_nothing(self):
        done = self.clients('other').attempt(
            'openstack', 'database', 'instance', 'show', self.instance.id
        )
        self.assertNotEqual(0, done.returncode)
        status, body = self.call(
            'PATCH',
            f'/instances/{self.instance.id}',
            {'instance': {'datastore_version': self.target.name}},
            token=self.session('other').token(),
        )
        self.assertEqual(403, status, body)  # the project in the URL is not the token's

    def test_a_reader_may_look_and_not_upgrade(self):
        self.assertEqual(
            'ACTIVE',
            self.openstack('database', 'instance', 'show', self.instance.id, user='reader')[
                'status'
            ],
        )
        status, body = self.call(
            'PATCH',
            f'/instances/{self.instance.id}',
            {'instance': {'datastore_version': self.target.name}},
            user='reader',
        )
        self.assertEqual((403, 'forbidden'), (status, next(iter(body))))

    def test_the_targets_say_what_is_allowed_and_why(self):
        targets = self.call('GET', f'/instances/{self.instance.id}/upgrade-targets')[1][
            'upgrade_targets'
        ]
        found = {target['name']: target for target in targets}
        self.assertTrue(found[self.target.name]['allowed'])
        self.assertTrue(found[self.former.name]['allowed'])

    def test_a_check_runs_in_nova_and_in_the_guest_and_changes_nothing(self):
        before = self.snapshot(self.instance)
        status, body = self.call(
            'POST',
            f'/instances/{self.instance.id}/upgrade-checks',
            {'upgrade_check': {'datastore_version': self.target.name}},
        )
        self.assertEqual(202, status, body)
        path = f'/instances/{self.instance.id}/upgrade-checks/{body["upgrade_check"]["id"]}'

        report = self.wait_until(lambda: self._ended(path), 'the report')

        self.assertEqual(('COMPLETED', True), (report['state'], report['allowed']), report)
        self.assertGreater(len(report['results']), 10)
        self.assertEqual(before, self.snapshot(self.instance))
        self.assertEqual([], self.upgrades_of(self.instance))

    def _ended(self, path):
        report = self.call('GET', path)[1]['upgrade_check']
        return report if report['state'] in {'COMPLETED', 'FAILED'} else None


class TestUpgradeCall(base.CloudTestCase):
    def test_of_fifty_simultaneous_requests_exactly_one_is_accepted_and_python_calls_work_too(self):
        instance = self.create_instance('fifty')
        token = self.session().token()
        body = {'instance': {'datastore_version': self.target.name}}
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            statuses = [
                status
                for status, _ in pool.map(
                    lambda _number: self.call(
                        'PATCH', f'/instances/{instance.id}', body, token=token
                    ),
                    range(50),
                )
            ]
        self.assertEqual([202] + [422] * 49, sorted(statuses))
        self.assertEqual('UPGRADE', self.show(instance)['status'])
        self.assertEqual('COMPLETED', self.wait_ended(instance)['state'])
        self.assertEqual(1, len(self.upgrades_of(instance)))
        self.assert_serves(instance, self.target)

        TestClients.troveclient(self).instances.upgrade(
            instance.id, self.target.name
        )  # the same version again

        self.assertEqual('COMPLETED', self.wait_ended(instance)['state'])
        self.assertEqual(2, len(self.upgrades_of(instance)))
        self.assert_serves(instance, self.target)
