# SPDX-License-Identifier: Apache-2.0
"""Definitions of other servers (CREATE SERVER), by which FEDERATED and SPIDER tables reach
theirs.
"""

from collections.abc import Mapping

from trove_upgrade.guestagent.datastores.mysql_family import aspects, connection
from trove_upgrade.guestagent.datastores.mysql_family.digests import digest

KIND = 'foreign server'
_NO_SUCH_TABLE = 1146
_DEFINITION = 'definition'


def read(session: connection.Session) -> dict[str, str]:
    """Return them for a fingerprint's `objects`, one without a name first: so that none left can be
    told from none looked for.

    Passwords are not in the digests.

    :raises SessionError: the server gives no answer.
    """
    try:
        rows = session.rows(
            'SELECT Server_name, Host, Db, Username, Port, Socket, Wrapper, Owner FROM '
            'mysql.servers'
        )
    except connection.SessionError as error:
        if error.number != _NO_SUCH_TABLE:
            raise
        return {}
    found = dict([aspects.entry(KIND, '', {})])
    found.update(
        aspects.entry(KIND, str(name), {_DEFINITION: digest(*defined)}) for name, *defined in rows
    )
    return found


def of(former: Mapping[str, Mapping[str, str]]) -> dict[str, str] | None:
    """Return name -> digest, of what `aspects.of` has found; None of an agent that did not look for
    them.
    """
    start = f'{KIND}:'
    if start not in former:
        return None
    return {
        key.removeprefix(start): found[_DEFINITION]
        for key, found in former.items()
        if key.startswith(start) and key != start
    }
