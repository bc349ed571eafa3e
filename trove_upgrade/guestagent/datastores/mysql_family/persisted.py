# SPDX-License-Identifier: Apache-2.0
"""Global variables that MySQL keeps in its data directory: SET PERSIST writes them, and each start
takes them after all option files.

Source: MySQL 9 Reference Manual, "Persisted System Variables"; the two forms of the file are those
of MySQL 8.0 to 8.0.28, and later.
"""

import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from trove_upgrade.guestagent.datastores.mysql_family import connection, isolated, option_files
from trove_upgrade.guestagent.machine import untrusted_files

FILE_NAME = 'mysqld-auto.cnf'
#: A server that does not know one goes on without it, as with options of this kind.
_LOOSE = 'loose-'
#: A start without them: the customer's events must not run before the data has been compared.
#: Older servers know no such option.
NOT_LOADED = '--loose-persisted-globals-load=OFF'
#: Groups of variables that a server takes at its start alone.
_STATIC = frozenset(
    {'mysql_static_variables', 'mysql_static_parse_early_variables', 'mysql_server_static_options'}
)
_WRONG_TYPE = 1232
_BYTES = 1 << 20
_LEVELS = 3


def options(data_directory: pathlib.Path) -> tuple[option_files.Option, ...]:
    """Return them as options of group `mysqld`; none where there is no such file, or none that a
    server would read.
    """
    return tuple(option for option, _ in _options(data_directory))


def at_start(data_directory: pathlib.Path) -> tuple[str, ...]:
    """Return arguments for a server that is started without the file: those variables that no
    running server takes.

    Source: MySQL 9 Reference Manual, "Persisted System Variables": the server puts these behind its
    own arguments in the same way.  Arguments of an isolated start stand behind them, and win.
    """
    return tuple(
        f'--{option.name}={option.value}'
        for option, is_static in _options(data_directory)
        if is_static and _is_applied(option) and (option.value or '').isprintable()
    )


def _options(data_directory: pathlib.Path) -> tuple[tuple[option_files.Option, bool], ...]:
    """Return each as an option, and whether it is static."""
    path = data_directory / FILE_NAME
    try:
        raw = untrusted_files.read(path, untrusted_files.owner_of(data_directory), _BYTES)
        found = {
            name: (value, is_static)
            for name, value, is_static in _variables(json.loads(raw), _LEVELS)
        }
    except (OSError, ValueError, RecursionError):
        return ()
    return tuple(
        (
            option_files.Option(
                group='mysqld',
                name=_LOOSE + option_files.canonical(name),
                value=value,
                path=path,
                line=1,
            ),
            is_static,
        )
        for name, (value, is_static) in found.items()
    )


def _is_applied(option: option_files.Option) -> bool:
    name = _name(option)
    return name.replace('_', '').isalnum() and name not in isolated.VARIABLES


def _name(option: option_files.Option) -> str:
    return option.bare_name.replace('-', '_')


def names(data_directory: pathlib.Path) -> frozenset[str]:
    """Names of these variables, as the server calls them."""
    return frozenset(_name(option) for option in options(data_directory))


def apply(session: connection.Session, data_directory: pathlib.Path) -> None:
    """Give a server that was started without them those that it takes while it runs: what is
    compared depends on some.

    :raises SessionError: the server has gone.
    """
    for option in options(data_directory):
        if _is_applied(option):
            _set(session, _name(option), option.value or '')


def _set(session: connection.Session, name: str, value: str) -> None:
    """A server takes a number for some of them alone; one that it takes at its start alone is left
    out.
    """
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


def _variables(
    document: Any, levels: int, *, is_static: bool = False
) -> Iterator[tuple[str, str, bool]]:
    """Yield names with values and whether they are static, in whichever group of variables they
    stand.
    """
    if not isinstance(document, Mapping) or not levels:
        return
    for name, entry in document.items():
        if isinstance(entry, Mapping) and isinstance(entry.get('Value'), str):
            yield str(name), entry['Value'], is_static
        else:
            yield from _variables(entry, levels - 1, is_static=is_static or name in _STATIC)
