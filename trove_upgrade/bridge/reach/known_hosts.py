# SPDX-License-Identifier: Apache-2.0
"""Host keys of network nodes, from a file of OpenSSH's form that the operator has filled.

A node is never trusted at first sight: the passwords and the traffic of all its networks' guests
would go through what has answered.  The file is read by rules of our own, as paramiko's reader
fails on lines with a marker.  Source: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
"""

import base64
import binascii
import hashlib
import hmac
import pathlib
import re

from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.reach.host_key import HostKey

_SSH_PORT = 22
_BYTES = 1 << 24
_REVOKED = '@revoked'


class KnownHosts:
    """Keys by the name or address under which a node is reached."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def keys_of(self, host: str, port: int) -> tuple[HostKey, ...]:
        """Return the keys of a node that are not revoked, read anew each time.  A line of another
        form counts as none, and so does the key of a certificate authority.

        :raises NodeKeyUnknown: there is none.
        :raises LoginUnusable: the file cannot be read.
        """
        name = host if port == _SSH_PORT else f'[{host}]:{port}'
        found: dict[HostKey, None] = {}
        revoked: set[HostKey] = set()
        for line in self._text().splitlines():
            fields = line.split()
            marker = fields.pop(0) if fields and fields[0].startswith('@') else ''
            if len(fields) < 3 or fields[0].startswith('#'):
                continue
            try:
                key = HostKey.from_text(f'{fields[1]} {fields[2]}')
            except ValueError:
                continue
            if marker == _REVOKED:
                revoked.add(key)
            elif not marker and _names(fields[0], name.lower()):
                found[key] = None
        keys = tuple(key for key in found if key not in revoked)
        if not keys:
            raise errors.NodeKeyUnknown(node=host, port=port, path=self.path)
        return keys

    def _text(self) -> str:
        try:
            with self.path.open('rb') as source:
                return source.read(_BYTES).decode(errors='replace')
        except FileNotFoundError:
            return ''
        except OSError as error:
            raise errors.LoginUnusable(path=self.path, found=error.strerror) from error


def _names(patterns: str, name: str) -> bool:
    """Return whether one of a line's patterns has the name, and none excludes it."""
    found = False
    for pattern in patterns.split(','):
        if pattern.startswith('|'):
            found = found or _is_hash_of(pattern, name)
        elif pattern.startswith('!'):
            if _matches(pattern[1:], name):
                return False
        else:
            found = found or _matches(pattern, name)
    return found


def _matches(pattern: str, name: str) -> bool:
    parts = (
        {'*': '.*', '?': '.'}.get(character, re.escape(character)) for character in pattern.lower()
    )
    return re.fullmatch(''.join(parts), name) is not None


def _is_hash_of(pattern: str, name: str) -> bool:
    """Return whether `|1|salt|hash` is of this name.  The form has no other hash than SHA-1."""
    fields = pattern.split('|')
    if len(fields) != 4 or fields[1] != '1':
        return False
    try:
        salt, digest = (base64.b64decode(field, validate=True) for field in fields[2:])
    except binascii.Error:
        return False
    return hmac.compare_digest(hmac.new(salt, name.encode(), hashlib.sha1).digest(), digest)
