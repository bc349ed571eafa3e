# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.db import trove_tables
from trove_upgrade.db.configuration_parameters import ConfigurationParameter
from trove_upgrade.domain import exceptions
from trove_upgrade.tests.unit import base, database


class DatastoresTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.datastores = self.db.repositories.datastores

    def save(self, name='11.8.6', **changes):
        return self.datastores.save_version(
            changes.pop('datastore', 'mariadb'),
            name,
            **{
                'manager': 'mariadb',
                'image_id': 'image',
                'image_tags': (),
                'packages': '',
                'active': True,
                **changes,
            },
        )


class TestReads(DatastoresTestCase):
    def test_datastores_are_found_by_id_and_name(self):
        self.assertEqual(['mariadb', 'mysql'], [one.name for one in self.datastores.list()])
        self.assertEqual(self.datastores.get('mariadb'), self.datastores.get(database.MARIADB))
        self.assertRaises(exceptions.DatastoreNotFound, self.datastores.get, 'postgresql')

    def test_versions_are_those_of_the_datastore_and_active_ones_where_asked(self):
        self.assertEqual(
            ['10.11.14', '11.8.0', '11.8.6'],
            [one.name for one in self.datastores.versions(database.MARIADB, active_only=False)],
        )
        self.assertEqual(
            ['10.11.14', '11.8.6'],
            [one.name for one in self.datastores.versions(database.MARIADB, active_only=True)],
        )

    def test_a_version_is_found_by_id_and_by_name_within_its_datastore(self):
        by_name = self.datastores.version(database.MARIADB, '11.8.6')
        self.assertEqual(by_name, self.datastores.version(database.MARIADB, database.MARIADB_11_8))
        self.assertEqual(by_name, self.datastores.version_by_id(database.MARIADB_11_8))
        for unknown in ('9.7.4', database.MYSQL_9_7, '', 'nul\0', 'x' * 300):
            error = self.assertRaises(
                exceptions.DatastoreVersionNotFound,
                self.datastores.version,
                database.MARIADB,
                unknown,
            )
            self.assertEqual('mariadb', error.facts['datastore'])
        self.assertRaises(
            exceptions.DatastoreVersionNotFound, self.datastores.version_by_id, 'nul\0'
        )
        self.assertRaises(
            exceptions.DatastoreVersionNotFound, self.datastores.version_by_id, '11.8.6'
        )

    def test_a_name_with_several_numbers_is_ambiguous_and_the_ids_are_told(self):
        second = self.db.add_version(name='11.8.6', number='11.8.6-2')
        error = self.assertRaises(
            exceptions.DatastoreVersionAmbiguous,
            self.datastores.version,
            database.MARIADB,
            '11.8.6',
        )
        self.assertIn(second, error.message)
        self.assertEqual(second, self.datastores.version(database.MARIADB, second).id)


