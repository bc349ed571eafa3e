# SPDX-License-Identifier: Apache-2.0
import datetime
import uuid

import sqlalchemy as sa

from trove_upgrade.db import errors, trove_tables
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.instances import Task
from trove_upgrade.tests.unit import base, database


class InstancesTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.instances = self.db.repositories.instances


class TestGet(InstancesTestCase):
    def test_it_comes_with_its_version_status_and_times(self):
        found = self.instances.get(database.INSTANCE)
        self.assertEqual(
            ('db1', database.PROJECT, database.SERVER, Task.NONE, 'healthy'),
            (found.name, found.project_id, found.server_id, found.task, found.service_status),
        )
        self.assertEqual(
            (database.MARIADB_10_11, 'mariadb', '10.11.14'),
            (found.version.id, found.version.datastore_name, found.version.number),
        )
        self.assertEqual(
            (database.CREATED, '6', 1, 'RegionOne'),
            (found.created_at, found.flavor_id, found.volume_size_gb, found.region),
        )
        self.assertEqual(datetime.UTC, found.service_status_updated_at.tzinfo)

    def test_one_of_another_project_is_not_found_and_one_without_that_question_is(self):
        self.assertRaises(
            exceptions.InstanceNotFound,
            self.instances.get,
            database.OTHER_INSTANCE,
            database.PROJECT,
        )
        self.assertEqual(database.OTHER_INSTANCE, self.instances.get(database.OTHER_INSTANCE).id)

    def test_a_deleted_one_is_not_found_unless_asked_for(self):
        self.assertRaises(
            exceptions.InstanceNotFound, self.instances.get, database.DELETED_INSTANCE
        )
        self.assertTrue(self.instances.get(database.DELETED_INSTANCE, deleted=None).deleted)

    def test_malformed_ids_are_unknown_ones(self):
        for instance_id in (
            '',
            'db1',
            'x' * 500,
            'nul\0',
            'ünicode',
            f'{database.INSTANCE} ',
            "' OR 1=1 --",
        ):
            self.assertRaises(exceptions.InstanceNotFound, self.instances.get, instance_id)

    def test_a_backup_that_runs_is_seen_and_one_that_has_ended_or_was_deleted_is_not(self):
        for state, deleted, running in (
            ('COMPLETED', False, False),
            ('SAVING', True, False),
            ('BUILDING', False, True),
        ):
            self.db.insert(
                trove_tables.backups,
                id=state,
                name='b',
                state=state,
                instance_id=database.INSTANCE,
                deleted=deleted,
            )
            self.assertIs(running, self.instances.get(database.INSTANCE).backup_running)

    def test_replicas_are_listed_by_their_source(self):
        replica = self.db.add_instance(slave_of_id=database.INSTANCE)
        self.db.add_instance(slave_of_id=database.INSTANCE, deleted=True)
        self.assertEqual((replica,), self.instances.get(database.INSTANCE).replica_ids)
        self.assertEqual(database.INSTANCE, self.instances.get(replica).replica_of_id)

    def test_a_version_without_a_number_goes_by_its_name_and_tags_are_split(self):
        version_id = self.db.add_version(
            name='11.8-ga', image_id=None, image_tags='trove, mariadb ,'
        )
        with self.db.database.write() as connection:
            connection.execute(
                sa.update(trove_tables.datastore_versions)
                .where(trove_tables.datastore_versions.c.id == version_id)
                .values(version=None)
            )
        found = self.instances.get(self.db.add_instance(version_id=version_id)).version
        self.assertEqual(
            ('11.8-ga', None, ('trove', 'mariadb')),
            (found.number, found.image_id, found.image_tags),
        )

    def test_without_details_it_still_says_whether_a_backup_runs(self):
        self.db.insert(
            trove_tables.backups,
            id='b',
            name='b',
            state='NEW',
            instance_id=database.INSTANCE,
            deleted=False,
        )
        found = self.instances.get(database.INSTANCE, with_details=False)
        self.assertEqual(
            (True, None, database.MARIADB_10_11),
            (found.backup_running, found.service_status, found.version.id),
        )


