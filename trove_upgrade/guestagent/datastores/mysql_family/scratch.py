# SPDX-License-Identifier: Apache-2.0
"""Trying a configuration on an empty data directory that is thrown away.

A server looks at unknown options only after its engines are up: a refused start has already changed
the data.  So it must not be the real data.  MariaDB has no --validate-config; starting with
--bootstrap and no input is the same.  It makes its own files in an empty directory.  Measured on
10.11.19 and 11.8.9: 0.2 s against 0.65 s with system tables made before, and of 23 configurations
the same verdict but where an option forbids it to make files (innodb_read_only,
innodb_force_recovery).  So a start in an empty directory can accept, and only one with system
tables refuse.
"""

import os
import pathlib
import pwd
import re
import tempfile
from collections.abc import Sequence

from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.upgrade_checks import CheckOutcome, CheckResult
from trove_upgrade.guestagent.datastores.mysql_family import option_files
from trove_upgrade.guestagent.datastores.mysql_family.programs import Programs
from trove_upgrade.guestagent.machine import untrusted_files
from trove_upgrade.guestagent.machine.finished import Finished

NAME = 'configuration_accepted'
REFUSED = Code.CONFIGURATION_REFUSED
_NEEDED_BYTES = 200 << 20
_TIMEOUT_SECONDS = 120
_LOG_BYTES = 1 << 20
_MEANINGS = {
    3: 'an option is ambiguous',
    7: 'it names an option that the server does not know',
    9: 'an option has a number that the server does not take',
    13: 'an option has a value that the server does not take',
    1: 'the server ended with an error',
}
#: What the files of a data directory are made of: the scratch one is made alike, or these very
#: options would fail on it.
_FORMAT_OPTIONS = (
    'innodb-page-size',
    'innodb-undo-tablespaces',
    'innodb-data-file-path',
    'lower-case-table-names',
)
_ENCRYPTION = re.compile(r'\b(SSL|TLS)\b')
_ENVIRONMENT = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': '/nonexistent', 'LC_ALL': 'C'}


class NoScratch(Exception):
    """Lack of a place or of a program to try a server with."""


def try_configuration(
    programs: Programs,
    configuration: option_files.Configuration,
    *,
    places: Sequence[pathlib.Path],
    defaults_file: pathlib.Path | None,
    user: str,
) -> CheckResult:
    """Start the installed server once on a scratch data directory with the configuration as it is
    on this root disk.

    `defaults_file` stands in for the server's own choice of option files where these are not below
    /etc.
    """
    try:
        tried = judge(_run(programs, None, places, defaults_file, user))
        if tried.outcome == CheckOutcome.REFUSED:
            tried = judge(_run(programs, configuration, places, defaults_file, user))
    except (NoScratch, OSError) as error:
        # it took too long, or there is no room, or no program any more
        message = (
            f'The configuration cannot be tried: {error}. The server was not started on the data. '
            f'Make room in one of {", ".join(str(place) for place in places)}, and see that the '
            'image is whole.'
        )
        return CheckResult.refused(NAME, message, Code.CONFIGURATION_NOT_TRIED)
    return tried


def judge(finished: Finished) -> CheckResult:
    """Return what the end of such a start says about the configuration."""
    errors = _lines(finished.output, 'ERROR')
    encryption = [line for line in errors if _ENCRYPTION.search(line)]
    if finished.return_code == 0 and encryption:  # a server that serves clients ends at this
        message = (
            'The configuration cannot be used with this server: it cannot use what is named for '
            f'TLS ({"; ".join(encryption)}). The server was not started on the data. Mend the '
            'files or take the options out of the configuration, and try again.'
        )
        return CheckResult.refused(NAME, message, REFUSED)
    if finished.return_code != 0:
        found = (
            '; '.join(line for line in errors if line != 'Aborting')
            or finished.output.strip()[-500:]
        )
        meaning = _MEANINGS.get(
            finished.return_code, f'the server ended with code {finished.return_code}'
        )
        message = (
            f'The configuration cannot be used with this server: {meaning} ({found}). The server '
            'was not started on the data. Take the option out of the configuration and try again.'
        )
        return CheckResult.refused(NAME, message, REFUSED)
    doubts = [*errors, *_options_without_effect(finished.output)]
    if doubts:
        message = (
            f'The configuration can be used, but not all of it has an effect: {"; ".join(doubts)}. '
            f'Take out what the server no longer knows when convenient.'
        )
        return CheckResult.warning(NAME, message, 'CONFIGURATION_PARTLY_IGNORED')
    return CheckResult.ok(
        NAME, 'The server accepts the configuration: it was tried on an empty data directory.'
    )


def _options_without_effect(output: str) -> list[str]:
    return [
        line
        for line in _lines(output, 'Warning')
        if 'was removed' in line or 'unknown variable' in line
    ]


