# SPDX-License-Identifier: Apache-2.0
"""What an operator does to guests' keys: files for root alone, refusals that change nothing, and no
secret on the screen.
"""

import json
import os
import stat

import sqlalchemy as sa
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.db import models, trove_tables
from trove_upgrade.db.guest_keys import GuestKeys
from trove_upgrade.domain import guests
from trove_upgrade.sealing.at_rest import Wrapping, generate
from trove_upgrade.sealing.keys import GuestKey
from trove_upgrade.sealing.ports import Heard
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.cmd.manage.test_manage import SERVER_ID, ManageTestCase

INSTANCE, OTHER = database.INSTANCE, database.OTHER_INSTANCE
SESSION = '1' * 32


class GuestKeyTestCase(ManageTestCase):
    def setUp(self):
        super().setUp()
        self.entries = [generate()]
        self.path = self.folder / 'guest.key'
        self.configure()

    def configure(self, *more):
        url = f'sqlite:///{self.folder}/db.sqlite?timeout=60'
        lines = ['[database]', f'connection = {url}', '[trove_upgrade]', *more]
        if self.entries:
            lines.append('guest_key_encryption_keys = ' + ','.join(self.entries))
        self.conf.write_text('\n'.join(lines) + '\n')

    def keys(self):
        return GuestKeys(self.db.database, lambda: Wrapping(self.entries))

    def rows(self):
        return self.db.rows(models.upgrade_guest_keys)

    def tool(self, *words, code=0):
        said = self.run_tool(*words, code=code)
        for entry in self.entries:
            self.assertNotIn(entry, said)
        return said


class TestGenerate(GuestKeyTestCase):
    def test_it_is_an_entry_of_the_list_and_new_each_time(self):
        first, second = (self.tool('guest-key', 'generate').strip() for _ in range(2))
        self.assertNotEqual(first, second)
        Wrapping([first, second])

    def test_it_needs_neither_a_list_nor_a_database(self):
        for text in ('', '[trove_upgrade]\nguest_key_encryption_keys = wrong\n'):
            self.conf.write_text(text)
            Wrapping([self.run_tool('guest-key', 'generate').strip()])


class TestMint(GuestKeyTestCase):
    def test_the_file_is_the_guest_s_key_and_for_its_owner_alone(self):
        self.addCleanup(os.umask, os.umask(0))
        said = self.tool('guest-key', 'mint', INSTANCE, '--file', str(self.path))
        key = GuestKey.from_file(self.path.read_bytes(), str(self.path))
        self.assertEqual(
            (0o600, INSTANCE), (stat.S_IMODE(self.path.stat().st_mode), key.instance_id)
        )
        self.assertEqual(key, self.keys().find(INSTANCE, key.id))
        self.assertIn(key.id, said)
        self.assertNotIn(json.loads(self.path.read_text())['secret'], said)
        self.assertIs(Heard.TAKEN, self.keys().hear(key, SESSION, 1))
        self.assertEqual('operator', self.rows()[0].origin)

    def test_a_file_that_is_there_is_left_as_it_is(self):
        self.path.write_text('mine')
        link = self.folder / 'link'
        link.symlink_to(self.folder / 'nowhere')
        for path in (self.path, link, self.folder, self.folder / 'no' / 'folder', 'a\0b'):
            self.assertIn(
                'GUEST_KEY_FILE_NOT_WRITTEN',
                self.tool('guest-key', 'mint', INSTANCE, '--file', str(path), code=1),
            )
        self.assertEqual(
            ('mine', [], False),
            (self.path.read_text(), self.rows(), (self.folder / 'nowhere').exists()),
        )

    def test_what_cannot_be_minted_leaves_no_file(self):
        for instance in ('of-no-instance', database.DELETED_INSTANCE):
            self.assertIn(
                'INSTANCE_NOT_FOUND',
                self.tool('guest-key', 'mint', instance, '--file', str(self.path), code=1),
            )
        self.db.database.engine.dispose()
        self.configure('guest_rpc_security = off')
        self.assertIn(
            'GUEST_KEY_ENCRYPTION_KEYS_UNSET',
            self.tool('guest-key', 'mint', INSTANCE, '--file', str(self.path), code=1),
        )
        self.entries = []
        self.configure()
        self.assertIn(
            'GUEST_KEY_ENCRYPTION_KEYS_UNSET',
            self.tool('guest-key', 'mint', INSTANCE, '--file', str(self.path), code=1),
        )
        self.entries = ['no-key-at-all']
        self.configure()
        self.assertIn(
            'GUEST_KEY_ENCRYPTION_KEYS_INVALID',
            self.tool('guest-key', 'mint', INSTANCE, '--file', str(self.path), code=1),
        )
        self.assertEqual(([], False), (self.rows(), self.path.exists()))

    def test_beside_a_taskmanager_that_knows_no_keys_none_is_made(self):
        self.db.repositories.services.register(
            'host-9', 'trove-upgrade-taskmanager', '1', release='borealis', pid=1
        )
        said = self.tool('guest-key', 'mint', INSTANCE, '--file', str(self.path), code=1)
        self.assertEqual(
            (True, True, []), ('TASKMANAGER_OLDER' in said, 'host-9' in said, self.rows())
        )
        self.assertFalse(self.path.exists())

    def test_before_the_expand_the_command_that_mends_it_is_named(self):
        with self.db.database.write() as connection:
            connection.exec_driver_sql('DROP TABLE upgrade_guest_keys')
        self.assertIn(
            'db expand', self.tool('guest-key', 'mint', INSTANCE, '--file', str(self.path), code=1)
        )
        self.assertFalse(self.path.exists())


