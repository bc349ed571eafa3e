# SPDX-License-Identifier: Apache-2.0
import pathlib
import tempfile

import fixtures
import paramiko
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.bridge.reach import errors, old_servers
from trove_upgrade.bridge.reach.host_key import HostKey
from trove_upgrade.bridge.reach.known_hosts import KnownHosts
from trove_upgrade.bridge.reach.session import Limits, algorithms
from trove_upgrade.tests.unit import base

ED25519, ECDSA, RSA = 'ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa'


def made():
    key = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    message = paramiko.Message()
    message.add_string(ED25519)
    message.add_string(key)
    return HostKey(ED25519, message.asbytes())


class TestHostKey(base.TestCase):
    @given(st.sampled_from([ED25519, ECDSA, RSA]), st.binary())
    def test_it_is_written_and_read_again(self, kind, blob):
        key = HostKey(kind, blob)
        if blob:
            self.assertEqual(key, HostKey.from_text(f'{key.text} a comment\n'))
        self.assertTrue(key.fingerprint.startswith(f'{kind} SHA256:'))

    def test_the_fingerprint_is_the_one_of_ssh_keygen(self):
        text = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl'
        self.assertEqual(
            'ssh-ed25519 SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU',
            HostKey.from_text(text).fingerprint,
        )

    def test_what_is_no_key_is_refused(self):
        for text in ('', 'ssh-ed25519', 'ssh-ed25519 ***', 'ssh-ed25519 AAA'):
            self.assertRaises(ValueError, HostKey.from_text, text)


class TestAlgorithms(base.TestCase):
    def test_a_server_of_several_keys_is_asked_for_the_one_that_is_pinned(self):
        for kind in (ED25519, ECDSA):
            self.assertEqual((kind,), algorithms([HostKey(kind, b'')], Limits()))

    def test_an_rsa_key_has_an_algorithm_for_each_hash(self):
        rsa = [HostKey(RSA, b'')]
        self.assertEqual(('rsa-sha2-512', 'rsa-sha2-256'), algorithms(rsa, Limits()))
        self.assertIn(RSA, algorithms(rsa, Limits(sha1_rsa=True)))

    def test_those_that_an_openssh_6_has_are_offered(self):
        """Its defaults.  Source: myproposal.h of OpenSSH 6.6."""
        ours = paramiko.Transport
        for offered, theirs in (
            (ours._preferred_kex, {'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256'}),
            (ours._preferred_kex, {'diffie-hellman-group-exchange-sha256'}),
            (ours._preferred_ciphers, {'aes128-ctr'}),
            (ours._preferred_macs, {'hmac-sha2-256', 'hmac-sha1'}),
            (ours._preferred_keys, {ED25519, ECDSA}),
            (ours._preferred_pubkeys, {ED25519, ECDSA}),
            (old_servers.OldServerTransport._preferred_keys, {RSA}),
        ):
            self.assertLessEqual(theirs, set(offered))
        self.assertNotIn(RSA, ours._preferred_keys)


class TestKnownHosts(base.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'known_hosts')
        self.known = KnownHosts(self.path)

    def test_the_keys_of_a_host_are_found_by_name_by_port_and_behind_a_hash(self):
        plain, other_port, hashed = made(), made(), made()
        name = paramiko.HostKeys.hash_host('node-2')
        self.path.write_text(
            f'# a comment\n\nnode-1,10.0.0.1 {plain.text}\n[node-1]:2222 {other_port.text} note\n'
            f'{name} {hashed.text}\n'
        )
        self.assertEqual((plain,), self.known.keys_of('10.0.0.1', 22))
        self.assertEqual((other_port,), self.known.keys_of('node-1', 2222))
        self.assertEqual((hashed,), self.known.keys_of('node-2', 22))

    def test_a_host_without_a_key_is_never_trusted_and_the_error_tells_how_to_record_it(self):
        for content in (
            None,
            '',
            f'node-2 {made().text}\n',
            'node-1 ssh-ed25519 AAA\n',
            'x |1|y| z\n',
        ):
            if content is not None:
                self.path.write_text(content)
            found = self.assertRaises(errors.NodeKeyUnknown, self.known.keys_of, 'node-1', 22)
            self.assertIn(f'ssh-keyscan -p 22 node-1 >> {self.path}', found.message)

    def test_a_revoked_key_is_none(self):
        key = made()
        self.path.write_text(f'node-1 {key.text}\n@revoked * {key.text}\n')
        self.assertRaises(errors.NodeKeyUnknown, self.known.keys_of, 'node-1', 22)

    def test_an_authority_is_no_key_of_the_host(self):
        self.path.write_text(f'@cert-authority node-1 {made().text}\n')
        self.assertRaises(errors.NodeKeyUnknown, self.known.keys_of, 'node-1', 22)

    def test_patterns_and_exclusions_count(self):
        key = made()
        self.path.write_text(f'*.Cloud.example,!node-9.cloud.example,node-? {key.text}\n')
        for host in ('node-1.cloud.example', 'NODE-2.cloud.example', 'node-3'):
            self.assertEqual((key,), self.known.keys_of(host, 22))
        for host in ('node-9.cloud.example', 'cloudxexample', 'node-10', '[x].cloud.example.org'):
            self.assertRaises(errors.NodeKeyUnknown, self.known.keys_of, host, 22)

    @given(st.binary(max_size=200))
    def test_no_line_of_another_form_stands_in_the_way(self, noise):
        key = made()
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, 'known_hosts')
            path.write_bytes(noise + f'\nnode-1 {key.text}\n'.encode())
            self.assertIn(key, KnownHosts(path).keys_of('node-1', 22))

    def test_a_file_that_cannot_be_read_is_told(self):
        self.path.mkdir()
        self.assertRaises(errors.LoginUnusable, self.known.keys_of, 'node-1', 22)