def _run(
    programs: Programs,
    made_with: option_files.Configuration | None,
    places: Sequence[pathlib.Path],
    defaults_file: pathlib.Path | None,
    user: str,
) -> Finished:
    """Start it; with system tables that are made with the formats of `made_with`, if that is
    given.
    """
    server, install = _server_and_install(programs)
    place = _place_with_room(places)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix='configuration-', dir=place))
    try:
        account = pwd.getpwnam(user)
        os.chown(scratch, account.pw_uid, account.pw_gid)
        if made_with is not None:
            _install_database(programs, _install_command(install, scratch, user, made_with))
        log = scratch / 'scratch-error.log'
        command = [
            server,
            *([f'--defaults-file={defaults_file}'] if defaults_file else []),
            *arguments(scratch, log),
        ]
        # The configuration is of a root disk that may have been taken over: it can name another
        # user, and libraries that it loads.
        finished = programs.run(
            command,
            timeout_seconds=_TIMEOUT_SECONDS,
            environment=_ENVIRONMENT,
            as_user=(account.pw_uid, account.pw_gid),
        )
        return Finished(finished.return_code, finished.output + _logged(log, account.pw_uid))
    except KeyError as error:
        missing = f'the image has no user {user}'
        raise NoScratch(missing) from error
    finally:
        with untrusted_files.directory(place) as opened:
            untrusted_files.remove_tree(scratch.name, opened)  # the server's user owned it


def _server_and_install(programs: Programs) -> tuple[str, str]:
    server = programs.find('mariadbd', 'mysqld')
    install = programs.find('mariadb-install-db', 'mysql_install_db')
    if server is None or install is None:
        missing = 'no database server is installed'
        raise NoScratch(missing)
    return server, install


def _place_with_room(places: Sequence[pathlib.Path]) -> pathlib.Path:
    place = next((place for place in places if _has_room(place)), None)
    if place is None:
        missing = f'no {_NEEDED_BYTES >> 20} MiB are free'
        raise NoScratch(missing)
    return place


def _install_command(
    install: str, scratch: pathlib.Path, user: str, configuration: option_files.Configuration
) -> list[str]:
    return [
        install,
        '--no-defaults',
        f'--datadir={scratch}',
        f'--tmpdir={scratch}',
        f'--user={user}',
        '--skip-test-db',
        '--auth-root-authentication-method=socket',
        '--innodb-log-file-size=10M',
        *format_options(configuration),
    ]


def _install_database(programs: Programs, command: Sequence[str]) -> None:
    made = programs.run(command, timeout_seconds=_TIMEOUT_SECONDS, environment=_ENVIRONMENT)
    if made.return_code != 0:
        missing = f'an empty data directory cannot be made: {made.output.strip()[-300:]}'
        raise NoScratch(missing)


def _logged(log: pathlib.Path, owner: int) -> str:
    """The server's user owns the directory, and the restored configuration may have made it run
    whatever that user likes.
    """
    try:
        return untrusted_files.read(log, owner, _LOG_BYTES).decode('utf-8', 'replace')
    except OSError:
        return ''


def arguments(scratch: pathlib.Path, log: pathlib.Path) -> list[str]:
    """Return what makes a server leave everything alone but `scratch`, whatever its configuration
    says, and end at once.
    """
    directories = (
        'datadir',
        'innodb-data-home-dir',
        'innodb-log-group-home-dir',
        'innodb-undo-directory',
        'aria-log-dir-path',
        'tmpdir',
    )
    return [
        *(f'--{name}={scratch}' for name in directories),
        f'--socket={scratch}/socket',
        f'--pid-file={scratch}/pid',
        f'--log-error={log}',
        '--innodb-buffer-pool-size=32M',
        '--innodb-log-file-size=10M',
        '--skip-log-bin',
        '--skip-networking',
        '--skip-slave-start',
        '--event-scheduler=OFF',
        '--skip-general-log',
        '--skip-slow-query-log',
        '--innodb-buffer-pool-load-at-startup=OFF',
        '--innodb-buffer-pool-dump-at-shutdown=OFF',
        '--loose-wsrep-on=OFF',
        '--init-file=/dev/null',
        '--bootstrap',
    ]


def format_options(configuration: option_files.Configuration) -> list[str]:
    """Return what the scratch data directory must be made with, or the configuration would fail on
    it.
    """
    found = {name: configuration.server_value(name) for name in _FORMAT_OPTIONS}
    return [f'--{name}={value}' for name, value in found.items() if value]


def _has_room(place: pathlib.Path) -> bool:
    if not place.is_dir():
        return False
    try:  # the server's user must be able to come here
        passable = all(directory.stat().st_mode & 0o001 for directory in (place, *place.parents))
        free = os.statvfs(place)
    except FileNotFoundError:  # it has gone since: the next place will do
        return False
    return passable and free.f_bavail * free.f_frsize >= _NEEDED_BYTES


def _lines(output: str, kind: str) -> list[str]:
    found = re.findall(rf'\[{kind}\]\s*(.*)', output)
    return list(dict.fromkeys(line.strip().rstrip('.') for line in found))
