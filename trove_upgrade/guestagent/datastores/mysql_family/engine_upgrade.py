# SPDX-License-Identifier: Apache-2.0
"""The engine's own upgrade program: system tables, and tables that need to be rebuilt.

Between two releases of one series it has nothing to do, and its own program says so: "There is no
need to run mysql_upgrade again for 10.11.19-MariaDB, because they're both 10.11".  It goes by a
file in the data directory, which the tenant could have written, so the servers' own words count,
too.  Between two series each of its phases runs: what is left out would not be proven.
"""

import pathlib
import re

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.datastores.mysql_family import connection, versions
from trove_upgrade.guestagent.datastores.mysql_family.programs import Programs
from trove_upgrade.guestagent.machine import untrusted_files
from trove_upgrade.guestagent.machine.progress import Progress

#: Of a table that it has not repaired.  It ends with code 0 all the same.  Measured on 11.8.9.
_FAILED = re.compile(r'(\S.*?)\s+FAILED$')
_PHASE = re.compile(r'Phase (\d+)/(\d+)')
#: An upper bound only: the job's own deadline comes by way of `progress`.
_TIMEOUT_SECONDS = 24 * 3600
_NAMED = 5
#: The program's own file, of 11.0 and later, and of earlier ones; it writes the server's version.
_FILES = ('mariadb_upgrade_info', 'mysql_upgrade_info')
_FILE_BYTES = 256


def is_needed(former: str, present: str, data_directory: pathlib.Path) -> bool:
    """Return whether the data needs it: False only where the server before, the one that runs now,
    and the file of the last run are all of one series.

    What a series has left undone before an upgrade it leaves undone as well after it.
    """
    then = versions.series(former)
    return not (
        then
        and versions.is_mariadb(former)
        and versions.is_mariadb(present)
        and then == versions.series(present) == versions.series(_upgraded_to(data_directory))
    )


def _upgraded_to(data_directory: pathlib.Path) -> str:
    """Return the version that the last run was for; '' where no file of it is a plain one of the
    data's owner.
    """
    for name in _FILES:
        try:
            raw = untrusted_files.read(
                data_directory / name, untrusted_files.owner_of(data_directory), _FILE_BYTES
            )
        except FileNotFoundError:
            continue
        except OSError:
            return ''
        return raw.decode('ascii', 'replace').strip()
    return ''


def run(programs: Programs, credentials: connection.Credentials, progress: Progress) -> None:
    """Run it to its end.  Safe to repeat; the second time takes seconds.

    `--force` means only that it runs whatever the files in the data directory say of an earlier
    run: the tenant could have written them.  An error of its own is one all the same.  Measured on
    10.11.19: 1.3 s with 300 tables.

    :raises StepFailed: ENGINE_UPGRADE_FAILED, with its last words.
    """
    program = _program(programs)
    failed: list[str] = []

    def on_line(line: str) -> None:
        phase = _PHASE.search(line)
        if phase:
            done, total = int(phase.group(1)) - 1, int(phase.group(2))
            progress(done * 100 // total, f'{line.strip()}')
        table = _FAILED.fullmatch(line.strip())
        if table:
            failed.append(table.group(1))

    try:
        finished = programs.run(
            _arguments(program, credentials),
            timeout_seconds=_TIMEOUT_SECONDS,
            environment=_environment(credentials),
            on_line=on_line,
        )
    except OSError as error:  # it took too long, or cannot be run
        raise _failed(str(error)) from error
    if finished.return_code != 0:
        raise _failed(
            f'{program} ended with code {finished.return_code}: {_last_words(finished.output)}'
        )
    if failed:
        raise _failed(
            f'{program} has not repaired {", ".join(failed[:_NAMED])} ({len(failed)} in all): '
            f'{_last_words(finished.output)}'
        )


def _program(programs: Programs) -> str:
    program = programs.find('mariadb-upgrade', 'mysql_upgrade')
    if program is None:
        reason = (
            'The data cannot be upgraded: mariadb-upgrade is not installed in this image. '
            'Build the image with it.'
        )
        raise exceptions.StepFailed(reason, 'ENGINE_UPGRADE_FAILED')
    return program


def _arguments(program: str, credentials: connection.Credentials) -> list[str]:
    return [
        program,
        '--no-defaults',
        '--force',
        '--skip-ssl',  # the way is a socket, and the isolated server has no TLS
        f'--socket={credentials.socket}',
        f'--user={credentials.user}',
    ]


def _environment(credentials: connection.Credentials) -> dict[str, str]:
    environment = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': '/nonexistent', 'LC_ALL': 'C'}
    if credentials.password:
        environment['MYSQL_PWD'] = credentials.password
    return environment


def _failed(found: str) -> exceptions.StepFailed:
    reason = f'The data cannot be upgraded: {found}. Mend what it names; it is safe to run again.'
    return exceptions.StepFailed(reason, 'ENGINE_UPGRADE_FAILED')


def _last_words(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return ' | '.join(lines[-10:])
