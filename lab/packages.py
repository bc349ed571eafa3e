# SPDX-License-Identifier: Apache-2.0
"""Debian packages that the lab needs: what bindep.txt lists under the profile `lab` and the machine
has not.

Installing a package must not start a service of the machine, nor have it started at the next boot:
the lab brings its own.
"""

import contextlib
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence

from lab import commands

PROFILE = 'lab'
INSTALL_SECONDS = 1800.0
_POLICY = pathlib.Path('/usr/sbin/policy-rc.d')
_LINE = re.compile(r'^(?P<name>[a-z0-9][a-z0-9+.-]+)\s*\[(?P<selectors>[^\]]*)\]\s*$')
_APT = ('apt-get', '-o', 'DPkg::Lock::Timeout=300', '-q', '-y')


def bindep_file() -> pathlib.Path:
    """bindep.txt of the checkout that this module belongs to."""
    return pathlib.Path(__file__).resolve().parents[1] / 'bindep.txt'


def wanted(bindep: str, profile: str = PROFILE) -> list[str]:
    """Names of the Debian packages that a bindep file lists under `profile`."""
    found = []
    for line in bindep.splitlines():
        match = _LINE.match(line.partition('#')[0].strip())
        if match and {profile, 'platform:dpkg'} <= set(match['selectors'].split()):
            found.append(match['name'])
    return found


def missing(profile: str = PROFILE) -> list[str]:
    """Return those packages of a profile that are not installed here."""
    names = wanted(bindep_file().read_text(), profile)
    # exit code 1 where a package is unknown: that one is missing
    answer = subprocess.run(
        ('dpkg-query', '--show', '--showformat', '${Package} ${db:Status-Status}\\n', *names),
        capture_output=True,
        text=True,
        check=False,
    )
    installed = {
        line.split()[0] for line in answer.stdout.splitlines() if line.endswith(' installed')
    }
    return [name for name in names if name not in installed]


def install(names: Sequence[str], log: pathlib.Path, tell: Callable[[str], None]) -> None:
    """Install them.

    :raises CommandFailed: apt-get did not succeed; its log says why.
    """
    env = {**os.environ, 'DEBIAN_FRONTEND': 'noninteractive', 'LC_ALL': 'C.UTF-8'}
    before = _all_installed()
    tell('reading the lists of packages')
    commands.run((*_APT, 'update'), log=log, env=env, timeout_seconds=INSTALL_SECONDS)
    tell(', '.join(names))
    with no_service_starts():
        commands.run(
            (*_APT, 'install', '--no-install-recommends', *names),
            log=log,
            env=env,
            timeout_seconds=INSTALL_SECONDS,
            check=lambda: tell(commands.tail(log, 1).strip()),
        )
    brought = services_of(_all_installed() - before)
    if brought.scripts and shutil.which('update-rc.d'):
        for script in brought.scripts:
            commands.run(('update-rc.d', script, 'disable'), log=log, env=env, timeout_seconds=60)
    if brought.units and shutil.which('systemctl'):  # a machine without systemd starts none of them
        commands.run(
            ('systemctl', 'disable', *brought.units), log=log, env=env, timeout_seconds=120
        )


@contextlib.contextmanager
def no_service_starts(policy: pathlib.Path = _POLICY) -> Iterator[None]:
    """Packages' scripts ask this file whether they may start a service; ours says no, and is taken
    away again.

    A machine that has such a file keeps it: its author has decided.  Source: invoke-rc.d(8).
    """
    try:
        descriptor = os.open(policy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755)
    except FileExistsError:
        yield
        return
    try:
        with os.fdopen(descriptor, 'w') as sink:
            sink.write('#!/bin/sh\nexit 101\n')
        yield
    finally:
        policy.unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True)
class Services:
    """Services that packages would have started at the next boot."""

    scripts: tuple[str, ...]  #: of sysv
    units: tuple[str, ...]  #: of systemd


def services_of(package_names: set[str]) -> Services:
    """Init scripts and units that these packages brought."""
    if not package_names:
        return Services((), ())
    answer = subprocess.run(
        ('dpkg-query', '--listfiles', *sorted(package_names)),
        capture_output=True,
        text=True,
        check=False,
    )
    return services_in(answer.stdout)


def services_in(file_list: str) -> Services:
    """Return the services that a list of packages' files names; templates of units cannot be
    started, so they do not count.
    """
    paths = [pathlib.PurePosixPath(line) for line in file_list.splitlines()]
    scripts = {path.name for path in paths if path.parent == pathlib.PurePosixPath('/etc/init.d')}
    units = {
        path.name
        for path in paths
        if path.suffix in {'.service', '.socket'}
        and '@' not in path.name
        and str(path.parent) in {'/lib/systemd/system', '/usr/lib/systemd/system'}
    }
    return Services(tuple(sorted(scripts)), tuple(sorted(units)))


def _all_installed() -> set[str]:
    answer = subprocess.run(
        ('dpkg-query', '--show', '--showformat', '${Package} ${db:Status-Status}\\n'),
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.split()[0] for line in answer.stdout.splitlines() if line.endswith(' installed')}
