# SPDX-License-Identifier: Apache-2.0
"""Users that Trove's agent has let in: passwords that it keeps on the volume, read by us and never
handed to a client as a file.

The database's user can write there: only plain files in a real directory are read, and what stands
in them is tried as a password and nothing else.
"""

import configparser
import pathlib

from trove_upgrade.guestagent.datastores.mysql_family import connection
from trove_upgrade.guestagent.machine import untrusted_files

#: Trove's administrator comes second: root@localhost can read and stop whatever is there.
_USERS = ('root', 'os_admin')
_FILE_BYTES = 64 << 10


def password(volume: pathlib.Path, user: str) -> str | None:
    """The password of `user` as Trove's agent has kept it; None if it has not, or not in a plain
    file.
    """
    parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
    for owner in _owners(volume):
        try:
            # By its descriptor: the database's user can put a link to another one there, too.
            with untrusted_files.directory(volume / 'conf.d') as directory:
                content = untrusted_files.read(f'{user}.cnf', owner, _FILE_BYTES, below=directory)
            parser.read_string(content.decode('utf-8', 'replace'))
        except (OSError, configparser.Error):
            # another's, a link, or nothing that Trove has written
            continue
        return parser.get('client', 'password', fallback=None)
    return None


def _owners(volume: pathlib.Path) -> list[int]:
    """Trove's agent writes as root and gives all of the volume to the database's user at its next
    start.
    """
    try:
        return list(dict.fromkeys((0, untrusted_files.owner_of(volume / 'data'))))
    except OSError:
        return [0]


def candidates(volume: pathlib.Path, socket: str) -> tuple[connection.Credentials, ...]:
    """Logins to try, in order: with the passwords that are kept, then root by the socket alone."""
    known = [(user, password(volume, user)) for user in _USERS]
    return (
        *(connection.Credentials(socket, user, word) for user, word in known if word),
        connection.Credentials(socket),
    )
