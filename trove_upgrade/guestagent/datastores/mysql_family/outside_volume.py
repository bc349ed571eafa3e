# SPDX-License-Identifier: Apache-2.0
"""Data that is not on the volume: links of databases and tables, and the files in which
InnoDB keeps such a path.

All of it is the tenant's, and the tenant sees what is said of it: places are named, and never what
a link or a file there leads to.
"""

import os
import pathlib
from collections.abc import Iterator

from trove_upgrade.guestagent.machine import untrusted_files

#: A path cannot be longer.  Source: PATH_MAX of the kernel's limits.h.
_PATH_BYTES = 4096


def is_below(path: pathlib.Path, volume: pathlib.Path) -> bool:
    """Return whether `path` leads to somewhere on the volume; one that changes while it is followed
    does not.
    """
    try:
        return pathlib.Path(os.path.realpath(path)).is_relative_to(os.path.realpath(volume))
    except (OSError, ValueError):
        return False


def find(data: pathlib.Path, volume: pathlib.Path) -> list[str]:
    """Return what of `data` is kept elsewhere than on `volume`, at most two levels down, where
    databases and tables are.

    :raises OSError: the data directory cannot be read.
    """
    owner = untrusted_files.owner_of(data)
    with untrusted_files.directory(data) as opened:
        found = list(_elsewhere(opened, data, volume, owner))
        for name in sorted(os.listdir(opened)):  # noqa: PTH208 - below the descriptor
            try:
                with untrusted_files.directory(name, below=opened) as database:
                    found += _elsewhere(database, data / name, volume, owner)
            except OSError:
                # no directory, one that has gone, or a link to one, which has been looked at
                continue
    return found


def _elsewhere(opened: int, path: pathlib.Path, volume: pathlib.Path, owner: int) -> Iterator[str]:
    with os.scandir(opened) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_symlink():
                if not is_below(path / entry.name, volume) and untrusted_files.exists(
                    entry.name, opened
                ):  # a dropped table's has gone
                    yield f'{path / entry.name} is a link to elsewhere'
            elif entry.name.endswith('.isl') and (
                said := _of_isl(opened, entry.name, path, volume, owner)
            ):
                yield said


def _of_isl(
    opened: int, name: str, path: pathlib.Path, volume: pathlib.Path, owner: int
) -> str | None:
    try:
        text = os.fsdecode(untrusted_files.read(name, owner, _PATH_BYTES, below=opened)).strip()
    except FileNotFoundError:
        return None
    except OSError:
        return f'{path / name} is no plain file of the database'
    if is_below(path.parent / os.path.normpath(text), volume):
        return None
    return f'{path / name} says that its table is elsewhere'
