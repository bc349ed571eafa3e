# SPDX-License-Identifier: Apache-2.0
"""Files that the server makes in the volume's top directory, beside its data.

Where an old Trove has given the top to the server's user, it may; once an upgrade has taken the
top, no server may. A directory of the server's own beside the data stays its own.
"""

import os
import pathlib
from collections.abc import Iterator, Mapping

from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores.mysql_family import checks, data_places

NAME = 'volume_top'

_FILES = ('socket', 'pid_file', 'log_error', 'general_log_file', 'slow_query_log_file')
#: Lists of directories, joined by colons.
_DIRECTORIES = ('tmpdir', 'innodb_tmpdir', 'slave_load_tmpdir', 'replica_load_tmpdir')
VARIABLES = (*data_places.VARIABLES, *_FILES, *_DIRECTORIES)


def volume_top(probe: checks.Probe) -> CheckResult:
    """Refuse a server that could not make its files any more."""
    data, volume = probe.context.data_directory, probe.context.volume
    if probe.process is None:  # of a container: Trove names its places
        return CheckResult.ok(NAME, 'The places are those of the container.')
    if volume.stat().st_uid == 0:
        return CheckResult.ok(NAME, f'No server has made a file in {volume}: it is of root.')
    values = data_places.variables(probe.session, VARIABLES)
    found = [
        f'{variable} is {value}'
        for variable, value, path in _named(values, data)
        if _is_made_in(volume, pathlib.Path(os.path.normpath(path)))
    ]
    if found:
        return CheckResult.refused(
            NAME,
            f'The server cannot be upgraded: after it no server makes files in {volume}, and '
            f'{", ".join(sorted(found))}. Move it below {data}, or into a directory of the '
            "server's own, and upgrade again.",
            'VOLUME_LAYOUT',
        )
    return CheckResult.ok(NAME, f'The server makes no file in {volume} itself.')


def _is_made_in(volume: pathlib.Path, path: pathlib.Path) -> bool:
    return path == volume or (path.parent == volume and not path.is_dir())


def _named(
    values: Mapping[str, str], data: pathlib.Path
) -> Iterator[tuple[str, str, pathlib.Path]]:
    """(variable, its value, path) of each place that a variable names."""
    yield from data_places.named(values, data)
    for variable in (*_FILES, *_DIRECTORIES):
        for text in values.get(variable, '').split(':'):
            if text.strip():
                yield variable, values[variable], data / text.strip()
