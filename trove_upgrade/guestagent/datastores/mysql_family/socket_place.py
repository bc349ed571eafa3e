# SPDX-License-Identifier: Apache-2.0
"""Place of the server's socket during a start that no client may come to: the directory that the
database service closes to all but root and the server, `database-run` below
etc/trove-upgrade/guest/lib.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterable

from trove_upgrade.guestagent.datastores import base

_DIRECTORY = 'run/mysqld'
#: One directory on each distribution: /var/run is a link to /run.
_NAMES = (_DIRECTORY, 'var/run/mysqld')
_FILE = 'mysqld.sock'
_OPTION = '--socket='
_VARIABLE = 'socket'


def directory(root: pathlib.Path) -> pathlib.Path:
    """Return the directory on the disk at `root`."""
    return root / _DIRECTORY


def is_closed(path: str, root: pathlib.Path) -> bool:
    """Return whether a socket at `path`, as an option or a server names it, is in the directory.
    One that begins with @ is in none, and a relative one is beside the data.
    """
    place = pathlib.Path(os.path.normpath(path))
    return any(place != root / name and place.is_relative_to(root / name) for name in _NAMES)


def argument(root: pathlib.Path) -> str:
    """Return what has a server make its socket in the directory, whatever its configuration
    names.
    """
    return f'{_OPTION}{directory(root) / _FILE}'


def told(arguments: Iterable[str]) -> str | None:
    """Return the path that `arguments` tell a server; None where they leave it to the
    configuration.
    """
    return next(
        (text.removeprefix(_OPTION) for text in arguments if text.startswith(_OPTION)), None
    )


def as_clients_meet_it(found: base.Comparison, named: str | None) -> base.Comparison:
    """Return `found` with the socket that the configuration names in the place of the one that the
    server was told.
    """
    changes = [
        dataclasses.replace(change, after=named) if change.name == _VARIABLE and named else change
        for change in found.settings_changed
    ]
    return dataclasses.replace(
        found, settings_changed=[change for change in changes if change.before != change.after]
    )