class TestList(InstancesTestCase):
    def ids(self, *arguments, **filters):
        return {
            one.id for one in self.instances.list(*arguments, **{'limit': 100, **filters}).items
        }

    def test_a_project_sees_its_own_that_are_neither_deleted_nor_clustered(self):
        self.db.insert(
            trove_tables.clusters,
            id='cluster',
            created=database.CREATED,
            updated=database.CREATED,
            name='c',
            task_id=1,
            tenant_id=database.PROJECT,
            datastore_version_id=database.MARIADB_10_11,
        )
        member = self.db.add_instance(cluster_id='cluster')
        self.assertEqual({database.INSTANCE}, self.ids(database.PROJECT))
        self.assertEqual(
            {database.INSTANCE, member}, self.ids(database.PROJECT, include_clustered=True)
        )
        self.assertEqual({database.INSTANCE, database.OTHER_INSTANCE}, self.ids())
        self.assertEqual({database.DELETED_INSTANCE}, self.ids(database.PROJECT, deleted=True))
        self.assertEqual(
            {database.INSTANCE, database.DELETED_INSTANCE}, self.ids(database.PROJECT, deleted=None)
        )

    def test_pages_follow_each_other_by_id(self):
        added = sorted([database.INSTANCE, *[self.db.add_instance() for _ in range(6)]])
        first = self.instances.list(database.PROJECT, limit=3)
        self.assertEqual(
            (added[:3], added[2]), ([one.id for one in first.items], first.next_marker)
        )
        second = self.instances.list(database.PROJECT, limit=4, marker=first.next_marker)
        self.assertEqual((added[3:], None), ([one.id for one in second.items], second.next_marker))
        self.assertEqual((), self.instances.list(database.PROJECT, limit=3, marker=added[-1]).items)

    def test_any_number_of_rows_costs_six_selects(self):
        for _ in range(30):
            self.db.add_instance()
        statements = []
        sa.event.listen(
            self.db.database.engine,
            'before_cursor_execute',
            lambda conn, cursor, statement, *rest: statements.append(statement),
        )
        self.assertEqual(31, len(self.instances.list(database.PROJECT, limit=1000).items))
        self.assertEqual(
            6, sum(statement.startswith('SELECT') for statement in statements), statements
        )


class TestWrites(InstancesTestCase):
    def test_the_task_is_read_anew(self):
        self.db.update_instance(task_id=int(Task.RESIZING))
        self.assertIs(Task.RESIZING, self.instances.task(database.INSTANCE))
        self.assertRaises(exceptions.InstanceNotFound, self.instances.task, 'nothing')

    def test_the_service_status_is_inserted_then_updated(self):
        instance_id = self.db.add_instance(status=None)
        self.assertIsNone(self.instances.get(instance_id).service_status)
        self.instances.set_service_status(instance_id, 'upgrading')
        self.instances.set_service_status(instance_id, 'healthy')
        self.assertEqual('healthy', self.instances.get(instance_id).service_status)
        self.assertEqual(
            1,
            len(
                [
                    row
                    for row in self.db.rows(trove_tables.service_statuses)
                    if row.instance_id == instance_id
                ]
            ),
        )

    def test_a_status_that_trove_has_not_is_a_fault_of_the_program(self):
        self.assertRaises(
            ValueError, self.instances.set_service_status, database.INSTANCE, 'splendid'
        )

    def test_a_server_is_registered_as_a_free_instance_with_its_image(self):
        version = self.db.repositories.datastores.version_by_id(database.MARIADB_10_11)
        instance_id = self.instances.register(
            version,
            server_id='server',
            name='new',
            project_id='p',
            image_id='image',
            volume_size_gb=2,
        )
        found = self.instances.get(instance_id, 'p')
        self.assertEqual(
            ('new', 'server', Task.NONE, 2, 'healthy'),
            (found.name, found.server_id, found.task, found.volume_size_gb, found.service_status),
        )
        self.assertEqual('image', self.db.repositories.guests.image(instance_id))

    def test_neither_a_server_nor_an_id_is_registered_twice(self):
        version = self.db.repositories.datastores.version_by_id(database.MARIADB_10_11)
        arguments = {'name': 'n', 'project_id': 'p', 'image_id': None}
        error = self.assertRaises(
            errors.AlreadyRegistered,
            self.instances.register,
            version,
            server_id=database.SERVER,
            **arguments,
        )
        self.assertIn(database.INSTANCE, error.message)
        self.assertRaises(
            errors.AlreadyRegistered,
            self.instances.register,
            version,
            server_id='another',
            instance_id=database.INSTANCE,
            **arguments,
        )


class TestWithNamed(base.TestCase):
    """One SELECT tells what two tell."""

    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.repos = self.db.repositories

    def named(self, called):
        found, named = self.repos.instances.get_with_named(database.INSTANCE, called)
        self.assertEqual(self.repos.instances.get(database.INSTANCE, with_details=False), found)
        return [version.id for version in named]

    def test_versions_of_the_datastore_by_id_and_by_name_inactive_ones_too(self):
        for called in ('11.8.6', database.MARIADB_11_8):
            self.assertEqual([database.MARIADB_11_8], self.named(called))
        self.assertEqual([database.MARIADB_INACTIVE], self.named('11.8.0'))
        _, (version,) = self.repos.instances.get_with_named(database.INSTANCE, '11.8.6')
        self.assertEqual(self.repos.datastores.version_by_id(database.MARIADB_11_8), version)

    def test_all_that_have_the_name(self):
        another = self.db.add_version(name='11.8.6', number='11.8.7')
        self.assertEqual({database.MARIADB_11_8, another}, set(self.named('11.8.6')))

    def test_none_of_another_datastore_and_none_that_is_not_there(self):
        for called in ('9.7.4', database.MYSQL_9_7, 'nothing', ''):
            self.assertEqual([], self.named(called))

    def test_an_instance_that_is_deleted_or_was_never_there_is_not_found(self):
        for instance_id in (database.DELETED_INSTANCE, str(uuid.uuid4()), 'no id'):
            self.assertRaises(
                exceptions.InstanceNotFound,
                self.repos.instances.get_with_named,
                instance_id,
                '11.8.6',
            )
