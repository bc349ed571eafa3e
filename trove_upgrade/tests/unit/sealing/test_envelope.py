# SPDX-License-Identifier: Apache-2.0
"""Envelopes open at their one receiver, whole, and nowhere else."""

import contextlib
import json

import hypothesis
from hypothesis import strategies

from trove_upgrade.sealing import envelope, keys
from trove_upgrade.sealing.keys import MessageDirection
from trove_upgrade.tests.unit import base

INSTANCE = '11111111-2222-3333-4444-555555555555'
OTHER = '99999999-2222-3333-4444-555555555555'
KEY = keys.GuestKey.new(INSTANCE)
MESSAGES = strategies.binary(max_size=300)


class TestEnvelope(base.TestCase):
    def assert_closed(self, key, direction, sealed):
        self.assertRaises(envelope.NotAuthentic, envelope.unseal, key, direction, sealed)

    @hypothesis.given(MESSAGES, strategies.sampled_from(MessageDirection))
    def test_its_receiver_reads_what_was_sealed(self, message, direction):
        wire = json.loads(json.dumps(envelope.seal(KEY, direction, message).to_wire()))
        self.assertEqual(
            message, envelope.unseal(KEY, direction, envelope.Envelope.from_wire(wire))
        )

    @hypothesis.given(MESSAGES, strategies.data())
    def test_each_flipped_bit_closes_it(self, message, data):
        sealed = envelope.seal(KEY, MessageDirection.TO_GUEST, message)
        part = data.draw(strategies.sampled_from(['nonce', 'box']))
        content = bytearray(getattr(sealed, part))
        bit = data.draw(strategies.integers(0, len(content) * 8 - 1))
        content[bit // 8] ^= 1 << bit % 8
        self.assert_closed(
            KEY,
            MessageDirection.TO_GUEST,
            envelope.Envelope(**{**vars(sealed), part: bytes(content)}),
        )

    @hypothesis.given(MESSAGES)
    def test_it_never_comes_back_to_its_sender(self, message):
        self.assert_closed(
            KEY,
            MessageDirection.TO_TASKMANAGER,
            envelope.seal(KEY, MessageDirection.TO_GUEST, message),
        )

    def test_another_guest_does_not_open_it_whatever_name_stands_outside(self):
        sealed = envelope.seal(KEY, MessageDirection.TO_GUEST, b'message')
        other = keys.GuestKey.new(OTHER)
        self.assert_closed(other, MessageDirection.TO_GUEST, sealed)
        renamed = envelope.Envelope(
            instance_id=OTHER, key_id=other.id, nonce=sealed.nonce, box=sealed.box
        )
        self.assert_closed(other, MessageDirection.TO_GUEST, renamed)

    def test_the_same_secret_under_another_name_does_not_open_it(self):
        sealed = envelope.seal(KEY, MessageDirection.TO_GUEST, b'message')
        for twin in (
            keys.GuestKey('0' * 32, INSTANCE, KEY.secret),
            keys.GuestKey(KEY.id, OTHER, KEY.secret),
        ):
            renamed = envelope.Envelope(
                instance_id=twin.instance_id, key_id=twin.id, nonce=sealed.nonce, box=sealed.box
            )
            self.assert_closed(twin, MessageDirection.TO_GUEST, renamed)

    def test_two_envelopes_of_one_message_have_nothing_in_common(self):
        one, two = (envelope.seal(KEY, MessageDirection.TO_GUEST, b'message') for _ in range(2))
        self.assertNotEqual(one.box, two.box)
        self.assertNotEqual(one.digest, two.digest)

    def test_what_is_no_envelope_is_refused_without_its_words(self):
        good = envelope.seal(KEY, MessageDirection.TO_GUEST, b'message').to_wire()
        bad = [
            None,
            7,
            [],
            'x',
            {},
            {**good, 'more': 1},
            {name: good[name] for name in list(good)[1:]},
        ]
        for name in good:
            bad += [
                {**good, name: value}
                for value in (None, 7, [], {}, '', 'é', 'secret words', 'x' * 13_000_000)
            ]
        for wire in bad:
            error = self.assertRaises(envelope.NotAuthentic, envelope.Envelope.from_wire, wire)
            self.assertNotIn('secret words', str(error))

    @hypothesis.given(
        strategies.recursive(
            strategies.none()
            | strategies.booleans()
            | strategies.integers()
            | strategies.text(max_size=20),
            lambda inner: (
                strategies.lists(inner, max_size=3)
                | strategies.dictionaries(strategies.text(max_size=9), inner, max_size=5)
            ),
        )
    )
    def test_whatever_comes_is_an_envelope_or_refused(self, wire):
        with contextlib.suppress(envelope.NotAuthentic):
            envelope.Envelope.from_wire(wire)
