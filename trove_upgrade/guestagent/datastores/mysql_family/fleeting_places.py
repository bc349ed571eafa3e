# SPDX-License-Identifier: Apache-2.0
"""Directories of the server below those that a boot or a timer empties."""

import pathlib
from collections.abc import Iterator

from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores.mysql_family import checks

_DIRECTORIES = (
    'tmpdir',
    'innodb_tmpdir',
    'slave_load_tmpdir',
    'replica_load_tmpdir',
    'secure_file_priv',
    'aria_log_dir_path',
    'innodb_temp_tablespaces_dir',
)
_FILES = ('socket', 'log_error', 'general_log_file', 'slow_query_log_file')
#: Source: file-hierarchy(7), tmpfiles.d(5).
_EMPTIED = frozenset({'/tmp', '/var/tmp', '/dev/shm', '/run', '/var/run'})  # noqa: S108  # nosec B108 # places that are judged: nothing is made there
#: Our service makes it before each start; its file with the number of the process lies there, too.
_MADE = frozenset({'/run/mysqld', '/var/run/mysqld'})


def fleeting_places(probe: checks.Probe) -> CheckResult:
    """Warn of them: the upgrade makes them anew once, and a boot later the server does not start.
    What has made them so far is the root disk's.
    """
    name = 'fleeting_directories'
    if probe.process is None:  # of a container: it has its own
        return CheckResult.ok(name, 'The directories are those of the container.')
    quoted = ', '.join(repr(variable) for variable in (*_DIRECTORIES, *_FILES))
    rows = probe.session.rows(f'SHOW GLOBAL VARIABLES WHERE Variable_name IN ({quoted})')
    found = sorted(
        {place for variable, value in rows for place in _places(str(variable), str(value or ''))}
    )
    if found:
        return CheckResult.warning(
            name,
            (
                'The server may not start after a later reboot: a boot or a timer removes '
                f'{", ".join(found)}, and the upgrade makes it once. Name a directory elsewhere in '
                'the configuration, as on the volume, or build the image with what makes it at '
                'each boot (tmpfiles.d).'
            ),
            'FLEETING_DIRECTORY',
        )
    return CheckResult.ok(name, 'The server needs no directory that a boot empties.')


def _places(variable: str, value: str) -> Iterator[str]:
    for text in value.split(':') if variable in _DIRECTORIES else [value]:
        path = pathlib.PurePosixPath(text.strip())
        directory = path if variable in _DIRECTORIES else path.parent
        if str(directory) in _MADE:
            continue
        if any(str(above) in _EMPTIED for above in directory.parents):
            yield f'{directory} ({variable})'
