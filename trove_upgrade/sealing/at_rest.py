# SPDX-License-Identifier: Apache-2.0
"""Guests' keys as the database holds them: encrypted under the operator's list of keys, and bound
to their row.

The first key of the list encrypts, each of them decrypts: a new one is put in front, the rows are
rotated, the old one goes. Source: Fernet and MultiFernet of the cryptography package.
"""

from collections.abc import Sequence

from cryptography import fernet

from trove_upgrade.domain import exceptions
from trove_upgrade.sealing.keys import SECRET_BYTES, GuestKey


class EncryptionKeysInvalid(exceptions.TroveUpgradeError):
    """The operator's list has an entry that is no key.  The text holds nothing of it."""

    code = 'GUEST_KEY_ENCRYPTION_KEYS_INVALID'
    template = (
        "Guests' keys cannot be encrypted: entry {position} of [trove_upgrade] "
        'guest_key_encryption_keys is no key. Make one with "trove-upgrade-manage guest-key '
        'generate".'
    )


class KeyUnreadable(exceptions.TroveUpgradeError):
    """The stored key of a guest was encrypted under no key of the list, or belongs to another
    row.
    """

    code = 'GUEST_KEY_UNREADABLE'
    template = (
        'The key of instance {instance_id} cannot be decrypted: no entry of [trove_upgrade] '
        'guest_key_encryption_keys opens it, or its row was changed. Add the entry that it was '
        'encrypted under, on every taskmanager; where it is lost, make the guest a new key with '
        '"trove-upgrade-manage guest-key mint".'
    )


def generate() -> str:
    """Return a new entry for the operator's list."""
    return fernet.Fernet.generate_key().decode()


class Wrapping:
    """Encrypts and decrypts guests' keys.  Safe to share between threads."""

    def __init__(self, entries: Sequence[str]) -> None:
        """`entries`: the operator's list, not empty.

        :raises EncryptionKeysInvalid: one is no key.
        """
        ciphers = []
        for position, entry in enumerate(entries, start=1):
            try:
                ciphers.append(fernet.Fernet(entry))
            except ValueError:
                raise EncryptionKeysInvalid(position=position) from None
        self._newest = ciphers[0]
        self._all = fernet.MultiFernet(ciphers)

    def wrap(self, key: GuestKey) -> str:
        """Return the text for the row of `key`."""
        return self._newest.encrypt(_bound_to(key.id, key.instance_id) + key.secret).decode()

    def unwrap(self, key_id: str, instance_id: str, wrapped: str) -> GuestKey:
        """Return the key of a row.

        :raises KeyUnreadable: see there.
        """
        bound = _bound_to(key_id, instance_id)
        try:
            content = self._all.decrypt(wrapped)
        except fernet.InvalidToken:
            raise KeyUnreadable(instance_id=instance_id) from None
        if not content.startswith(bound) or len(content) != len(bound) + SECRET_BYTES:
            raise KeyUnreadable(instance_id=instance_id)
        return GuestKey(key_id, instance_id, content[len(bound) :])

    def opens(self, key_id: str, instance_id: str, wrapped: str) -> bool:
        """Return whether an entry of the list opens it."""
        try:
            self.unwrap(key_id, instance_id, wrapped)
        except KeyUnreadable:
            return False
        return True

    def is_newest(self, wrapped: str) -> bool:
        """Return whether the first entry of the list has encrypted it."""
        try:
            self._newest.decrypt(wrapped)
        except fernet.InvalidToken:
            return False
        return True


def _bound_to(key_id: str, instance_id: str) -> bytes:
    """A secret that was moved to another row is refused there."""
    return f'{instance_id}\n{key_id}\n'.encode()
