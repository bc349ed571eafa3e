# SPDX-License-Identifier: Apache-2.0
"""An envelope: one message under a guest's key, as it lies at the broker.

Outside of it stand the instance and the id of the key.  Both only select the key: they are
authenticated with the message, as are the version and the direction, so that an envelope opens
nowhere else.  Source: ChaCha20-Poly1305 of RFC 8439.
"""

import base64
import binascii
import dataclasses
import hashlib
import os
from collections.abc import Mapping
from typing import Any, Self

from cryptography import exceptions as cryptography_exceptions
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from trove_upgrade.domain import upgrade_info
from trove_upgrade.sealing.keys import GuestKey, MessageDirection, RandomBytes, is_key_id

VERSION = '1.2'

_NONCE_BYTES = 12
_TAG_BYTES = 16
#: Characters of the base64 of one message.
_LONGEST = 12_000_000
_FIELDS = frozenset({'instance_id', 'key_id', 'nonce', 'box'})


class NotAuthentic(Exception):
    """A message is under no key of this guest, or was changed on its way.  The text holds nothing
    of it.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Envelope:
    """One message under a key, as it is sent."""

    instance_id: str
    key_id: str
    nonce: bytes
    box: bytes

    @property
    def digest(self) -> str:
        """Return what an answer names its request by: the SHA-256 of all of it."""
        whole = hashlib.sha256()
        for part in (self.instance_id.encode(), self.key_id.encode(), self.nonce, self.box):
            whole.update(len(part).to_bytes(8, 'big') + part)
        return whole.hexdigest()

    def to_wire(self) -> dict[str, str]:
        """Return the envelope as a JSON-ready dictionary, with bytes in Base64."""
        return {
            'instance_id': self.instance_id,
            'key_id': self.key_id,
            'nonce': base64.b64encode(self.nonce).decode(),
            'box': base64.b64encode(self.box).decode(),
        }

    @classmethod
    def from_wire(cls, wire: Any) -> Self:
        """Read what came over the broker.

        :raises NotAuthentic: it has not the form of an envelope.
        """
        if not isinstance(wire, Mapping) or wire.keys() != _FIELDS:
            raise NotAuthentic('it has other fields than an envelope')
        if not upgrade_info.is_id(wire['instance_id']) or not is_key_id(wire['key_id']):
            raise NotAuthentic('it names no instance and key')
        nonce, box = _bytes(wire['nonce']), _bytes(wire['box'])
        if len(nonce) != _NONCE_BYTES or len(box) < _TAG_BYTES:
            raise NotAuthentic('it is shorter than an envelope')
        return cls(instance_id=wire['instance_id'], key_id=wire['key_id'], nonce=nonce, box=box)


def seal(
    key: GuestKey, direction: MessageDirection, message: bytes, random: RandomBytes = os.urandom
) -> Envelope:
    """Put `message` into an envelope that only the other end of `direction` opens."""
    nonce = random(_NONCE_BYTES)
    box = ChaCha20Poly1305(key.of(direction)).encrypt(nonce, message, _associated(key, direction))
    return Envelope(instance_id=key.instance_id, key_id=key.id, nonce=nonce, box=box)


def unseal(key: GuestKey, direction: MessageDirection, envelope: Envelope) -> bytes:
    """Return the message.

    :raises NotAuthentic: it was not sealed with this key for this direction, or a bit of it is
        another one.
    """
    if (envelope.instance_id, envelope.key_id) != (key.instance_id, key.id):
        raise NotAuthentic('it is under another key')
    try:
        return ChaCha20Poly1305(key.of(direction)).decrypt(
            envelope.nonce, envelope.box, _associated(key, direction)
        )
    except cryptography_exceptions.InvalidTag:
        raise NotAuthentic('it was not sealed with this key, or was changed') from None


def _associated(key: GuestKey, direction: MessageDirection) -> bytes:
    """Return the associated data of a box; none of its four parts can have the separator in it."""
    return f'{VERSION}\n{direction}\n{key.instance_id}\n{key.id}'.encode()


def _bytes(text: Any) -> bytes:
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise NotAuthentic('it is no text, or too long')
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotAuthentic('it is no base64') from None
