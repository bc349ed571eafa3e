# SPDX-License-Identifier: Apache-2.0
"""Trying a configuration with the server of an image, in a container that has no network and no
data and is thrown away.

The image decides what a server takes, not the operating system below it: so it can be tried while
the old database serves.
"""

import pathlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores.mysql_family import option_files, scratch
from trove_upgrade.guestagent.datastores.mysql_family.container import definition
from trove_upgrade.guestagent.machine.containers.engine import Engine
from trove_upgrade.guestagent.machine.finished import Finished

_SECONDS = 120
_SCRATCH = '/trove-upgrade-scratch'
_SIZE = '512m'
#: The script's own end, which no server of the family uses: there was nothing to try the
#: configuration with.
_NO_DATA = 120


def try_configuration(
    engine: Engine, image: str, defined: Mapping[str, Any], mysql: pathlib.Path, script: str
) -> CheckResult:
    """Run `script`, one of those below, in a container of `image` that sees `mysql` as /etc/mysql,
    and judge its end.
    """
    uid, gid = definition.user_or_troves(defined)
    try:
        done = engine.run_throwaway(
            image,
            ['-c', script],
            user=f'{uid}:{gid}',
            binds=[f'{mysql}:/etc/mysql:ro', *_other_binds(defined)],
            tmpfs={_SCRATCH: f'uid={uid},gid={gid},mode=700,size={_SIZE}'},
            env={'HOME': _SCRATCH, 'LC_ALL': 'C'},
            network='none',
            entrypoint=['sh'],
            timeout_seconds=_SECONDS,
        )
    except TimeoutError as error:
        return _not_tried(image, str(error) or f'it did not end within {_SECONDS} s')
    except exceptions.StepFailed as error:
        return _not_tried(image, error.message)
    if done.return_code == _NO_DATA:
        return _not_tried(image, done.output.strip()[-300:])
    return scratch.judge(Finished(done.return_code, done.output))


def _other_binds(defined: Mapping[str, Any]) -> list[str]:
    """All else that the database's container sees of the host, for reading: keys may lie on the
    volume.
    """
    found = []
    for bind in (defined.get('HostConfig') or {}).get('Binds') or ():
        source, _, inside = str(bind).partition(':')
        inside = inside.partition(':')[0]
        if source.startswith('/') and inside != '/etc/mysql':
            found.append(f'{source}:{inside}:ro')
    return found


def of_mariadb(options: Sequence[str], configuration: option_files.Configuration) -> str:
    """An empty data directory, then a server with nothing to do on it.  Its log comes out at the
    end.
    """
    data, log = pathlib.Path(_SCRATCH) / 'data', pathlib.Path(_SCRATCH) / 'log'
    install = shlex.join(
        [
            '--no-defaults',
            f'--datadir={data}',
            '--skip-test-db',
            '--auth-root-authentication-method=normal',
            '--innodb-log-file-size=10M',
            *scratch.format_options(configuration),
        ]
    )
    serve = shlex.join(
        ['--defaults-file=/etc/mysql/my.cnf', *options, *scratch.arguments(data, log)]
    )
    return '\n'.join(
        (
            'exec </dev/null 2>&1',
            f'mkdir -p {data}',
            'install=$(command -v mariadb-install-db || command -v mysql_install_db)',
            'server=$(command -v mariadbd || command -v mysqld)',
            (
                'if [ -z "$install" ] || [ -z "$server" ]; then echo "the image has no database '
                f'server"; exit {_NO_DATA}; fi'
            ),
            (
                f'"$install" {install} >{log}.install || {{ tail -n 5 {log}.install; exit '
                f'{_NO_DATA}; }}'
            ),
            f'"$server" {serve}',
            'code=$?',
            f'[ ! -f {log} ] || cat {log}',
            'exit $code',
        )
    )


def of_mysql(options: Sequence[str]) -> str:
    """MySQL's server looks at its configuration and ends."""
    serve = shlex.join(
        [
            '--defaults-file=/etc/mysql/my.cnf',
            *options,
            '--validate-config',
            '--log-error-verbosity=2',
        ]
    )
    return '\n'.join(
        (
            'exec </dev/null 2>&1',
            'server=$(command -v mysqld)',
            (
                'if [ -z "$server" ]; then echo "the image has no database server"; exit '
                f'{_NO_DATA}; fi'
            ),
            f'exec "$server" {serve}',
        )
    )


def _not_tried(image: str, found: str) -> CheckResult:
    message = (
        f'The configuration cannot be tried with container image {image}: {found}. The server was '
        'not started on the data. See that the image is whole and that the engine can run it.'
    )
    return CheckResult.refused(scratch.NAME, message, Code.CONFIGURATION_NOT_TRIED)
