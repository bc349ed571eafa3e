# SPDX-License-Identifier: Apache-2.0
"""Global variables that MySQL keeps in its data directory: SET PERSIST writes them, and each start takes them after all option files.

Source: MySQL 9 Reference Manual, "Persisted System Variables"; the two forms of the file are those of MySQL 8.0 to 8.0.28, and later.
"""

import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from trove_upgrade.guestagent import foreign
from trove_upgrade.guestagent.datastores.mysql_family import connection, isolated, option_files

FILE_NAME = 'mysqld-auto.cnf'
#: A server that does not know one goes on without it, as with options of this kind.
_LOOSE = 'loose-'
#: A start without them: the customer's events must not run before his data has been compared.  Older servers know no such option.
NOT_LOADED = '--loose-persisted-globals-load=OFF'
_WRONG_TYPE = 1232
_BYTES = 1 << 20
_LEVELS = 3


def options(data_directory: pathlib.Path) -> tuple[option_files.Option, ...]:
    """Return them as options of group `mysqld`; none where there is no such file, or none that a server would read."""
    path = data_directory / FILE_NAME
    try:
        raw = foreign.read(path, foreign.owner_of(data_directory), _BYTES)
        found = dict(_variables(json.loads(raw), _LEVELS))
    except (OSError, ValueError, RecursionError):
        return ()
    return tuple(
        option_files.Option('mysqld', _LOOSE + option_files.canonical(name), value, path, 1)
        for name, value in found.items()
    )


def names(data_directory: pathlib.Path) -> frozenset[str]:
    """Names of these variables, as the server calls them."""
    return frozenset(option.bare_name.replace('-', '_') for option in options(data_directory))


def apply(session: connection.Session, data_directory: pathlib.Path) -> None:
    """Give a server that was started without them those that it takes while it runs: what is compared depends on some.

    :raises SessionError: the server has gone.
    """
    for option in options(data_directory):
        name = option.bare_name.replace('-', '_')
        if name.replace('_', '').isalnum() and name not in isolated.VARIABLES:
            _set(session, name, option.value or '')


def _set(session: connection.Session, name: str, value: str) -> None:
    """A server takes a number for some of them alone; one that it takes at its start alone is left out."""
    try:
        session.rows(f'SET GLOBAL {name} = %s', (value,))
    except connection.SessionError as error:
        if error.number in connection.CONNECTION_LOST:
            raise
        if error.number == _WRONG_TYPE and value.removeprefix('-').isdecimal():
            _set_number(session, name, int(value))


def _set_number(session: connection.Session, name: str, value: int) -> None:
    try:
        session.rows(f'SET GLOBAL {name} = {value}')
    except connection.SessionError as error:
        if error.number in connection.CONNECTION_LOST:
            raise


def _variables(document: Any, levels: int) -> Iterator[tuple[str, str]]:
    """Yield names with values, in whichever group of variables they stand."""
    if not isinstance(document, Mapping) or not levels:
        return
    for name, entry in document.items():
        if isinstance(entry, Mapping) and isinstance(entry.get('Value'), str):
            yield str(name), entry['Value']
        else:
            yield from _variables(entry, levels - 1)
