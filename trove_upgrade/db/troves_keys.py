# SPDX-License-Identifier: Apache-2.0
"""`instances.encrypted_key`: what Trove and its agent share for their own messages, from which a
guest's first key is derived; user data that is composed brings it to the guest.

Source: trove/common/crypto_utils.py and trove/instance/models.py (Trove 26): base64 of 16 bytes of
IV and AES-256-CBC under the hexadecimal digits of the MD5 of `inst_rpc_key_encr_key`, padded by
bytes that tell their own number.
"""

import base64
import binascii
import hashlib

import sqlalchemy as sa
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from trove_upgrade.db import trove_tables
from trove_upgrade.db.engine import Database
from trove_upgrade.domain import logs
from trove_upgrade.domain.troves_keys import TrovesKeyUnreadable
from trove_upgrade.sealing.keys import GuestKey

LOG = logs.get_logger(__name__)

_instances = trove_tables.instances
_BLOCK_BYTES = 16
_QUERY = sa.select(_instances.c.encrypted_key).where(
    _instances.c.id == sa.bindparam('instance_id'), _instances.c.deleted.is_not(True)
)


class TrovesKeys:
    """Reads rows of Trove's, and writes none."""

    def __init__(self, database: Database, key_of_keys: str) -> None:
        """:param key_of_keys: Trove's option `inst_rpc_key_encr_key`."""
        self._database = database
        self._key_of_keys = key_of_keys
        self._told: set[str] = set()

    def read(self, connection: sa.Connection, instance_id: str) -> GuestKey | None:
        """Return the key that this instance's guest derives, too; None: Trove has given it none, or
        not under this option.
        """
        stored = self._stored(connection, instance_id)
        if stored is None:
            return None
        text = decrypted(stored, self._key_of_keys)
        if text is None:
            self._tell(instance_id)
            return None
        return GuestKey.of_trove(instance_id, text)

    def rpc_key(self, instance_id: str) -> str | None:
        """Return Trove's own text; None: Trove has given the instance none.

        :raises TrovesKeyUnreadable: it has, and this option does not open it.
        """
        with self._database.read() as connection:
            stored = self._stored(connection, instance_id)
        if stored is None:
            return None
        text = decrypted(stored, self._key_of_keys)
        if text is None:
            raise TrovesKeyUnreadable(instance_id=instance_id)
        return text

    def _stored(self, connection: sa.Connection, instance_id: str) -> str | None:
        """Return the row's text; None: it has none, as in a Trove from before such keys."""
        if 'encrypted_key' not in self._database.columns(connection, _instances.name):
            return None
        found = connection.execute(_QUERY, {'instance_id': instance_id}).scalar_one_or_none()
        return found or None

    def _tell(self, instance_id: str) -> None:
        """Log the fault once per process and instance: every report of its guest comes here."""
        if instance_id not in self._told:
            self._told.add(instance_id)
            LOG.warning(
                'The key that Trove has for instance %s cannot be decrypted: [DEFAULT] '
                'inst_rpc_key_encr_key is not the one that it was encrypted under. Set it as '
                'Trove has it; until then its guest is spoken to unsealed',
                instance_id,
            )


def decrypted(stored: str, key_of_keys: str) -> str | None:
    """Return what Trove has encrypted; None: it was encrypted under another key, or is none of
    Trove's.
    """
    try:
        whole = base64.b64decode(stored, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(whole) < 2 * _BLOCK_BYTES or len(whole) % _BLOCK_BYTES:
        return None
    key = hashlib.md5(key_of_keys.encode(), usedforsecurity=False).hexdigest().encode()
    decryptor = Cipher(algorithms.AES(key), modes.CBC(whole[:_BLOCK_BYTES])).decryptor()
    unpadder = padding.PKCS7(_BLOCK_BYTES * 8).unpadder()
    try:
        padded = decryptor.update(whole[_BLOCK_BYTES:]) + decryptor.finalize()
        text = (unpadder.update(padded) + unpadder.finalize()).decode('ascii')
    except ValueError:
        return None
    return text if text and text.isprintable() else None
