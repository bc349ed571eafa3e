# SPDX-License-Identifier: Apache-2.0
"""The server in a container image, looked at in a container that is thrown away: its release, and
which libraries and files it lacks.

A tag may name a series, and move: only the image itself tells the release.
"""

import dataclasses
import pathlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.codes import Code
from trove_upgrade.guestagent.datastores.mysql_family.container import definition
from trove_upgrade.guestagent.datastores.mysql_family.libraries import Library
from trove_upgrade.guestagent.machine.containers.engine import Engine

_SECONDS = 60
#: what lines of the answer begin with
VERSION, LACKS, LACKS_FILE = (
    'trove-upgrade-version ',
    'trove-upgrade-lacks ',
    'trove-upgrade-lacks-file ',
)


@dataclasses.dataclass(frozen=True)
class TargetServer:
    """Findings in one image: its server's version, and what it lacks."""

    version: str | None  #: e.g. 11.8.9-MariaDB-0+deb13u1; None: no server could be asked
    lacks: Sequence[Library]
    lacks_files: Sequence[pathlib.Path] = ()


def inspect(
    engine: Engine,
    image: str,
    defined: Mapping[str, Any],
    libraries: Sequence[Library],
    files: Sequence[pathlib.Path],
) -> TargetServer:
    """Start no server, only ask its program.

    :raises StepFailed: the engine cannot run the image.
    """
    uid, gid = definition.user_or_troves(defined)
    try:
        done = engine.run_throwaway(
            image,
            ['-c', _script([library.file for library in libraries], [str(file) for file in files])],
            user=f'{uid}:{gid}',
            env={'LC_ALL': 'C'},
            network='none',
            entrypoint=['sh'],
            timeout_seconds=_SECONDS,
        )
    except TimeoutError as error:
        raise exceptions.StepFailed(
            f'Container image {image} cannot be looked at: its server does not tell its version '
            f'within {_SECONDS} s. See that the image is whole.',
            Code.CONFIGURATION_NOT_TRIED,
        ) from error
    lines = done.output.splitlines()
    versions = [_version(line) for line in lines if line.startswith(VERSION)]
    lacking = {line.removeprefix(LACKS) for line in lines if line.startswith(LACKS)}
    without = {line.removeprefix(LACKS_FILE) for line in lines if line.startswith(LACKS_FILE)}
    return TargetServer(
        versions[0] if versions else None,
        [library for library in libraries if library.file in lacking],
        [file for file in files if str(file) in without],
    )


def _version(line: str) -> str:
    """Return the version alone: a program's path and what stands after it have numbers, too, as in
    `/usr/sbin/mariadbd  Ver 11.8.9-MariaDB-0+deb13u1 from Debian for debian-linux-gnu on x86_64`.
    """
    printed = line.removeprefix(VERSION)
    _, found, after = printed.partition(' Ver ')
    words = after.split()
    return words[0] if found and words else printed


def there(engine: Engine, container: str, files: Sequence[pathlib.Path]) -> Sequence[pathlib.Path]:
    """Return those of these files that are in a running container.

    :raises StepFailed: the engine cannot run a program there.
    """
    if not files:
        return ()
    script = 'for file; do if [ -e "$file" ]; then echo "$file"; fi; done'
    done = engine.exec(
        container,
        ['sh', '-c', script, 'sh', *(str(file) for file in files)],
        timeout_seconds=_SECONDS,
    )
    found = set(done.output.splitlines())
    return [file for file in files if str(file) in found]


def _script(libraries: Sequence[str], files: Sequence[str]) -> str:
    """Write a script of the shell alone: an image need not have more."""
    return '\n'.join(
        (
            'exec </dev/null 2>/dev/null',
            (
                f'for file in {shlex.join(files)}; do if [ ! -e "$file" ]; then echo '
                f'"{LACKS_FILE}$file"; fi; done'
            ),
            'server=$(command -v mariadbd || command -v mysqld) || exit 0',
            f'echo "{VERSION}$("$server" --no-defaults --version)"',
            (
                'plugin_directory() { while read -r name value; do if [ "$name" = plugin-dir ]; '
                'then echo "${value%/}"; fi; done; }'
            ),
            'directory=$("$server" --no-defaults --verbose --help | plugin_directory)',
            f'for file in {shlex.join(libraries)}; do',
            (
                '  for suffix in "" .so; do if [ -e "$directory/$file$suffix" ]; then continue 2; '
                'fi; done'
            ),
            f'  echo "{LACKS}$file"',
            'done',
        )
    )
