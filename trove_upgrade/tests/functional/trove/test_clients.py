# SPDX-License-Identifier: Apache-2.0
"""The unmodified clients, and a scenario that knows nothing of the product, against real Trove with us in its pipeline: one real instance."""
import concurrent.futures
import json
import subprocess
import urllib.error
import urllib.request

from keystoneauth1 import loading
from keystoneauth1 import session as ksa_session
from troveclient.apiclient import exceptions
from troveclient.v1 import client as trove_client

from trove_upgrade.lab.clients import Clients
from trove_upgrade.tests.functional import scenario_run, waiting
from trove_upgrade.tests.functional.trove import base

_SDK = '''import json, openstack, sys
database = openstack.connect().database
found = database.get_instance(sys.argv[1])
print(json.dumps({'ids': [one.id for one in database.instances()], 'id': found.id, 'status': found.status, 'name': found.name,
                  'datastore': found.datastore}))
'''


class TestUnmodifiedClients(waiting.Waiting, base.TroveGuestTestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.instance = cls.instances.create('clients', cls.former)
        cls.addClassCleanup(cls.instances.delete, cls.instance.id)

    def clients(self, user='demo'):
        return Clients(self.handle.users[user], self.instances.clients._programs)

    def openstack(self, *arguments, user='demo'):
        return json.loads(self.clients(user).run('openstack', *arguments, '-f', 'json'))

    def troveclient(self):
        found = self.handle.users['demo']
        auth = loading.get_plugin_loader('password').load_from_options(
            auth_url=found.auth_url, username=found.username, password=found.password, project_name=found.project_name,
            user_domain_name='Default', project_domain_name='Default')
        return trove_client.Client(session=ksa_session.Session(auth), service_type='database', region_name=found.region_name)

    def patch(self, version, user='demo'):
        """(status, text)."""
        request = urllib.request.Request(
            f'{self.instances.base_url}/instances/{self.instance.id}', method='PATCH',
            data=json.dumps({'instance': {'datastore_version': version}}).encode(),
            headers={'X-Auth-Token': self.session(user).token(), 'Content-Type': 'application/json', 'Accept': 'application/json'})
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def version(self):
        """The name that the instance has at this moment: one of the tests changes it."""
        return self.instances.show(self.instance.id)['datastore']['version']

    def test_openstackclient_lists_and_shows_instances(self):
        self.assertIn(self.instance.id, [row['ID'] for row in self.openstack('database', 'instance', 'list')])
        for handle in (self.instance.id, self.instance.name):
            shown = self.openstack('database', 'instance', 'show', handle)
            self.assertEqual((self.instance.id, self.version(), 'ACTIVE'), (shown['id'], shown['datastore_version'], shown['status']))

    def test_openstackclient_lists_and_shows_datastores_and_versions(self):
        self.assertIn('mariadb', [row['Name'] for row in self.openstack('datastore', 'list')])
        self.assertEqual('mariadb', self.openstack('datastore', 'show', 'mariadb')['name'])
        listed = {row['Name'] for row in self.openstack('datastore', 'version', 'list', 'mariadb')}
        self.assertLessEqual({self.former.name, self.target.name}, listed)
        shown = self.openstack('datastore', 'version', 'show', self.target.name, '--datastore', 'mariadb')
        self.assertEqual((self.target.id, self.target.name), (shown['id'], shown['name']))
        self.assertEqual(self.target.name, self.openstack('datastore', 'version', 'show', self.target.id)['name'])

    def test_troveclient_lists_and_shows(self):
        self.assertIn(self.instance.id, self.clients().run('trove', 'list'))
        for handle in (self.instance.id, self.instance.name):
            self.assertIn(self.instance.address, self.clients().run('trove', 'show', handle))

    def test_openstacksdk_lists_and_shows(self):
        python = f'{self.handle.programs_dir}/python'
        done = subprocess.run([python, '-c', _SDK, self.instance.id], env=self.handle.users['demo'].environ(), check=False,
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(0, done.returncode, done.stderr)
        found = json.loads(done.stdout)
        self.assertIn(self.instance.id, found['ids'])
        self.assertEqual((self.instance.id, 'ACTIVE', self.version()), (found['id'], found['status'], found['datastore']['version']))

    def test_an_admin_lists_every_project(self):
        listed = self.openstack('database', 'instance', 'list', '--all-projects', user='admin')
        self.assertIn(self.instance.id, [row['ID'] for row in listed])

    def test_an_unknown_version_is_said_in_words(self):
        status, text = self.patch('9.9')
        self.assertEqual((404, 'itemNotFound'), (status, next(iter(json.loads(text)))))
        for command in (('trove', 'upgrade'), ('openstack', 'database', 'instance', 'upgrade')):
            done = self.clients().attempt(*command, self.instance.name, '9.9')
            self.assertNotEqual(0, done.returncode)
            self.assertIn('9.9 cannot be found', done.stdout + done.stderr)

    def test_an_unknown_instance_is_said_in_words(self):
        done = self.clients().attempt('openstack', 'database', 'instance', 'upgrade', 'no-such-instance', self.target.name)
        self.assertNotEqual(0, done.returncode)
        self.assertIn('no-such-instance', done.stdout + done.stderr)

    def test_another_project_finds_nothing_and_a_reader_does_not_upgrade(self):
        done = self.clients('other').attempt('openstack', 'database', 'instance', 'show', self.instance.id)
        self.assertNotEqual(0, done.returncode)
        self.assertEqual(403, self.patch(self.target.name, 'other')[0])  # the project in the URL is not the token's
        self.assertEqual('ACTIVE', self.openstack('database', 'instance', 'show', self.instance.id, user='reader')['status'])
        status, text = self.patch(self.target.name, 'reader')
        self.assertEqual((403, 'forbidden'), (status, next(iter(json.loads(text)))))

    def test_a_scenario_passes_and_every_client_is_refused_while_its_upgrade_runs(self):
        with concurrent.futures.ThreadPoolExecutor(1) as beside:
            running = beside.submit(scenario_run.run, self.handle, self.stage.host.fabric, self.instance, self.target.name,
                                    user=self.instance.user, password=self.instance.password, database=self.instance.database)
            self.wait_until(lambda: running.done() or self.instances.show(self.instance.id)['status'] == 'UPGRADE', 'the upgrade of the scenario')
            self.assertFalse(running.done())
            refused = [self.clients().attempt(*command, self.instance.name, self.target.name)
                       for command in (('trove', 'upgrade'), ('openstack', 'database', 'instance', 'upgrade'))]
            self.assertRaises(exceptions.UnprocessableEntity, self.troveclient().instances.upgrade, self.instance.id, self.target.id)
            self.assertFalse(running.done())
        done = running.result()
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertIn('Ran 1 test', done.stderr)
        for attempt in refused:
            self.assertNotEqual(0, attempt.returncode)
            self.assertIn('HTTP 422', attempt.stdout + attempt.stderr)
        self.assertEqual(['COMPLETED'], [upgrade['state'] for upgrade in self.get(f'/instances/{self.instance.id}/upgrades')['upgrades']])
        self.assertEqual('Upgrade', self.sql(self.instance, f'SELECT LastName FROM {self.instance.database}.Persons WHERE PersonID = 99'))