class TestWrites(DatastoresTestCase):
    def test_a_new_datastore_and_version_are_made_at_once(self):
        change = self.save(
            '10.6',
            datastore='percona',
            manager='percona',
            image_tags=('a', 'b'),
            packages='p',
            number='10.6.1',
        )
        self.assertTrue(change.created)
        self.assertEqual(
            ('percona', '10.6', '10.6.1', ('a', 'b'), 'p'),
            (
                change.version.datastore_name,
                change.version.name,
                change.version.number,
                change.version.image_tags,
                change.version.packages,
            ),
        )
        self.assertEqual(
            change.version, self.datastores.version(self.datastores.get('percona').id, '10.6')
        )

    def test_troves_columns_that_may_not_be_empty_get_what_trove_writes(self):
        version_id = self.save('12.0').version.id
        row = next(
            row for row in self.db.rows(trove_tables.datastore_versions) if row.id == version_id
        )
        self.assertEqual('trove.guestagent.datastore.mariadb.manager.Manager', row.registry_ext)
        self.assertEqual(
            'trove.guestagent.strategies.replication.mariadb_gtid.MariaDBGTIDReplication',
            row.repl_strategy,
        )

    def test_repointing_keeps_the_id_and_tells_which_instances_run_an_older_image(self):
        change = self.save('10.11.14', image_id='newer')
        self.assertEqual(
            (False, database.MARIADB_10_11, database.IMAGE_10_11, 'newer'),
            (change.created, change.version.id, change.former_image_id, change.version.image_id),
        )
        older = self.datastores.on_older_images(change.version)
        self.assertEqual(
            [
                (database.INSTANCE, 'db1', database.IMAGE_10_11),
                (database.OTHER_INSTANCE, 'db2', database.IMAGE_10_11),
            ],
            [(row.instance_id, row.name, row.image_id) for row in older],
        )

    def test_repointing_twice_keeps_the_image_that_each_instance_was_booted_from(self):
        self.db.set_image('newer', database.OTHER_INSTANCE)
        self.save('10.11.14', image_id='newer')
        newest = self.save('10.11.14', image_id='newest').version
        self.assertEqual(
            [database.IMAGE_10_11, 'newer'],
            [row.image_id for row in self.datastores.on_older_images(newest)],
        )

    def test_saving_it_unchanged_names_nobody(self):
        self.assertEqual(
            [],
            self.datastores.on_older_images(
                self.save('10.11.14', image_id=database.IMAGE_10_11).version
            ),
        )

    def test_a_version_of_tags_alone_has_no_older_images(self):
        self.assertEqual(
            [],
            self.datastores.on_older_images(
                self.save('10.11.14', image_id=None, image_tags=('x',)).version
            ),
        )

    def test_one_name_may_have_several_numbers(self):
        self.assertTrue(self.save('11.8.6', number='11.8.7').created)
        self.assertFalse(self.save('11.8.6', number='11.8.7', image_id='other').created)

    def test_the_default_version_is_set_by_name_and_emptied(self):
        self.assertEqual(
            database.MARIADB_11_8,
            self.datastores.save_datastore('mariadb', '11.8.6').default_version_id,
        )
        self.assertEqual(database.MARIADB_11_8, self.datastores.get('mariadb').default_version_id)
        self.datastores.save_datastore('mariadb', None)
        self.assertIsNone(self.datastores.get('mariadb').default_version_id)

    def test_a_default_that_is_unknown_inactive_or_ambiguous_changes_nothing(self):
        self.db.add_version(name='11.8.6', number='11.8.6-2')
        for name, error in (
            ('1.0', exceptions.DatastoreVersionNotFound),
            ('11.8.0', exceptions.DatastoreVersionInactive),
            ('11.8.6', exceptions.DatastoreVersionAmbiguous),
        ):
            self.assertRaises(error, self.datastores.save_datastore, 'mariadb', name)
        self.assertEqual(database.MARIADB_10_11, self.datastores.get('mariadb').default_version_id)
        self.assertRaises(
            exceptions.DatastoreVersionNotFound, self.datastores.save_datastore, 'new', '1.0'
        )
        self.assertRaises(exceptions.DatastoreNotFound, self.datastores.get, 'new')

    def test_target_facts_are_replaced_as_a_whole(self):
        self.assertEqual({}, self.datastores.target_facts(database.MARIADB_11_8))
        self.datastores.save_target_facts(database.MARIADB_11_8, {'a': {'b': [1]}, 'c': 1})
        self.datastores.save_target_facts(database.MARIADB_11_8, {'a': 2})
        self.assertEqual({'a': 2}, self.datastores.target_facts(database.MARIADB_11_8))

    def test_each_image_keeps_the_agent_that_its_facts_told(self):
        version = database.MARIADB_11_8
        self.assertEqual({}, self.datastores.agents_by_image(version))
        self.datastores.save_target_facts(version, {'guest_rpc': '1.2'})
        self.db.update_version(version, image_id='next')
        self.datastores.save_target_facts(version, {'guest_rpc': '1.1'})
        self.db.update_version(version, image_id=None)
        self.datastores.save_target_facts(version, {'guest_rpc': '1.3', 'a': 1})
        agents = {database.IMAGE_11_8: '1.2', 'next': '1.1'}
        self.assertEqual(agents, self.datastores.agents_by_image(version))
        self.assertEqual({'guest_rpc': '1.3', 'a': 1}, self.datastores.target_facts(version))

    def test_configuration_parameters_are_added_and_updated(self):
        def parameter(name, kind='integer'):
            return ConfigurationParameter(
                name=name, restart_required=False, data_type=kind, max_size='5', min_size=None
            )

        self.assertEqual(
            2,
            self.datastores.save_configuration_parameters(
                database.MARIADB_11_8, [parameter('b'), parameter('a')]
            ),
        )
        self.datastores.save_configuration_parameters(
            database.MARIADB_11_8, [parameter('b', 'string')]
        )
        self.assertEqual(
            ['a', 'b'], self.datastores.configuration_parameters(database.MARIADB_11_8)
        )
        self.assertEqual([], self.datastores.configuration_parameters(database.MARIADB_10_11))
        kinds = {
            row.name: row.data_type
            for row in self.db.rows(trove_tables.datastore_configuration_parameters)
        }
        self.assertEqual({'a': 'integer', 'b': 'string'}, kinds)

    def test_a_configuration_group_names_what_it_sets_without_what_was_taken_out(self):
        group = '00000000-0000-4000-8000-00000000cf01'
        self.db.insert(
            trove_tables.configurations,
            id=group,
            name='g',
            tenant_id=database.PROJECT,
            deleted=False,
            datastore_version_id=database.MARIADB_10_11,
        )
        for name, deleted in (('wait_timeout', False), ('max_connections', False), ('gone', True)):
            self.db.insert(
                trove_tables.configuration_parameters,
                configuration_id=group,
                configuration_key=name,
                configuration_value='1',
                deleted=deleted,
            )
        self.assertEqual(
            ['max_connections', 'wait_timeout'], self.datastores.configured_parameters(group)
        )
        self.assertEqual([], self.datastores.configured_parameters('unknown'))
