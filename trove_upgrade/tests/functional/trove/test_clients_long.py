# SPDX-License-Identifier: Apache-2.0
"""What the unmodified clients list and show of real Trove, with us in its pipeline."""

import json
import subprocess

from trove_upgrade.tests.functional.trove.clients import ClientsCase

_SDK = """import json, openstack, sys
database = openstack.connect().database
found = database.get_instance(sys.argv[1])
print(json.dumps({'ids': [one.id for one in database.instances()], 'id': found.id, \
'status': found.status, 'name': found.name,
                  'datastore': found.datastore}))
"""


class TestListsAndShows(ClientsCase):
    def test_openstackclient_lists_and_shows_instances(self):
        self.assertIn(
            self.instance.id, [row['ID'] for row in self.openstack('database', 'instance', 'list')]
        )
        for handle in (self.instance.id, self.instance.name):
            shown = self.openstack('database', 'instance', 'show', handle)
            self.assertEqual(
                (self.instance.id, self.version(), 'ACTIVE'),
                (shown['id'], shown['datastore_version'], shown['status']),
            )

    def test_openstackclient_lists_and_shows_datastores_and_versions(self):
        self.assertIn('mariadb', [row['Name'] for row in self.openstack('datastore', 'list')])
        self.assertEqual('mariadb', self.openstack('datastore', 'show', 'mariadb')['name'])
        listed = {row['Name'] for row in self.openstack('datastore', 'version', 'list', 'mariadb')}
        self.assertLessEqual({self.former.name, self.target.name}, listed)
        shown = self.openstack(
            'datastore', 'version', 'show', self.target.name, '--datastore', 'mariadb'
        )
        self.assertEqual((self.target.id, self.target.name), (shown['id'], shown['name']))
        self.assertEqual(
            self.target.name, self.openstack('datastore', 'version', 'show', self.target.id)['name']
        )

    def test_troveclient_lists_and_shows(self):
        self.assertIn(self.instance.id, self.clients().run('trove', 'list'))
        for handle in (self.instance.id, self.instance.name):
            self.assertIn(self.instance.address, self.clients().run('trove', 'show', handle))

    def test_openstacksdk_lists_and_shows(self):
        python = f'{self.handle.programs_dir}/python'
        done = subprocess.run(
            [python, '-c', _SDK, self.instance.id],
            env=self.handle.users['demo'].environ(),
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.assertEqual(0, done.returncode, done.stderr)
        found = json.loads(done.stdout)
        self.assertIn(self.instance.id, found['ids'])
        self.assertEqual(
            (self.instance.id, 'ACTIVE', self.version()),
            (found['id'], found['status'], found['datastore']['version']),
        )

    def test_an_admin_lists_every_project(self):
        listed = self.openstack('database', 'instance', 'list', '--all-projects', user='admin')
        self.assertIn(self.instance.id, [row['ID'] for row in listed])
