# SPDX-License-Identifier: Apache-2.0
"""Files of a directory that an option names, and that come to another root disk: those that a
server reads in such a directory.

The option names no file of it, so an intruder can choose any directory, one that another program
believes among them.
"""

import re

#: Certificates and lists of revoked ones by the hash of their subject.  Source: openssl-rehash(1).
_BY_HASH = re.compile(r'[0-9a-f]{8}\.r?[0-9]+')
_SUFFIXES = frozenset(
    {
        *('.pem', '.crt', '.cer', '.der', '.crl', '.csr', '.p12', '.pfx', '.p7b', '.p7c', '.srl'),
        *('.key', '.pub', '.enc', '.keytab', '.keyring', '.ora', '.sso'),
        *('.xml', '.sys', '.txt', '.sql', '.cnf'),
    }
)
_OF_PEOPLE = frozenset({'README', 'README.md'})
REASON = (
    'is in a directory that an option names, and by its name no certificate, key, list or '
    'option file'
)


def is_read(name: str) -> bool:
    """Return True for a file that a server reads there, or that is there for people."""
    return (
        _BY_HASH.fullmatch(name) is not None
        or name in _OF_PEOPLE
        or ('.' in name[1:] and f'.{name.rpartition(".")[2]}' in _SUFFIXES)
    )
