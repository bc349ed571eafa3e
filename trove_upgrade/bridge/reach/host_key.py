# SPDX-License-Identifier: Apache-2.0
"""Host key of an SSH server, as it is recorded and shown."""

import base64
import binascii
import dataclasses
import hashlib
from typing import Self


@dataclasses.dataclass(frozen=True)
class HostKey:
    """Public key of a server."""

    type: str  #: as in a known_hosts file: "ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"
    blob: bytes

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what `text` has written: the form of an OpenSSH public key.

        :raises ValueError: it is of another form.
        """
        fields = text.split()
        if len(fields) < 2:
            raise ValueError('no type and key')
        try:
            return cls(fields[0], base64.b64decode(fields[1], validate=True))
        except binascii.Error as error:
            raise ValueError(f'not base64: {error}') from None

    @property
    def text(self) -> str:
        """Return the key as a line of a public key file has it."""
        return f'{self.type} {base64.b64encode(self.blob).decode()}'

    @property
    def fingerprint(self) -> str:
        """Return the type and the fingerprint, as `ssh-keygen -l` shows it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip('=')
        return f'{self.type} SHA256:{digest}'
