# SPDX-License-Identifier: Apache-2.0
"""Things that the running server has from its unit beside option files: variables, limits, and a
unit that was changed by hand.

None of it comes to the new root disk: the service there has its own.
"""

import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence

from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores.mysql_family import checks, option_files, places
from trove_upgrade.guestagent.machine import listing
from trove_upgrade.guestagent.machine import service as service_module

_NAMED = 8
_VARIABLE = re.compile(r'[A-Za-z_][A-Za-z0-9_]{0,99}')
#: Options of the server.  Source: MariaDB's and MySQL's my_default.cc and mysqld.cc; Reference
#: Manual of MySQL, "Environment Variables".
_OPTIONS = re.compile(r'(?:MYSQL|MARIADB)_(?:GROUP_SUFFIX|TCP_PORT|UNIX_PORT)')
#: Keys, and what opens them.  Sources: MariaDB Knowledge Base, "Hashicorp Key Management Plugin"
#: and "AWS Key Management Encryption Plugin"; Kerberos.
_KEYS = re.compile(
    r'VAULT_.*|AWS_.*|AZURE_.*|GOOGLE_.*|OCI_.*|KMIP_.*|KRB5_(?:KTNAME|CLIENT_KTNAME)'
)
#: Directories where a server looks for an option file of its own.
_HOMES = {
    'MYSQL_HOME': 'my.cnf',
    'MARIADB_HOME': 'my.cnf',
    'HOME': '.my.cnf',
}
#: An init, a login or the engine's packages give these to any service.  Sources: systemd.exec(5),
#: environ(7), init(8), mysqld_safe.
_USUAL = re.compile(
    r'PATH|LANG|LANGUAGE|LC_\w+|HOME|LOGNAME|USER|SHELL|TERM|PWD|OLDPWD|SHLVL|_|MAIL|HOSTNAME|TZ|'
    r'container|container_\w+|INVOCATION_ID|JOURNAL_STREAM|'
    r'SYSTEMD_\w+|NOTIFY_SOCKET|LISTEN_\w+|MAINPID|WATCHDOG_\w+|MEMORY_PRESSURE_\w+|'
    r'(?:RUNTIME|STATE|CACHE|LOGS|CONFIGURATION|CREDENTIALS)_DIRECTORY|'
    r'MYSQLD_OPTS|MYSQLD_PARENT_PID|MYSQLD_RESTART|_WSREP_\w+|MYSQL_HOME|MARIADB_HOME|'
    r'RUNLEVEL|PREVLEVEL|runlevel|previous|CONSOLE|INIT_VERSION|BOOT_IMAGE|'
    r'rootmnt|init|ro|quiet|SUDO_\w+|SSH_\w+|XDG_\w+|DBUS_\w+|DEBIAN_\w+|DEBCONF_\w+|DPKG_\w+|'
    r'DIB_\w+|LS_COLORS|LESS\w*|DISPLAY|COLORTERM|UPSTART_\w+|LXC_\w+'
)
#: Of the service of every image of ours: etc/trove-upgrade/guest/systemd.
_FILES = 32768
#: systemd's own, and more than the packages give.
_LOCKED_BYTES = 8 << 20
_LIMITS = {
    'Max open files': ('LimitNOFILE', _FILES),
    'Max locked memory': ('LimitMEMLOCK', _LOCKED_BYTES),
}
_UNIT_PLACES = ('etc/systemd/system', 'run/systemd/system')
_UNIT_BYTES = 1 << 16
_DIRECTIVE = re.compile(r'^\s*([A-Z]\w+)\s*=', re.MULTILINE)


