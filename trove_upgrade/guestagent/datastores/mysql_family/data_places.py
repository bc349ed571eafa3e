# SPDX-License-Identifier: Apache-2.0
"""Places of the server's data, as the running server tells: what is not on the volume is gone after
the rebuild.

Sources: MariaDB Knowledge Base, "InnoDB System Tablespaces" and "Server System Variables"; MySQL 9
Reference Manual, "InnoDB Startup Options and System Variables" and "The INFORMATION_SCHEMA FILES
Table".
"""

import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores.mysql_family import (
    checks,
    connection,
    outside_volume,
    table_files,
)

NAME = 'volume_layout'

#: Each names one file or directory, from the data directory where it is relative.
_PLACES = (
    'innodb_log_group_home_dir',
    'innodb_undo_directory',
    'innodb_doublewrite_dir',
    'innodb_temp_tablespaces_dir',
    'aria_log_dir_path',
    'log_bin_basename',
    'log_bin_index',
    'relay_log_basename',
    'relay_log_index',
    'relay_log_info_file',
    'master_info_file',
    'rocksdb_datadir',
    'rocksdb_wal_dir',
    'tokudb_data_dir',
    'tokudb_log_dir',
    'wsrep_data_home_dir',
)
#: Each is a list of files below `innodb_data_home_dir`, as NAME:SIZE[:autoextend[:max:SIZE]],
#: joined by semicolons.
_SPACES = ('innodb_data_file_path', 'innodb_temp_data_file_path')
_HOME = 'innodb_data_home_dir'
#: A list of directories, joined by semicolons.
_DIRECTORIES = 'innodb_directories'
#: every one that is asked for
VARIABLES: tuple[str, ...] = (
    'datadir',
    _HOME,
    _DIRECTORIES,
    *_SPACES,
    *_PLACES,
)
_NAMED = 100
#: Tablespaces, undo logs and temporary ones; MySQL keeps no file beside the data that would name
#: them.  MariaDB leaves the table empty. Those of the data directory begin with a dot, and links
#: there are looked at apart.
_FILES = (
    'SELECT FILE_NAME, TABLESPACE_NAME FROM information_schema.FILES WHERE LEFT(FILE_NAME, '
    "2) <> './' ORDER BY 1"
)


def layout(probe: checks.Probe) -> CheckResult:
    """All data must be on the volume."""
    values = variables(probe.session, VARIABLES)
    data, volume = probe.context.data_directory, probe.context.volume
    if os.path.realpath(values.get('datadir', '')) != os.path.realpath(data):
        return CheckResult.refused(
            NAME,
            (
                f'The server cannot be upgraded: its data directory is {values.get("datadir")}, '
                f'and {data} is expected. Move the data there and upgrade again.'
            ),
            'VOLUME_LAYOUT',
        )
    outside = _outside(probe.session, values, data, volume)
    if outside:
        more = f' and {len(outside) - _NAMED} more' if len(outside) > _NAMED else ''
        return CheckResult.refused(
            NAME,
            (
                'The server cannot be upgraded: some of its data is not on the volume and would '
                f'be lost: {", ".join(outside[:_NAMED])}{more}. Move it below {data} and upgrade '
                'again.'
            ),
            'VOLUME_LAYOUT',
        )
    return CheckResult.ok(
        NAME,
        'Every place of data that the server names is on the volume; the data directory is '
        f'{data}.',
    )


def _outside(
    session: connection.Session,
    values: Mapping[str, str],
    data: pathlib.Path,
    volume: pathlib.Path,
) -> list[str]:
    """Sentences' parts for data that is not on the volume."""
    outside = [
        f'{variable} is {value}'
        for variable, value, path in named(values, data)
        if not outside_volume.is_below(path, volume)
    ]
    outside += [
        f'tablespace {space} is in {name}'
        for name, space in session.rows(_FILES)
        if not outside_volume.is_below(data / str(name), volume)
    ]
    outside += table_files.outside(session, data, volume)
    outside += outside_volume.find(data, volume)
    return outside


def variables(session: connection.Session, names: Sequence[str]) -> dict[str, str]:
    """Return those of the server's global variables that it has and that are not empty."""
    quoted = ', '.join(f"'{name}'" for name in names)
    rows = session.rows(f'SHOW GLOBAL VARIABLES WHERE Variable_name IN ({quoted})')
    return {str(name): str(value) for name, value in rows if value}


def named(values: Mapping[str, str], data: pathlib.Path) -> Iterator[tuple[str, str, pathlib.Path]]:
    """(variable, its value, path) of each place that a variable names."""
    for variable in _PLACES:
        if variable in values:
            yield variable, values[variable], data / values[variable]
    for variable in _SPACES:
        for space in values.get(variable, '').split(';'):
            if space.strip():
                yield (
                    variable,
                    values[variable],
                    _of_space(space.strip(), values.get(_HOME, ''), data),
                )
    for directory in values.get(_DIRECTORIES, '').split(';'):
        if directory.strip():
            yield _DIRECTORIES, directory, data / directory.strip().strip('"\'')
    if _HOME in values:
        yield _HOME, values[_HOME], data / values[_HOME]


def _of_space(space: str, home: str, data: pathlib.Path) -> pathlib.Path:
    """The server joins home and name as text; without a home the name counts from the data
    directory.
    """
    name = space.partition(':')[0]
    return data / home / name.lstrip('/') if home else data / name
