# SPDX-License-Identifier: Apache-2.0
"""Logins of a run: what cannot be used, or is missing, is told before anything begins."""

import argparse
import json
import pathlib

import fixtures
import paramiko

from trove_upgrade.cmd.bridge import way
from trove_upgrade.cmd.console.printing import UsageError
from trove_upgrade.domain.bridge_runs import MemberState, RunScope
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.bridge.neutron import a_server
from trove_upgrade.tests.unit.bridge.reach.ssh_agent import SshAgent
from trove_upgrade.tests.unit.bridge.test_openings import a_port
from trove_upgrade.tests.unit.cmd.bridge.base import BridgeTestCase, a_bundle, a_key
from trove_upgrade.tests.unit.db.test_bridge_runs import listed

FAILED, USAGE = 1, 2
PASSPHRASE = 'open sesame'


class TestOptions(base.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.asked = []

    def ask(self, prompt):
        self.asked.append(prompt)
        return PASSPHRASE

    def made(self, *words):
        parser = argparse.ArgumentParser()
        way.add_options(parser)
        with way.made(parser.parse_args(['--no-local', *words]), self.ask) as ways:
            return ways

    def secret(self, text):
        path = self.folder / 'secret'
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    def test_old_algorithms_and_the_ssh_agent_are_off_until_they_are_allowed(self):
        ways = self.made()
        self.assertFalse(ways.limits.sha1_rsa)
        self.assertFalse(ways.accounts.default.uses_agent)
        self.useFixture(SshAgent([paramiko.ECDSAKey.generate()]))
        ways = self.made('--allow-sha1-rsa', '--ssh-agent')
        self.assertTrue(ways.limits.sha1_rsa)
        self.assertTrue(ways.accounts.default.uses_agent)

    def test_a_passphrase_is_typed_once_for_each_key_that_has_one(self):
        key = a_key(self.folder, passphrase=PASSPHRASE)
        plain = a_key(self.folder, 'plain')
        words = ('--key-file', key, '--key-file', plain, '--ask-passphrase')
        ways = self.made(*words, '--node', 'n1', '--node-key-file', key)
        self.assertEqual([f'Passphrase of {key}: '], self.asked)
        self.assertEqual(2, len(ways.accounts.default.keys))

    def test_or_it_stands_in_a_file_which_serves_the_keys_of_single_instances_too(self):
        a_key(self.folder, passphrase=PASSPHRASE)
        accounts = self.folder / 'accounts.json'
        accounts.write_text('{"a": {"key_file": "key"}}')
        words = ('--accounts', str(accounts), '--passphrase-file', self.secret(PASSPHRASE))
        self.assertTrue(self.made(*words).accounts.login_of('a').keys)
        self.assertEqual([], self.asked)
        both = (*words, '--ask-passphrase')
        self.assertIn('contradict', str(self.assertRaises(UsageError, self.made, *both)))

    def test_a_password_is_typed_too(self):
        self.assertEqual(PASSPHRASE, self.made('--ask-password').accounts.default.password)
        self.assertEqual(['Password of root in the guests: '], self.asked)


class LoginsTestCase(BridgeTestCase):
    def setUp(self):
        super().setUp()
        self.runs = self.world.db.repositories.bridge_runs
        port = a_port('nic-1', server_id=database.SERVER)
        self.neutron.ports = {port.id: port}
        self.servers.found = [a_server(database.SERVER, port)]
        taken = json.loads(self.tool('inventory', '--json'))['instances']
        [self.instance] = [one['id'] for one in taken if not one['obstacle']]

    def words(self):
        """Commands that would log in to guests."""
        bundle = ('--bundle', str(a_bundle(self.folder)))
        for more in ((), ('--dry-run',)):
            yield ('reach', '--all', *more)
            yield ('run', '--all', *bundle, *more)

    def refused(self, *words, code):
        """Return what is told where nothing is begun."""
        for command in self.words():
            told = self.tool(*command, '--no-local', *words, code=code)
            self.assertEqual([], self.runs.all(), command)
        self.assertEqual({}, self.neutron.groups)
        return told


class TestBeforeARun(LoginsTestCase):
    def test_a_key_that_cannot_be_used_is_told(self):
        key = pathlib.Path(a_key(self.folder, passphrase=PASSPHRASE))
        self.assertIn('--ask-passphrase', self.refused('--key-file', str(key), code=FAILED))
        self.assertIn(
            'LOGIN_UNUSABLE', self.refused('--key-file', str(self.folder / 'none'), code=FAILED)
        )
        key.chmod(0o644)
        self.assertIn('LOGIN_FILE_REFUSED', self.refused('--key-file', str(key), code=FAILED))

    def test_so_is_one_of_a_network_node_or_of_a_single_instance(self):
        key, none = a_key(self.folder), str(self.folder / 'none')
        accounts = self.folder / 'accounts.json'
        accounts.write_text(json.dumps({self.instance: {'key_file': 'none'}}))
        for words in (
            ('--node', 'n1', '--node-key-file', none),
            ('--accounts', str(accounts)),
        ):
            self.assertIn(none, self.refused('--key-file', key, *words, code=FAILED))

    def test_so_is_an_ssh_agent_that_is_not_there(self):
        self.useFixture(fixtures.EnvironmentVariable('SSH_AUTH_SOCK', None))
        self.assertIn('SSH_AUTH_SOCK', self.refused('--ssh-agent', code=FAILED))

    def test_a_login_that_nothing_proves_is_refused(self):
        told = self.refused(code=USAGE)
        for word in (self.instance, '--key-file', '--ssh-agent', '--accounts'):
            self.assertIn(word, told)

    def test_so_is_one_where_the_file_of_accounts_names_another_instance_alone(self):
        a_key(self.folder)
        accounts = self.folder / 'accounts.json'
        accounts.write_text('{"another": {"key_file": "key"}}')
        self.assertIn(self.instance, self.refused('--accounts', str(accounts), code=USAGE))
        accounts.write_text(json.dumps({self.instance: {'key_file': 'key'}}))
        dry = ('reach', '--all', '--dry-run', '--no-local', '--accounts', str(accounts))
        # no namespace leads there, which the dry run tells: its login is right
        self.assertIn('cannot be reached', self.tool(*dry, code=FAILED))

    def test_a_check_which_logs_in_to_no_guest_wants_none(self):
        self.assertIn('checks', self.tool('check', '--no-local', code=FAILED))


class TestResume(LoginsTestCase):
    def setUp(self):
        super().setUp()
        self.run_id = self.runs.begin([listed(self.instance)], RunScope.REACH).id

    def test_a_member_whose_login_nothing_proves_is_not_claimed(self):
        self.assertIn(self.instance, self.tool('resume', self.run_id, '--no-local', code=USAGE))
        [member] = self.runs.members(self.run_id)
        self.assertEqual((MemberState.PENDING, 0), (member.state, member.generation))

    def test_nor_one_whose_key_cannot_be_used(self):
        none = str(self.folder / 'none')
        self.tool('resume', self.run_id, '--no-local', '--key-file', none, code=FAILED)
        [member] = self.runs.members(self.run_id)
        self.assertEqual((MemberState.PENDING, 0), (member.state, member.generation))

    def test_a_run_whose_members_have_all_ended_wants_none(self):
        self.runs.end(self.runs.claim(self.run_id, 'host-1', 60).member, MemberState.COMPLETED)
        self.assertIn('COMPLETED', self.tool('resume', self.run_id, '--no-local'))
