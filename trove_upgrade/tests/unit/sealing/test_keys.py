# SPDX-License-Identifier: Apache-2.0
"""Keys: one per guest and direction, in a file that is read strictly, at rest under the operator's
list.
"""

import json

from cryptography import fernet

from trove_upgrade.sealing import at_rest, keys
from trove_upgrade.sealing.keys import GuestKey, MessageDirection
from trove_upgrade.tests.unit import base

INSTANCE = '11111111-2222-3333-4444-555555555555'
OTHER = '99999999-2222-3333-4444-555555555555'
FROZEN_ID = '37af20575610b258cb1ea4b7cb075e13'
FROZEN_SECRET = '01604fbbcd75d3e08febbc477f797df5490e6139252061eb6c49a41783482064'
FROZEN_TO_GUEST = '50a391b127cc49e82e4f0cfcf219017e06e2cafa0e3e7f096513fb620c620687'


class TestGuestKey(base.TestCase):
    def test_each_is_another_one(self):
        made = [GuestKey.new(INSTANCE) for _ in range(50)]
        self.assertEqual(50, len({key.id for key in made}))
        self.assertEqual(
            100, len({key.of(direction) for key in made for direction in MessageDirection})
        )

    def test_no_text_of_it_has_the_secret(self):
        key = GuestKey(32 * '1', INSTANCE, b'the secret of thirty-two letters')
        self.assertNotIn('secret of', f'{key!r} {key}')

    def test_troves_key_gives_both_sides_the_same_one_and_each_instance_another(self):
        self.assertEqual(GuestKey.of_trove(INSTANCE, 'key'), GuestKey.of_trove(INSTANCE, 'key'))
        found = [
            GuestKey.of_trove(INSTANCE, 'key'),
            GuestKey.of_trove(OTHER, 'key'),
            GuestKey.of_trove(INSTANCE, 'yek'),
        ]
        self.assertEqual(3, len({key.secret for key in found}))
        self.assertEqual(3, len({key.id for key in found}))
        self.assertTrue(all(keys.is_key_id(key.id) for key in found))

    def test_the_derived_ids_and_secrets_of_a_release_are_those_of_the_next(self):
        """Guests keep their agents for years: what was derived once must be derived for ever."""
        key = GuestKey.of_trove(INSTANCE, 'BzmpbhrkPPvvAyKEVvHGFVMqNzfKKrzT')
        self.assertEqual(FROZEN_ID, key.id)
        self.assertEqual(FROZEN_SECRET, key.secret.hex())
        self.assertEqual(FROZEN_TO_GUEST, key.of(MessageDirection.TO_GUEST).hex())


class TestKeyFile(base.TestCase):
    def test_what_was_written_is_read(self):
        key = GuestKey.new(INSTANCE)
        self.assertEqual(key, GuestKey.from_file(key.to_file(), '/f'))

    def test_what_is_no_key_is_refused_and_not_quoted(self):
        good = json.loads(GuestKey.new(INSTANCE).to_file())
        bad = [b'', b'hush', b'[]', b'{}', b'\xff', b'[' * 100_000]
        for name in good:
            bad.append(
                json.dumps({key: value for key, value in good.items() if key != name}).encode()
            )
            bad += [
                json.dumps({**good, name: value}).encode()
                for value in (None, [], {}, 2, '', 'hush!', good['secret'][:-4] + '+')
            ]
        for content in bad:
            error = self.assertRaises(keys.KeyFileInvalid, GuestKey.from_file, content, '/the/file')
            self.assertIn('/the/file', error.message)
            self.assertNotIn('hush', error.message)


class TestAtRest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.entries = [at_rest.generate() for _ in range(3)]
        self.key = GuestKey.new(INSTANCE)

    def test_the_first_entry_encrypts_and_each_one_decrypts(self):
        wrapped = at_rest.Wrapping(self.entries[:1]).wrap(self.key)
        rotated = at_rest.Wrapping([self.entries[1], self.entries[0]])
        self.assertEqual(self.key, rotated.unwrap(self.key.id, INSTANCE, wrapped))
        self.assertFalse(rotated.is_newest(wrapped))
        again = rotated.wrap(self.key)
        self.assertTrue(rotated.is_newest(again))
        self.assertEqual(
            self.key, at_rest.Wrapping(self.entries[1:2]).unwrap(self.key.id, INSTANCE, again)
        )

    def test_the_row_holds_no_secret(self):
        wrapped = at_rest.Wrapping(self.entries).wrap(self.key)
        self.assertNotIn(self.key.secret.hex(), wrapped)
        self.assertNotIn(self.key.id, wrapped)

    def test_without_its_entry_it_is_refused(self):
        wrapped = at_rest.Wrapping(self.entries[:1]).wrap(self.key)
        other = at_rest.Wrapping(self.entries[1:])
        error = self.assertRaises(
            at_rest.KeyUnreadable, other.unwrap, self.key.id, INSTANCE, wrapped
        )
        self.assertIn(INSTANCE, error.message)

    def test_a_secret_that_was_moved_to_another_row_is_refused(self):
        wrapping = at_rest.Wrapping(self.entries)
        wrapped = wrapping.wrap(self.key)
        for key_id, instance_id in ((self.key.id, OTHER), (32 * '0', INSTANCE)):
            self.assertRaises(at_rest.KeyUnreadable, wrapping.unwrap, key_id, instance_id, wrapped)
        foreign = fernet.Fernet(self.entries[0]).encrypt(b'short').decode()
        self.assertRaises(at_rest.KeyUnreadable, wrapping.unwrap, self.key.id, INSTANCE, foreign)

    def test_an_entry_that_is_no_key_is_named_by_its_place_alone(self):
        for entry in ('', 'hush', 'x' * 44, self.entries[0][:-2], 'é'):
            error = self.assertRaises(
                at_rest.EncryptionKeysInvalid, at_rest.Wrapping, [self.entries[0], entry]
            )
            self.assertIn('entry 2', error.message)
            self.assertNotIn('hush', error.message)
