# SPDX-License-Identifier: Apache-2.0
"""Ways to log in to a MySQL or MariaDB server that give the password to whatever answers: refused,
for PyMySQL.

The server chooses the way, after the client has connected; PyMySQL follows it (1.2.4,
connections.py, `_process_auth`).
"""

from collections.abc import Mapping
from typing import Any, NoReturn

import pymysql

#: With the first two the password itself is sent; the last one sends a hash that is broken in no
#: time.
PLUGINS = ('mysql_clear_password', 'dialog', 'mysql_old_password')
#: PyMySQL's number of a plugin that the client has not.
CANNOT_LOAD = 2059


class Refused:
    """PyMySQL's handler of such a plugin."""

    def __init__(self, connection: Any) -> None:
        """Take the connection, as PyMySQL hands it to each handler."""

    def authenticate(self, _packet: Any) -> NoReturn:
        """Refuse to send the password in clear text.

        :raises OperationalError: always.
        """
        raise pymysql.err.OperationalError(
            CANNOT_LOAD, 'the server asks for the password in clear text, which it does not get'
        )


def arguments() -> Mapping[str, Any]:
    """Return what `pymysql.connect` is to be called with: no password in clear text, no file of the
    client's.
    """
    return {'auth_plugin_map': dict.fromkeys(PLUGINS, Refused), 'local_infile': False}
