# SPDX-License-Identifier: Apache-2.0
"""Our agent is brought into a guest, or refused before the first change."""

import errno
import hashlib
import os
import tempfile

from trove_upgrade.bridge import guest, pusher
from trove_upgrade.bridge.pusher import Instance, Pusher
from trove_upgrade.bridge.reach.errors import FileUnreadable
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.bridge.shells import INSTANCE, STAGING, Bundle, GuestShell

KEY = b'secret of the key'
SHA256 = hashlib.sha256(b'archive').hexdigest()
COMMANDS = ['prepare', 'verify', 'unpack', 'self-test', 'configure', 'start']


class PusherCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.pusher = Pusher(bundle=Bundle(), operators_text='')
        self.shell = GuestShell()

    def push(self):
        instance = Instance(id=INSTANCE, project_id='a' * 32, datastore_manager='mariadb')
        found, composed = self.pusher.prepare(self.shell, instance)
        return self.pusher.push(self.shell, found, composed, KEY)

    def commands(self):
        return [words[0] for words in self.shell.commands if words[0] != 'inspect']

    def fails(self, code):
        error = self.assertRaises(pusher.exceptions.TroveUpgradeError, self.push)
        self.assertEqual(code, error.code)
        return error.message


class TestPush(PusherCase):
    def test_all_is_done_in_its_order_and_the_archive_suits_the_guest(self):
        self.push()
        self.assertEqual(COMMANDS, self.commands())
        archive = f'{STAGING}/{SHA256[:16]}.tar.gz'
        self.assertEqual(b'archive', self.shell.files[archive])
        self.assertIn(['verify', archive, SHA256], self.shell.commands)
        self.assertIn(['configure', SHA256], self.shell.commands)
        for name in guest.SERVICES:
            self.assertEqual(guest.read(name), self.shell.files[f'{STAGING}/{name}'])

    def test_a_guest_with_xz_gets_the_archive_as_it_is(self):
        self.shell.facts['has_xz'] = 'yes'
        self.push()
        self.assertIn(f'{STAGING}/{SHA256[:16]}.tar.xz', self.shell.files)

    def test_a_bundle_that_was_changed_on_this_host_is_not_unpacked(self):
        class Changed(Bundle):
            def for_guest(self, directory, *, has_xz):
                sent = super().for_guest(directory, has_xz=has_xz)
                sent.path.write_bytes(b'another')
                return sent

        self.pusher = Pusher(bundle=Changed(), operators_text='')
        message = self.fails('BRIDGE_BUNDLE_CHANGED')
        self.assertIn(hashlib.sha256(b'another').hexdigest(), message)
        self.assertEqual(['prepare'], self.commands())

    def test_a_host_without_room_for_the_files_tells_where(self):
        class Large(Bundle):
            def for_guest(self, directory, *, has_xz):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory))

        self.pusher = Pusher(bundle=Large(), operators_text='')
        message = self.fails('BRIDGE_STAGING_FAILED')
        self.assertIn('No space left on device', message)
        self.assertIn(f'make room in {tempfile.gettempdir()}', message)

    def test_secrets_go_by_files_for_root_alone_and_nothing_is_left_here(self):
        self.push()
        self.assertEqual(KEY, self.shell.files[f'{STAGING}/guest.key'])
        self.assertIn(b'of-the-broker', self.shell.files[f'{STAGING}/agent.conf'])
        self.assertEqual({0o600}, set(self.shell.modes.values()))
        self.assertEqual({0o700}, {mode for _, mode in self.shell.sources})
        self.assertFalse(any(source.exists() for source, _ in self.shell.sources))
        spoken = repr(self.shell.commands).encode() + b''.join(self.shell.inputs)
        for secret in (KEY, b'of-the-broker'):
            self.assertNotIn(secret, spoken)
        self.assertNotIn('of-the-broker', repr(Pusher(bundle=None, operators_text='of-the-broker')))

    def test_our_own_agent_of_an_earlier_run_is_stopped_first_and_no_other(self):
        self.shell.facts['our_agent'] = 'running'
        self.push()
        self.assertEqual(['stop', *COMMANDS], self.commands())

    def test_removal_is_one_command(self):
        pusher.remove(self.shell)
        self.assertEqual(['remove'], self.commands())