class TestList(GuestKeyTestCase):
    def test_every_instance_has_a_line_and_no_key_is_shown(self):
        key = self.keys().mint(INSTANCE, 'marker')
        self.keys().hear(key, SESSION, 1)
        self.keys().mint(INSTANCE, None)
        self.keys().dropped(OTHER, 3)
        self.db.repositories.guests.record(
            guests.Heartbeat(
                instance_id=INSTANCE,
                boot_id='b',
                marker='m',
                restored=True,
                agent_version='1.2.3',
                server_version='11.8.6',
                server_state=guests.ServerState.RUNNING,
            ),
            key.id,
        )
        _header, first, second = self.tool('guest-key', 'list').splitlines()
        self.assertEqual([INSTANCE, 'sealed', 'rebuild'], first.split()[:3])
        self.assertEqual(['1', '1.2.3'], first.split()[4:6])
        self.assertEqual([OTHER, 'unsealed', '-', '-', '0', '-', '-', '3'], second.split())
        self.assertNotIn(key.secret.hex(), first)

    def test_programs_get_the_same(self):
        self.keys().met(self.keys().mint(OTHER, None), SESSION)
        found = {
            one['instance_id']: one for one in json.loads(self.tool('guest-key', 'list', '--json'))
        }
        self.assertEqual(
            [(False, None), (True, 'operator')],
            [(found[each]['sealed'], found[each]['origin']) for each in (INSTANCE, OTHER)],
        )

    def test_before_the_expand_every_guest_is_spoken_to_unsealed(self):
        with self.db.database.write() as connection:
            for statement in (
                'DROP TABLE upgrade_guest_keys',
                'DROP TABLE upgrade_guest_wires',
                'ALTER TABLE upgrade_guests DROP COLUMN key_id',
            ):
                connection.exec_driver_sql(statement)
        self.assertEqual(
            ['unsealed', 'unsealed'],
            [line.split()[1] for line in self.tool('guest-key', 'list').splitlines()[1:]],
        )

    def test_more_instances_than_a_page_are_all_listed_in_a_number_of_statements_that_grows_by_pages(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        wanted = {self.db.add_instance(status=None) for _ in range(1001)} | {INSTANCE, OTHER}
        seen = []
        overview = self.db.repositories.guest_key_overview
        sa.event.listen(
            self.db.database.engine,
            'before_cursor_execute',
            lambda *arguments: seen.append(arguments[2]),
        )
        found = [one.instance_id for one in overview.instances()]
        self.assertEqual(sorted(wanted), found)
        self.assertLess(len([one for one in seen if one.startswith('SELECT')]), 20)


class TestRotate(GuestKeyTestCase):
    def test_after_it_the_former_entry_may_go(self):
        minted = [self.keys().mint(INSTANCE, marker) for marker in 'abc']
        former = self.entries[0]
        self.entries = [generate(), former]
        self.configure()
        self.assertIn('3 keys of guests have been', self.tool('guest-key', 'rotate'))
        self.assertIn('0 keys of guests have been', self.tool('guest-key', 'rotate'))
        self.entries = self.entries[:1]
        self.assertEqual(minted, [self.keys().minted_for(INSTANCE, marker) for marker in 'abc'])

    def test_what_no_entry_opens_is_named_and_the_rest_is_done(self):
        lost = self.keys().mint(OTHER, 'a')
        self.entries = [generate()]
        self.keys().mint(INSTANCE, 'b')
        self.entries.insert(0, generate())
        self.configure()
        said = self.tool('guest-key', 'rotate', code=1)
        self.assertIn('GUEST_KEYS_NOT_ROTATED', said)
        self.assertIn(OTHER, said)
        self.assertNotIn(INSTANCE, said)
        newest = Wrapping(self.entries[:1])
        self.assertEqual(
            {lost.id: False},
            {
                row.key_id: newest.is_newest(row.wrapped)
                for row in self.rows()
                if row.instance_id == OTHER
            },
        )
        self.assertEqual(
            [True],
            [newest.is_newest(row.wrapped) for row in self.rows() if row.instance_id == INSTANCE],
        )

    def test_without_a_list_it_is_refused(self):
        self.entries = []
        self.configure()
        self.assertIn('GUEST_KEY_ENCRYPTION_KEYS_UNSET', self.tool('guest-key', 'rotate', code=1))


class TestForget(GuestKeyTestCase):
    def test_without_yes_nothing_is_changed(self):
        self.keys().met(self.keys().mint(INSTANCE, None), SESSION)
        self.assertIn('Nothing has been changed', self.tool('guest-key', 'forget', INSTANCE))
        self.assertEqual(1, len(self.rows()))
        self.tool('guest-key', 'forget', INSTANCE, '--yes')
        self.assertEqual(([], None), (self.rows(), self.keys().current(INSTANCE)))
        self.assertIn('Nothing to do', self.tool('guest-key', 'forget', INSTANCE, '--yes'))

    def test_a_key_that_no_entry_opens_and_one_of_a_deleted_instance_go_as_well(self):
        self.keys().mint(database.DELETED_INSTANCE, None)
        self.entries = []
        self.configure()
        self.tool('guest-key', 'forget', database.DELETED_INSTANCE, '--yes')
        self.assertEqual([], self.rows())

    def test_keys_of_all_deleted_instances_go_and_no_other(self):
        gone = ('00000000-0000-4000-8000-00000000dead', database.DELETED_INSTANCE)
        self.assertIn('Nothing to do', self.tool('guest-key', 'forget', '--deleted', '--yes'))
        for instance_id in (*gone, gone[1], INSTANCE):
            self.keys().mint(instance_id, None)
        said = self.tool('guest-key', 'forget', '--deleted')
        self.assertIn('Nothing has been changed', said)
        self.assertEqual(sorted(gone), sorted(said.splitlines()[:2]))
        self.assertEqual(4, len(self.rows()))
        self.tool('guest-key', 'forget', '--deleted', '--yes')
        self.assertEqual([INSTANCE], [row.instance_id for row in self.rows()])

    def test_an_instance_or_all_that_are_deleted_are_named(self):
        for words in ((), (INSTANCE, '--deleted')):
            self.tool('guest-key', 'forget', *words, '--yes', code=2)


class TestRegister(GuestKeyTestCase):
    def register(self, *more, server=SERVER_ID, code=0):
        return self.tool(
            'instance',
            'register',
            server,
            '--name',
            'new',
            '--project',
            'p',
            '--datastore',
            'mariadb',
            '--version',
            '10.11.14',
            '--guest-key-file',
            str(self.path),
            *more,
            code=code,
        )

    def test_the_new_instance_has_a_key_whose_file_was_written(self):
        instance_id = self.register().strip()
        key = GuestKey.from_file(self.path.read_bytes(), 'p')
        self.assertEqual(
            (instance_id, key), (key.instance_id, self.keys().find(instance_id, key.id))
        )

    def test_a_refusal_leaves_neither_row_nor_key_nor_file(self):
        self.register('--id', '00000000-0000-4000-8000-0000000000ee')
        self.path.unlink()
        before = self.rows()
        for words, said in ((('--id', INSTANCE), 'ALREADY_REGISTERED'), ((), 'ALREADY_REGISTERED')):
            self.assertIn(said, self.register(*words, code=1))
        self.assertIn('SERVER_NOT_FOUND', self.register(server='other', code=1))
        self.entries = []
        self.configure()
        self.assertIn('GUEST_KEY_ENCRYPTION_KEYS_UNSET', self.register(code=1))
        self.assertEqual((before, False), (self.rows(), self.path.exists()))

    def test_an_existing_file_refuses_before_anything_is_written(self):
        self.path.write_text('mine')
        self.assertIn('GUEST_KEY_FILE_NOT_WRITTEN', self.register(code=1))
        self.assertEqual(([], 'mine'), (self.rows(), self.path.read_text()))
        self.assertEqual(3, len(self.db.rows(trove_tables.instances)))


class TestOption(GuestKeyTestCase):
    def test_trove_s_own_option_stands_where_trove_has_registered_it(self):
        conf = cfg.ConfigOpts()
        conf.register_opt(
            cfg.StrOpt(
                'inst_rpc_key_encr_key',
                default='of Trove',
                help='Key (OpenSSL aes_cbc) to encrypt instance keys in DB.',
            )
        )
        our_conf.register_opts(conf)
        our_conf.register_opts(conf)
        conf([], project='trove-upgrade', default_config_files=[])
        self.assertEqual('of Trove', conf.inst_rpc_key_encr_key)
