# SPDX-License-Identifier: Apache-2.0
"""Lists and single resources as the released clients show them."""

from trove_upgrade.tests.functional.cloud.test_clients import ClientsCase


class TestLists(ClientsCase):
    def test_openstackclient_lists_and_shows_instances(self):
        listed = self.openstack('database', 'instance', 'list')
        self.assertIn(self.instance.id, [row['ID'] for row in listed])

        for handle in (self.instance.id, self.instance.name):
            shown = self.openstack('database', 'instance', 'show', handle)
            self.assertEqual(
                (self.instance.id, self.former.name, 'ACTIVE'),
                (shown['id'], shown['datastore_version'], shown['status']),
            )

    def test_openstackclient_lists_and_shows_datastores_and_versions(self):
        self.assertEqual(['mariadb'], [row['Name'] for row in self.openstack('datastore', 'list')])
        self.assertEqual('mariadb', self.openstack('datastore', 'show', 'mariadb')['name'])
        listed = {row['Name'] for row in self.openstack('datastore', 'version', 'list', 'mariadb')}
        self.assertLessEqual({self.former.name, self.target.name}, listed)
        shown = self.openstack(
            'datastore', 'version', 'show', self.target.name, '--datastore', 'mariadb'
        )
        self.assertEqual(self.target.name, shown['name'])

    def test_troveclient_lists_and_shows(self):
        self.assertIn(self.instance.id, self.clients().run('trove', 'list'))
        for handle in (self.instance.id, self.instance.name):
            self.assertIn(self.instance.address, self.clients().run('trove', 'show', handle))
