# SPDX-License-Identifier: Apache-2.0
"""A key is read and opened once, before it is needed, and an SSH agent is none without a key."""

import fixtures
import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.reach.keys import KeyFiles, agent_keys
from trove_upgrade.tests.unit.bridge.reach.ssh_agent import SshAgent
from trove_upgrade.tests.unit.bridge.reach.test_logins import FolderCase

PASSPHRASE = 'open sésame'


def openssh_key(passphrase):
    """A key as "ssh-keygen" of today writes it."""
    encryption = (
        serialization.BestAvailableEncryption(passphrase.encode())
        if passphrase
        else serialization.NoEncryption()
    )
    return ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, encryption
    )


class TestKeyFiles(FolderCase):
    def pem_key(self, passphrase=None):
        """A key as that of years ago wrote it."""
        path = self.folder / 'pem'
        paramiko.ECDSAKey.generate().write_private_key_file(str(path), password=passphrase)
        return path

    def both(self, passphrase=None):
        return self.written('openssh', openssh_key(passphrase)), self.pem_key(passphrase)

    def test_one_without_a_passphrase_asks_for_none(self):
        asked = []
        kinds = {KeyFiles(asked.append).read(path).get_name() for path in self.both()}
        self.assertEqual({'ssh-ed25519', 'ecdsa-sha2-nistp256'}, kinds)
        self.assertEqual([], asked)

    def test_one_with_a_passphrase_asks_for_it_once_however_many_logins_name_it(self):
        asked = []

        def ask(path):
            asked.append(path)
            return PASSPHRASE

        paths = self.both(PASSPHRASE)
        files = KeyFiles(ask)
        for path in (*paths, *paths):
            files.read(path)
        self.assertEqual(list(paths), asked)

    def test_another_passphrase_or_none_is_told_and_not_shown(self):
        for path in self.both(PASSPHRASE):
            for passphrase in ('open barley', ''):
                with self.subTest((path.name, passphrase)):
                    files = KeyFiles(lambda _, given=passphrase: given)
                    found = self.assertRaises(errors.LoginUnusable, files.read, path)
                    self.assertIn('the passphrase', found.message)
                    self.assertNotIn('barley', found.message)

    def test_where_none_can_be_asked_for_the_options_that_would_do_are_named(self):
        for path in self.both(PASSPHRASE):
            found = self.assertRaises(errors.LoginUnusable, KeyFiles().read, path)
            for option in ('--ask-passphrase', '--passphrase-file', '--ssh-agent'):
                self.assertIn(option, found.message)

    def test_what_is_no_key_is_not_asked_about(self):
        asked = []
        path = self.written('other', '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n')
        self.assertRaises(errors.LoginUnusable, KeyFiles(asked.append).read, path)
        self.assertEqual([], asked)


class TestAgent(FolderCase):
    def found(self):
        with agent_keys() as keys:
            return [key.get_name() for key in keys]

    def test_its_keys_are_there(self):
        self.useFixture(SshAgent([paramiko.ECDSAKey.generate()]))
        self.assertEqual(['ecdsa-sha2-nistp256'], self.found())

    def test_one_without_a_key_is_none(self):
        self.useFixture(SshAgent([]))
        self.assertIn('ssh-add', self.assertRaises(errors.LoginUnusable, self.found).message)

    def test_nor_is_one_that_refuses_or_is_not_there(self):
        self.useFixture(SshAgent(None))
        self.assertIn('gives no keys', self.assertRaises(errors.LoginUnusable, self.found).message)
        for path in (None, str(self.folder / 'none')):
            self.useFixture(fixtures.EnvironmentVariable('SSH_AUTH_SOCK', path))
            found = self.assertRaises(errors.LoginUnusable, self.found)
            self.assertIn('SSH_AUTH_SOCK', found.message)
