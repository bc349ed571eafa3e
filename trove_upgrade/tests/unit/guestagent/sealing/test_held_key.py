# SPDX-License-Identifier: Apache-2.0
"""Which key a guest has, and that a broken file lets nothing through."""

import os
import pathlib

import fixtures

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.sealing.held_key import Held, HeldKey
from trove_upgrade.sealing.keys import GuestKey
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes

TROVES = 'troves-own-key-of-the-guest'
DERIVED = GuestKey.of_trove(fakes.INSTANCE, TROVES)


class HeldKeyTest(base.TestCase):
    def setUp(self):
        super().setUp()
        directory = self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path
        self.machine = fakes.Machine(pathlib.Path(directory))
        self.path = self.machine.layout.guest_key
        self.key = GuestKey.new(fakes.INSTANCE)
        self.log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))

    def held(self, troves_key=None):
        return HeldKey(self.machine.layout, fakes.INSTANCE, troves_key)

    def test_without_either_all_is_as_before(self):
        for nothing in (None, ''):
            self.assertEqual(Held(None, sealed_only=False), self.held(nothing).current())

    def test_the_file_counts_before_troves_key(self):
        self.machine.put_key(self.key)
        self.assertEqual(Held(self.key, sealed_only=True), self.held(TROVES).current())

    def test_a_file_that_an_operator_puts_there_counts_without_a_restart(self):
        held = self.held()
        held.current()
        self.machine.put_key(self.key)
        self.assertEqual(Held(self.key, sealed_only=True), held.current())
        self.path.unlink()
        self.assertEqual(self.key, held.current().key)

    def test_another_file_in_its_place_counts_and_is_told_of(self):
        """An operator has given the guest a new key: the taskmanagers know it once they hear
        something under it.
        """
        told = []
        held = HeldKey(self.machine.layout, fakes.INSTANCE, None, lambda: told.append(1))
        self.machine.put_key(self.key)
        for _ in range(3):
            held.current()
        self.assertEqual(1, len(told))
        later = GuestKey.new(fakes.INSTANCE)
        self.path.unlink()
        self.machine.put_key(later)
        self.assertEqual(later, held.current().key)
        self.assertEqual(2, len(told))

    def test_a_broken_file_in_its_place_takes_no_key_away(self):
        held = self.held()
        self.machine.put_key(self.key)
        held.current()
        self.path.write_bytes(b'torn')
        for _ in range(3):
            self.assertEqual(Held(self.key, sealed_only=True), held.current())
        self.assertEqual(1, self.log.output.count('cannot be read from'))

    def test_a_derived_key_takes_both_until_it_is_proven_also_after_a_restart(self):
        held = self.held(TROVES)
        self.assertEqual(Held(DERIVED, sealed_only=False), held.current())
        held.prove(self.key)
        self.assertFalse(held.current().sealed_only)
        held.prove(DERIVED)
        self.assertEqual(Held(DERIVED, sealed_only=True), held.current())
        self.assertEqual(Held(DERIVED, sealed_only=True), self.held(TROVES).current())
        self.assertFalse(self.held('another key of Trove').current().sealed_only)

    def test_a_torn_mark_of_a_proven_key_counts(self):
        self.held(TROVES).prove(DERIVED)
        for content in (b'', b'{', b'[]', b'\xff'):
            self.machine.layout.proven_key.write_bytes(content)
            self.assertTrue(self.held(TROVES).current().sealed_only, content)

    def test_a_mark_that_cannot_be_written_is_told_and_tried_again(self):
        held = self.held(TROVES)
        self.machine.layout.state.parent.mkdir(parents=True, exist_ok=True)
        self.machine.layout.state.write_text('no directory')
        for _ in range(2):
            error = self.assertRaises(exceptions.StepFailed, held.prove, DERIVED)
            self.assertEqual('MARK_NOT_WRITTEN', error.code)
            self.assertTrue(held.current().sealed_only)
        self.machine.layout.state.unlink()
        held.prove(DERIVED)
        self.assertTrue(self.held(TROVES).current().sealed_only)

    def broken(self):
        """Make one broken file after the other."""
        good = self.key.to_file()
        for content in (
            b'',
            b'\xff',
            b'null',
            b'[]',
            b'{}',
            good[:-20],
            b'[' * 5000,
            good + b' ' * 5000,
            good.replace(b'"form": 1', b'"form": 2'),
            good.replace(b'"secret": "', b'"secret": "AAAA'),
            good.replace(self.key.id.encode(), b'7'),
            GuestKey.new('another').to_file(),
        ):
            self.machine.put_key(content)
            yield content
        for mode in (0o640, 0o604, 0o620, 0o601):
            self.machine.put_key(self.key, mode)
            yield mode
        self.machine.put_key(self.key)
        os.chown(self.path, 64321, 0)
        yield 'of another owner'
        for make in (self.link, self.path.mkdir, lambda: os.mkfifo(self.path, 0o600)):
            if self.path.is_dir():
                self.path.rmdir()
            self.path.unlink(missing_ok=True)
            make()
            yield make

    def link(self):
        real = self.path.with_name('real.key')
        real.write_bytes(self.key.to_file())
        real.chmod(0o600)
        self.path.symlink_to(real)

    def test_a_broken_file_closes_whatever_trove_has(self):
        held = self.held(TROVES)
        for how in self.broken():
            for one in (held, self.held()):
                self.assertEqual(Held(None, sealed_only=True), one.current(), how)
        self.path.unlink()
        self.assertEqual(Held(DERIVED, sealed_only=False), held.current())

    def test_a_broken_file_is_told_once_and_the_mended_one_counts(self):
        held = self.held()
        self.machine.put_key(self.key, 0o644)
        for _ in range(5):
            held.current()
        told = self.log.output.splitlines()
        self.assertEqual(1, len(told), told)
        self.assertIn(str(self.path), told[0])
        self.path.chmod(0o600)
        self.assertEqual(self.key, held.current().key)

    def test_neither_a_log_nor_a_repr_has_the_secret(self):
        secret = self.key.to_file().decode().split('"secret": "')[1].split('"')[0]
        for _ in self.broken():
            self.held(TROVES).current()
        self.path.unlink()
        self.machine.put_key(self.key)
        held = self.held(TROVES)
        for text in (self.log.output, repr(held.current()), repr(held), repr(vars(held))):
            self.assertNotIn(secret, text)
            self.assertNotIn(secret[:12], text)
            self.assertNotIn(repr(self.key.secret), text)
            self.assertNotIn(TROVES, text)
