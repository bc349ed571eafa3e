# SPDX-License-Identifier: Apache-2.0
"""The key of one guest, and what is derived from it: one key for each direction.

A message that one side has sealed can never come back to it as one of the other's: each direction
has a key of its own. Source: HKDF of RFC 5869.
"""

import base64
import binascii
import dataclasses
import enum
import json
import os
import re
from collections.abc import Callable
from typing import Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from trove_upgrade.domain import exceptions, upgrade_info

#: Bytes of a guest's secret, and of the keys that are derived from it.
SECRET_BYTES = 32
#: Bytes of the id of a key, which is written as hexadecimal digits.
_ID_BYTES = 16
_ID = re.compile(r'[0-9a-f]{32}')
_FORM = 1
_LABEL = b'trove-upgrade guest rpc 1.2 '

RandomBytes = Callable[[int], bytes]


#: What the marker of a key begins with that a bridge has brought into a guest.
BRIDGE_MARKER = 'bridge:'


class MessageDirection(enum.StrEnum):
    """Directions of a message, which its seal is bound to."""

    TO_GUEST = 'to-guest'
    TO_TASKMANAGER = 'to-taskmanager'


class KeyFileInvalid(exceptions.TroveUpgradeError):
    """A file is no guest's key.  The text holds nothing of it."""

    code = 'GUEST_KEY_FILE_INVALID'
    template = (
        'The key of this guest cannot be read from {path}: {found}. No message is sent or taken '
        'without it. Rebuild the instance by an upgrade, or mint a key with "trove-upgrade-manage '
        'guest-key mint" and put its file there.'
    )


def is_key_id(value: object) -> bool:
    """Return whether `value` can be the id of a key."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


@dataclasses.dataclass(frozen=True)
class GuestKey:
    """One secret of one instance.  Its `repr` has no secret in it."""

    id: str
    instance_id: str
    secret: bytes = dataclasses.field(repr=False)

    @classmethod
    def new(cls, instance_id: str, random: RandomBytes = os.urandom) -> Self:
        """Make one of random bytes."""
        return cls(random(_ID_BYTES).hex(), instance_id, random(SECRET_BYTES))

    @classmethod
    def of_trove(cls, instance_id: str, troves_key: str) -> Self:
        """Derive the key of a guest that Trove has made, from its `instance_rpc_encr_key`, which
        both sides have.

        Source: trove/instance/models.py, get_injected_files (Trove 26).
        """
        material = troves_key.encode()
        return cls(
            _derived(material, instance_id, b'id of key from trove', _ID_BYTES).hex(),
            instance_id,
            _derived(material, instance_id, b'key from trove', SECRET_BYTES),
        )

    def of(self, direction: MessageDirection) -> bytes:
        """Return the key for messages of one direction."""
        return _derived(self.secret, self.instance_id, direction.encode(), SECRET_BYTES)

    def to_file(self) -> bytes:
        """Return the content of the file in the guest, for root alone."""
        document = {
            'form': _FORM,
            'id': self.id,
            'instance_id': self.instance_id,
            'secret': base64.b64encode(self.secret).decode(),
        }
        return (json.dumps(document, indent=1, sort_keys=True) + '\n').encode()

    @classmethod
    def from_file(cls, content: bytes, path: str) -> Self:
        """Read what `to_file` has written; `path` is for the message.

        :raises KeyFileInvalid: it is of another form.
        """
        try:
            document = json.loads(content)
            if not isinstance(document, dict) or document.get('form') != _FORM:
                raise KeyFileInvalid(path=path, found='it has another form')
            secret = base64.b64decode(document['secret'], validate=True)
            key = cls(document['id'], document['instance_id'], secret)
        except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
            raise KeyFileInvalid(path=path, found='it has another form') from None
        if (
            not is_key_id(key.id)
            or not upgrade_info.is_id(key.instance_id)
            or len(secret) != SECRET_BYTES
        ):
            raise KeyFileInvalid(path=path, found='a field of it has another form')
        return key


def _derived(material: bytes, instance_id: str, label: bytes, length: int) -> bytes:
    derivation = HKDF(hashes.SHA256(), length, salt=instance_id.encode(), info=_LABEL + label)
    return derivation.derive(material)
