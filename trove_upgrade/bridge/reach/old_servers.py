# SPDX-License-Identifier: Apache-2.0
"""RSA signatures with SHA-1, which paramiko has given up: where the operator allows them for
guests, and only for these.

An OpenSSH before 7.2 knows no other signature of an RSA key.  It is needed for a server whose only
host key is RSA (OpenSSH before 5.7), and for a user's RSA key at an OpenSSH before 7.2; ECDSA keys
(from 5.7) and Ed25519 keys (from 6.5) do without, and so do passwords.  Key exchange with SHA-1
alone (OpenSSH before 4.4) is not supported.
Sources: OpenSSH's release notes; paramiko 5.1, `Transport._preferred_keys` and `RSAKey.HASHES`.
"""

import paramiko
from cryptography.hazmat.primitives import hashes

#: Algorithm of the signature, and the type of every RSA key.
SSH_RSA = 'ssh-rsa'


class Sha1RSAKey(paramiko.RSAKey):
    """RSA key that also signs and verifies with SHA-1."""

    HASHES = {**paramiko.RSAKey.HASHES, SSH_RSA: hashes.SHA1}


class OldServerTransport(paramiko.Transport):
    """SSH client that takes a host key with such a signature, and can give one."""

    _preferred_keys = (*paramiko.Transport._preferred_keys, SSH_RSA)  # noqa: SLF001 - it extends
    _key_info = {**paramiko.Transport._key_info, SSH_RSA: Sha1RSAKey}  # noqa: SLF001 - both

    #: an RSA key of the user signs with SHA-1 now
    signs_with_sha1 = False

    @property
    def preferred_pubkeys(self) -> tuple[str, ...]:
        """Return the algorithms of the user's signature."""
        algorithms: tuple[str, ...] = self._preferred_pubkeys
        return (SSH_RSA,) if self.signs_with_sha1 else algorithms
