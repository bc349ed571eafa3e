# SPDX-License-Identifier: Apache-2.0
"""The released python-troveclient against the API, over loopback."""

from troveclient import utils as troveclient_utils
from troveclient.apiclient import exceptions as client_exceptions
from troveclient.v1 import client as trove_client

from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.api import served, stage


class TestReleasedClient(served.ServedApiTestCase):
    def setUp(self):
        super().setUp()
        self.client = self.client_of(stage.MEMBER)

    def client_of(self, roles):
        keystone = self.session(roles)
        return trove_client.Client(
            session=keystone, auth=keystone.auth, endpoint_override=self.endpoint
        )

    def test_the_python_call_upgrades(self):
        self.client.instances.upgrade(database.INSTANCE, '11.8.6')
        self.assertEqual('UPGRADE', self.client.instances.get(database.INSTANCE).status)

    def test_an_instance_is_found_by_its_name(self):
        found = troveclient_utils.find_resource(self.client.instances, 'db1')
        self.assertEqual(
            (database.INSTANCE, 'ACTIVE', {'size': 1}), (found.id, found.status, found.volume)
        )

    def test_an_unknown_name_is_an_error_of_the_command_and_not_of_the_client(self):
        self.assertRaises(client_exceptions.NotFound, self.client.instances.get, 'db9')

    def test_refusals_are_told_in_our_words(self):
        refusal = self.assertRaises(
            client_exceptions.NotFound, self.client.instances.upgrade, database.INSTANCE, '12.0'
        )
        self.assertIn('Datastore version 12.0 cannot be found in datastore mariadb', str(refusal))

    def test_a_busy_instance_is_an_error_of_its_own_kind(self):
        self.client.instances.upgrade(database.INSTANCE, '11.8.6')
        refusal = self.assertRaises(
            client_exceptions.UnprocessableEntity,
            self.client.instances.upgrade,
            database.INSTANCE,
            '11.8.6',
        )
        self.assertIn('UPGRADE', str(refusal))

    def test_lists_are_read_without_a_request_per_instance(self):
        for number in range(3):
            self.db.add_instance(name=f'n{number}')
        asked = self.servers.calls
        for item in self.client.instances.list():
            self.assertTrue(
                all((item.volume, item.region, item.datastore, item.flavor, item.access))
            )
        self.assertEqual(1, self.servers.calls - asked)

    def test_datastores_and_versions(self):
        self.assertEqual(
            {'mariadb', 'mysql'}, {each.name for each in self.client.datastores.list()}
        )
        self.assertEqual(database.MARIADB, self.client.datastores.get('mariadb').id)
        self.assertEqual(
            ['10.11.14', '11.8.6'],
            [each.name for each in self.client.datastore_versions.list('mariadb')],
        )
        self.assertEqual(
            database.MARIADB_11_8, self.client.datastore_versions.get('mariadb', '11.8.6').id
        )
        self.assertEqual(
            '11.8.6', self.client.datastore_versions.get_by_uuid(database.MARIADB_11_8).name
        )

    def test_pages(self):
        for number in range(3):
            self.db.add_instance(name=f'n{number}')
        first = self.client.instances.list(limit=2)
        second = self.client.instances.list(limit=2, marker=first.next)
        self.assertEqual((2, 2, None), (len(first), len(second), second.next))

    def test_an_admin_lists_all_projects(self):
        found = self.client_of(stage.ADMIN).mgmt_instances.list(
            include_clustered=False, deleted=False
        )
        self.assertEqual({'db1', 'db2'}, {each.name for each in found})
