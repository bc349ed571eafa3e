# SPDX-License-Identifier: Apache-2.0
"""Limits of the customer's on a running server that is to be opened as it runs: taken away for as
long as no client comes, and given back before one does.
"""

import re
from collections.abc import Mapping

from trove_upgrade.domain import logs
from trove_upgrade.guestagent.datastores.mysql_family import connection, isolated
from trove_upgrade.guestagent.datastores.mysql_family.restart_reasons import Restart

LOG = logs.get_logger(__name__)
#: Names under which servers before 11.1 have a variable of `isolated`.
_FORMER_NAMES = {'tx_read_only': 'transaction_read_only'}
#: The engine's own upgrade may write to the binary log.
_MOVES = 'gtid_'
_NUMBER = re.compile(r'-?\d+(?:\.\d+)?')


def shown(session: connection.Session) -> dict[str, str]:
    """Return every global variable, as the server shows it."""
    return {
        str(name).lower(): '' if value is None else str(value)
        for name, value in session.rows('SHOW GLOBAL VARIABLES')
    }


def acting(session: connection.Session, settings: Mapping[str, str]) -> Restart | None:
    """Return what of the customer's the server runs by itself, by its own word."""
    if settings.get('init_file'):
        return Restart.INIT_FILE
    if settings.get('event_scheduler', '').upper() != 'OFF':
        return Restart.EVENTS
    return Restart.REPLICATION if session.rows('SHOW ALL SLAVES STATUS') else None


def take_away(session: connection.Session, settings: Mapping[str, str]) -> None:
    """Take the limits away; `settings` are those of the server's start.

    :raises SessionError: the server does not let it be done while it runs.
    """
    for name, value in _loosened(settings).items():
        set_global(session, name, value)


def give_back(session: connection.Session, settings: Mapping[str, str]) -> Restart | None:
    """Give the limits back, and look that the server's settings are those of its start.

    :raises SessionError: the server does not let it be done while it runs.
    """
    for name in _loosened(settings):
        set_global(session, name, settings[name])
    now = shown(session)
    others = [
        name
        for name in settings.keys() | now.keys()
        if settings.get(name) != now.get(name) and not name.startswith(_MOVES)
    ]
    if others:
        LOG.info('Settings of the database differ from those of its start: %s', sorted(others))
        return Restart.SETTINGS
    return None


def _loosened(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with a limit of the customer's, and their values without it."""
    found = {}
    for name, present in settings.items():
        wanted = isolated.SETTINGS.get(_FORMER_NAMES.get(name, name))
        if wanted is not None and wanted != present:
            found[name] = wanted
    return found


def set_global(session: connection.Session, name: str, value: str) -> None:
    """Set a variable of the running server."""
    if _NUMBER.fullmatch(value):
        session.rows(f'SET GLOBAL {connection.quoted(name)} = {value}')
    else:
        session.rows(f'SET GLOBAL {connection.quoted(name)} = %s', (value,))