class TestRefused(PusherCase):
    def refused(self, code, **facts):
        self.shell = GuestShell(**facts)
        message = self.fails(code)
        self.assertIn('Nothing was changed', message)
        self.assertEqual([], self.commands())
        self.assertEqual({}, self.shell.modes)
        return message

    def test_an_older_c_library_is_refused_with_its_version(self):
        for libc in ('2.30', '2.9', '', 'musl'):
            found = self.refused('BRIDGE_GUEST_LIBC_TOO_OLD', libc=libc)
        self.assertIn('unknown', found)
        self.assertIn('2.17', self.refused('BRIDGE_GUEST_LIBC_TOO_OLD', libc='2.17'))

    def test_another_machine_is_refused(self):
        self.refused('BRIDGE_GUEST_OTHER_ARCHITECTURE', machine='aarch64')
        self.refused('BRIDGE_GUEST_OTHER_ARCHITECTURE', bits='32')

    def test_a_full_disk_is_refused(self):
        self.assertIn('0 MB free', self.refused('BRIDGE_GUEST_FULL', free_kb='1000'))
        self.refused('BRIDGE_GUEST_FULL', free_kb='nonsense')

    def test_a_login_that_is_not_root_is_refused(self):
        self.refused('BRIDGE_GUEST_NO_ROOT', uid='1000')

    def test_a_guest_without_what_it_takes_is_refused(self):
        self.assertIn('tar', self.refused('BRIDGE_GUEST_PROGRAMS_MISSING', has_tar='no'))
        self.refused('BRIDGE_GUEST_PROGRAMS_MISSING', has_setsid='no')
        self.refused('BRIDGE_GUEST_PROGRAMS_MISSING', boot='none')

    def test_a_guest_that_has_our_agent_or_is_being_upgraded_is_refused(self):
        self.refused('BRIDGE_GUEST_HAS_AGENT', has_product='yes')
        self.refused('BRIDGE_GUEST_HAS_AGENT', upgrade_holds='yes')

    def test_a_shell_that_is_none_is_refused(self):
        self.refused('BRIDGE_GUEST_UNSUITABLE', format='')

    def test_another_instances_guest_is_refused(self):
        path = self.shell.facts['agent_file']
        self.shell.files[path] += b'guest_id = another\n'
        self.fails('BRIDGE_GUEST_CONFIGURATION_UNUSABLE')
        self.assertEqual([], self.commands())

    def test_a_file_that_cannot_be_read_changes_nothing(self):
        self.shell.files.clear()
        self.assertRaises(FileUnreadable, self.push)
        self.assertEqual([], self.commands())


class TestFailed(PusherCase):
    def test_each_command_that_fails_ends_it_with_its_own_words(self):
        for number, command in enumerate(COMMANDS):
            if command == 'self-test':
                continue
            with self.subTest(command):
                self.shell = GuestShell()
                self.shell.answers[command] = (1, '', f'installer: {command}\x1b no\n room\n')
                kind = 'AGENT_NOT_STARTED' if command == 'start' else 'INSTALLER_FAILED'
                found = self.fails(f'BRIDGE_{kind}')
                self.assertIn(f'installer: {command} no room', found)
                self.assertEqual(COMMANDS[: number + 1], self.commands())

    def test_of_long_words_the_beginning_and_the_end_are_told(self):
        self.shell.answers['start'] = (
            1,
            '',
            f'it starts again and again: {"x" * 2000} no broker\n',
        )
        found = self.fails('BRIDGE_AGENT_NOT_STARTED')
        self.assertIn('guest: it starts again and again: x', found)
        self.assertIn('x no broker. Mend', found)
        self.assertLess(len(found), 900)

    def test_a_refusal_is_told_as_one(self):
        self.shell.answers['configure'] = (4, '', 'installer: refused: a key is there already\n')
        self.assertIn('a key is there', self.fails('BRIDGE_INSTALLER_REFUSED'))

    def test_what_the_self_test_found_is_told(self):
        said = 'files=9\nagent_can_be_imported=FAILED, ImportError: x\n'
        self.shell.answers['self-test'] = (1, said, 'installer: failed')
        found = self.fails('BRIDGE_SELF_TEST_FAILED')
        self.assertIn('ImportError', found)
        self.assertNotIn('files=9', found)
        self.assertNotIn('configure', self.commands())

    def test_an_old_agent_or_a_database_that_ended_meanwhile_is_told(self):
        for name, words in (
            ('agent_processes', 'the old agent (process 30)'),
            ('database_processes', 'the database (process 50)'),
        ):
            with self.subTest(name):
                self.shell = GuestShell()
                self.shell.after['start'] = {name: '30:9999 50:9999'}
                self.assertIn(words, self.fails('BRIDGE_NEIGHBOUR_ENDED'))

    def test_an_installer_without_an_answer_is_told(self):
        self.shell.answers['prepare'] = (0, '', '')
        self.fails('BRIDGE_INSTALLER_FAILED')

    def test_what_is_not_removed_is_told(self):
        self.shell.answers['remove'] = (4, '', 'an upgrade has this guest in hand')
        self.assertRaises(pusher.InstallerRefused, pusher.remove, self.shell)