def environment(probe: checks.Probe) -> CheckResult:
    """Refuse what holds options or keys, warn of any other variable that an init does not give."""
    name = 'server_environment'
    variables = probe.process.environment if probe.process is not None else {}
    lost = sorted(key for key, value in variables.items() if value and _OPTIONS.fullmatch(key))
    lost += [f'{key} ({path})' for key, path in _files_of_its_own(probe)]
    if lost:
        return CheckResult.refused(
            name,
            'The configuration cannot be looked at: the server has options from its '
            f'environment, {_some(lost)}, which no server of a new image has. Move these '
            'options to groups and files that every server reads, restart the server without '
            'them, and upgrade again.',
            'SERVER_ENVIRONMENT',
        )
    others = _unusual(variables)
    keys = [key for key in others if _KEYS.fullmatch(key)]
    if keys:
        return CheckResult.refused(
            name,
            'The server cannot be upgraded: it has keys, or what opens them, from its '
            f'environment ({_some(keys)}), and they do not come to the new root disk. Give '
            'them by option files, restart the server without these variables, and upgrade '
            'again.',
            'SERVER_ENVIRONMENT',
        )
    if others:
        return CheckResult.warning(
            name,
            'The server has variables in its environment that it will not have after the '
            f'upgrade: {_some(others)}. Use options in their place, or build the image with '
            'them.',
            'SERVER_ENVIRONMENT',
        )
    return CheckResult.ok(name, 'The server has nothing from its environment that it needs.')


def _unusual(variables: Iterable[str]) -> list[str]:
    return [
        key
        for key in sorted(variables)
        if _VARIABLE.fullmatch(key) and not _USUAL.fullmatch(key) and not _OPTIONS.fullmatch(key)
    ]


def limits(probe: checks.Probe) -> CheckResult:
    """Warn of limits that are higher than those of the service of a new image."""
    name, found = 'server_limits', probe.process.limits if probe.process is not None else {}
    higher = []
    for limit, (directive, ours) in _LIMITS.items():
        value = found.get(limit, '0')
        if value == 'unlimited' or (value.isdecimal() and int(value) > ours):
            higher.append(f'{directive} is {value}, and will be {ours}')
    if higher:
        return CheckResult.warning(
            name,
            f'The server will have lower limits after the upgrade: {"; ".join(higher)}. Where '
            'it needs more, build the image with a drop-in of '
            f'{service_module.DATABASE}.service.',
            'SERVER_LIMITS',
        )
    return CheckResult.ok(name, 'The server has no higher limits than it will have.')


def unit(probe: checks.Probe) -> CheckResult:
    """Warn of units and drop-ins that were made by hand."""
    name = 'server_unit'
    found = [
        f'{path} ({", ".join(directives)})' for path, directives in _units(probe.context.etc.parent)
    ]
    if probe.process is not None and found:
        return CheckResult.warning(
            name,
            'The unit of the server was changed by hand, and the new root disk does not have '
            f'that: {_some(found)}. Build the image with what the server needs of it, for '
            f'{service_module.DATABASE}.service.',
            'SERVER_UNIT',
        )
    return CheckResult.ok(name, 'The unit of the server was not changed by hand.')


def _files_of_its_own(probe: checks.Probe) -> Iterator[tuple[str, pathlib.Path]]:
    """Yield each variable that leads to an option file with groups of a server, and that file."""
    read = {os.path.realpath(path) for path in probe.configuration.files}
    for key, file_name in _HOMES.items():
        home = probe.process.environment.get(key) if probe.process is not None else None
        if not home or not home.startswith('/'):
            continue
        path = pathlib.Path(home) / file_name
        if os.path.isfile(path) and os.path.realpath(path) not in read:  # noqa: PTH113 - this one raises nothing
            found = option_files.read(path)
            if found.unread or found.of_servers():
                yield key, path


def _units(root: pathlib.Path) -> Iterator[tuple[pathlib.Path, Sequence[str]]]:
    """Yield files of the services of a server that an administrator has made; links are those of
    packages and of systemctl.
    """
    for place in _UNIT_PLACES:
        for service in places.UNITS:
            unit_file = root / place / f'{service}.service'
            for path in (
                unit_file,
                *listing.matching(unit_file.with_name(f'{unit_file.name}.d'), '*.conf'),
            ):
                directives = _directives(path)
                if directives and not (service == service_module.DATABASE and path == unit_file):
                    yield path, directives


def _directives(path: pathlib.Path) -> Sequence[str]:
    with listing.vanishing():
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, 'rb') as stream:
            text = stream.read(_UNIT_BYTES).decode(errors='replace')
        return sorted(set(_DIRECTIVE.findall(text)))[:_NAMED]
    return ()


def _some(names: Sequence[str]) -> str:
    more = f' and {len(names) - _NAMED} more' if len(names) > _NAMED else ''
    return f'{", ".join(names[:_NAMED])}{more}'
