# SPDX-License-Identifier: Apache-2.0
"""What a rebuilt guest is told: from Trove's rows, the server and the operator's template."""

import base64
import dataclasses

import sqlalchemy as sa
import yaml

from trove_upgrade.db import trove_tables
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.image_archive import ImageArchive
from trove_upgrade.taskmanager import guest_files, user_data
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.taskmanager import fakes

OWN_PATH = '/etc/trove/conf.d/trove-upgrade-broker.conf'
ACCOUNT = (
    '[trove_upgrade]\nguest_transport_url = rabbit://guest-i:s3cret@10.0.0.1:5672/trove-guests\n'
)
ETH1 = f'- path: {user_data.ETH1_PATH}\n  content: "{{}}"\n'


class TestGuestFiles(base.TestCase):
    def setUp(self):
        super().setUp()
        self.stage = self.useFixture(fakes.Stage())
        self.db, self.repos = self.stage.db, self.stage.repos

    def render(self, server=None, volume_uuid=None, **changes):
        files = dataclasses.replace(self.stage.files, **changes)
        rendered = files.render(
            server or self.stage.nova.state,
            database.INSTANCE,
            self.repos.datastores.version_by_id(database.MARIADB_11_8),
            'u:1',
            volume_uuid,
        )
        entries = yaml.safe_load(rendered)['write_files']
        return {
            entry['path']: base64.b64decode(entry['content']).decode()
            if entry.get('encoding') == 'b64'
            else entry['content']
            for entry in entries
        }

    def info(self):
        return self.render()['/etc/trove/conf.d/guest_info.conf'].splitlines()

    def change_version(self, **values):
        with self.db.database.write() as connection:
            connection.execute(
                sa.update(trove_tables.datastore_versions)
                .where(trove_tables.datastore_versions.c.id == database.MARIADB_11_8)
                .values(**values)
            )

    def test_the_number_of_the_version_is_named_not_its_name(self):
        self.change_version(name='11.8')
        self.assertIn('datastore_version = 11.8.6', self.info())

    def test_classes_are_those_of_the_target_version(self):
        self.change_version(registry_ext='a.b.Manager', repl_strategy='a.b.Strategy')
        self.assertIn('datastore_registry_ext=mariadb:a.b.Manager', self.info())
        self.assertIn('replication_strategy=a.b.Strategy', self.info())

    def test_a_version_that_names_none_gets_what_trove_takes_then(self):
        self.assertIn(
            'datastore_registry_ext=mariadb:trove.guestagent.datastore.mariadb.manager.Manager',
            self.info(),
        )
        self.assertIn(
            'replication_strategy=trove.guestagent.strategies.replication.mariadb_gtid.MariaDBGTIDReplication',
            self.info(),
        )

    def test_tls_is_as_the_row_says(self):
        self.assertIn('ssl_mode=None', self.info())
        self.db.update_instance(ssl_mode='MTLS')
        self.assertIn('ssl_mode=MTLS', self.info())

    def test_an_older_trove_has_none_of_these_and_none_is_made_up(self):
        with self.db.database.engine.begin() as connection:
            for table, column in (
                ('instances', 'ssl_mode'),
                ('datastore_versions', 'registry_ext'),
                ('datastore_versions', 'repl_strategy'),
            ):
                connection.exec_driver_sql(f'ALTER TABLE {table} DROP COLUMN {column}')
        self.assertEqual(
            [
                '[DEFAULT]',
                'guest_id = i',
                'datastore_manager = mariadb',
                'datastore_version = 11.8.6',
            ],
            self.info(),
        )

    def test_the_template_is_read_at_every_rebuild(self):
        texts = ['one', 'two']
        said = [
            self.render(guest_config_file='/etc/trove/x.conf', read=lambda path: texts.pop(0))[
                '/etc/trove/conf.d/trove-guestagent.conf'
            ]
            for _ in range(2)
        ]
        self.assertEqual(['one', 'two'], said)

    def with_account(self, path):
        """A server whose user data has an account of this guest in that file."""
        entry = yaml.safe_dump([{'path': path, 'permissions': '0644', 'content': ACCOUNT}])
        return dataclasses.replace(
            self.stage.nova.state,
            user_data=self.stage.nova.state.user_data + b'\n' + entry.encode(),
        )

    def test_an_account_of_this_guest_alone_outlives_the_rebuild(self):
        for path, template in (
            (OWN_PATH, None),
            (OWN_PATH, '[DEFAULT]\n'),
            ('/etc/trove/conf.d/trove-guestagent.conf', None),
        ):
            server = self.with_account(path)
            self.assertEqual(
                ACCOUNT,
                self.render(
                    server,
                    guest_config_file=template and '/x',
                    read=lambda _path, text=template: text,
                )[path],
            )
            rendered = dataclasses.replace(
                self.stage.files,
                guest_config_file=template and '/x',
                read=lambda _path, text=template: text,
            ).render(
                server,
                database.INSTANCE,
                self.repos.datastores.version_by_id(database.MARIADB_11_8),
                'u:1',
            )
            [entry] = [
                one for one in yaml.safe_load(rendered)['write_files'] if one['path'] == path
            ]
            self.assertEqual('0600', entry['permissions'], path)

    def test_the_template_of_all_guests_takes_an_account_that_stands_in_its_place(self):
        path = '/etc/trove/conf.d/trove-guestagent.conf'
        said = self.render(
            self.with_account(path), guest_config_file='/x', read=lambda _path: 'template'
        )
        self.assertEqual('template', said[path])

    def test_a_repository_that_the_facts_name_is_told_to_the_guest(self):
        self.assertNotIn('upgrade_container_repositories', self.render()[user_data.MARKER_PATH])
        self.repos.datastores.save_target_facts(
            database.MARIADB_11_8,
            {'container_image': f'r.example:5000/team/mariadb:11.8@sha256:{"a" * 64}'},
        )
        self.assertIn(
            'upgrade_container_repositories = r.example:5000/team/mariadb\n',
            self.render()[user_data.MARKER_PATH],
        )

    def test_facts_that_name_no_image_refuse_before_anything_is_stopped(self):
        for image in (
            'evil\n[DEFAULT]\ntransport_url = rabbit://evil',
            'a:b:c',
            ['a'],
            'a,b:1',
            {'a': 1},
        ):
            self.repos.datastores.save_target_facts(
                database.MARIADB_11_8, {'container_image': image}
            )
            self.assertEqual(
                'CONTAINER_IMAGE_INVALID',
                self.assertRaises(exceptions.StepRefused, self.render).code,
                image,
            )
        refused = self.assertRaises(
            exceptions.StepRefused, self.stage.precheck.run, self.stage.row()
        )
        self.assertEqual('CONTAINER_IMAGE_INVALID', refused.code)
        self.assertEqual([], self.stage.guest.calls)

    def test_a_template_that_cannot_be_read_refuses(self):
        error = self.assertRaises(
            exceptions.StepRefused, self.render, guest_config_file='/nowhere/trove-guestagent.conf'
        )
        self.assertEqual('GUEST_CONFIG_FILE_UNREADABLE', error.code)
        self.stage.preflight = dataclasses.replace(
            self.stage.preflight,
            files=dataclasses.replace(self.stage.files, guest_config_file='/nowhere/x'),
        )
        refused = self.assertRaises(
            exceptions.StepRefused,
            dataclasses.replace(self.stage.precheck, preflight=self.stage.preflight).run,
            self.stage.row(),
        )
        self.assertEqual('GUEST_CONFIG_FILE_UNREADABLE', refused.code)
        self.assertEqual([], self.stage.guest.calls)

    def test_only_a_server_with_one_nic_loses_what_would_shut_it(self):
        server = dataclasses.replace(
            self.stage.nova.state, user_data=fakes.USER_DATA + ETH1.encode()
        )
        for count, expected in ((1, False), (2, True), (None, True)):
            self.assertEqual(
                expected,
                user_data.ETH1_PATH in self.render(dataclasses.replace(server, nic_count=count)),
                count,
            )

    def test_the_rebuild_sends_the_volume_of_the_guest_that_was_stopped(self):
        self.stage.guest.says(
            'pre_upgrade',
            fakes.answer(
                result={'upgrade_info': {'volume_uuid': '6d1b1c5e-5f0e-4a53-9e0e-0d7d6c3b2a99'}}
            ),
        )
        self.stage.run_on(self.db.begin().id)
        sent = yaml.safe_load(self.stage.nova.rebuilds[0][3])['write_files'][-1]
        self.assertIn(
            'upgrade_volume_uuid = 6d1b1c5e-5f0e-4a53-9e0e-0d7d6c3b2a99',
            base64.b64decode(sent['content']).decode(),
        )

    def sent_with(self, info):
        """The marker's file of the rebuild of a guest that has told this at its stop."""
        self.stage.guest.says('pre_upgrade', fakes.answer(result={'upgrade_info': info}))
        self.stage.run_on(self.db.begin().id)
        sent = yaml.safe_load(self.stage.nova.rebuilds[0][3])['write_files'][-1]
        return base64.b64decode(sent['content']).decode()

    def name_image(self, image_id):
        """As an operator records it with the target version."""
        facts = {'container_image_id': image_id}
        self.stage.repos.datastores.save_target_facts(database.MARIADB_11_8, facts)

    def test_another_image_than_the_version_names_is_told_to_no_guest(self):
        archive = ImageArchive(sha256='a' * 64, size_bytes=7, image_id=f'sha256:{"b" * 64}')
        self.name_image(f'sha256:{"c" * 64}')
        self.assertNotIn(
            'upgrade_image_archive', self.sent_with({'image_archive': archive.to_wire()})
        )

    def test_where_none_is_to_be_carried_none_is_told_whatever_the_guest_tells(self):
        archive = ImageArchive(sha256='a' * 64, size_bytes=7, image_id=f'sha256:{"b" * 64}')
        self.name_image(archive.image_id)
        calls = dataclasses.replace(self.stage.calls, options=GuestOptions())
        self.stage.rebuild = dataclasses.replace(self.stage.rebuild, calls=calls)
        self.assertNotIn(
            'upgrade_image_archive', self.sent_with({'image_archive': archive.to_wire()})
        )

    def test_of_a_version_that_names_none_no_image_is_asked_for_or_told(self):
        archive = ImageArchive(sha256='a' * 64, size_bytes=7, image_id=f'sha256:{"b" * 64}')
        self.assertNotIn(
            'upgrade_image_archive', self.sent_with({'image_archive': archive.to_wire()})
        )
        [call, *_] = self.stage.guest.asked('pre_upgrade')
        self.assertFalse(call.options.carry_image)

    def test_the_rebuild_tells_of_the_container_image_on_the_volume(self):
        archive = ImageArchive(sha256='a' * 64, size_bytes=7, image_id=f'sha256:{"b" * 64}')
        self.name_image(archive.image_id)
        self.assertIn(
            f'\nupgrade_image_archive = {"a" * 64} 7 sha256:{"b" * 64}\n',
            self.sent_with({'image_archive': archive.to_wire()}),
        )

    def test_a_guest_that_carries_none_is_told_of_none(self):
        self.assertNotIn('upgrade_image_archive', self.sent_with({}))

    def test_the_default_reader_reads_files(self):
        self.assertIn('SPDX', guest_files.read_text(__file__))
