# SPDX-License-Identifier: Apache-2.0
"""Host keys of network nodes, from a file of OpenSSH's form that the operator has filled.

A node is never trusted at first sight: the passwords and the traffic of all its networks' guests
would go through what has answered.
"""

import pathlib

import paramiko

from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.reach.host_key import HostKey

_SSH_PORT = 22


class KnownHosts:
    """Keys by the name or address under which a node is reached."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def keys_of(self, host: str, port: int) -> tuple[HostKey, ...]:
        """Return the keys of a node that are not revoked, read anew each time.

        :raises NodeKeyUnknown: there is none.
        :raises LoginUnusable: the file cannot be read.
        """
        name = host if port == _SSH_PORT else f'[{host}]:{port}'
        try:
            found = paramiko.HostKeys(str(self.path)).lookup(name)
            revoked = _revoked(self.path.read_text())
        except FileNotFoundError:
            found, revoked = None, set()
        except (OSError, ValueError, paramiko.SSHException) as error:
            raise errors.LoginUnusable(path=self.path, found=type(error).__name__) from error
        keys = [HostKey(key.get_name(), key.asbytes()) for key in (found or {}).values()]
        keys = [key for key in keys if key.text.split()[1] not in revoked]
        if not keys:
            raise errors.NodeKeyUnknown(node=host, port=port, path=self.path)
        return tuple(keys)


def _revoked(text: str) -> set[str]:
    """Return the base64 of all keys that a line marks as revoked, whatever host it names."""
    lines = (line.split() for line in text.splitlines())
    return {fields[3] for fields in lines if len(fields) > 3 and fields[0] == '@revoked'}
