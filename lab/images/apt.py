# SPDX-License-Identifier: Apache-2.0
"""Settings that the host's apt knows and mmdebstrap does not take over by itself: the mirror, and
how to reach and believe it.
"""

from __future__ import annotations

import re

from lab import errors
from lab.commands import Commands

_UPDATE_SECONDS = 300
KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
#: Settings without which a host behind a proxy, or with a clock that is off, cannot use its mirror.
_TAKEN_OVER = re.compile(r'^Acquire::(Check-|http|https|Retries|ForceIPv)')


def host_mirror(commands: Commands) -> str:
    """The address of the Debian mirror that this host itself uses.

    :raises errors.ImageBuildFailed: it uses none.
    """
    for site, codename in _debian(commands):
        if '-' not in codename:
            return site
    raise errors.ImageBuildFailed(
        "Cannot build guest images: the host's apt has no Debian release as a source. Add a Debian "
        'mirror to /etc/apt/sources.list.d and run `apt-get update`.'
    )


def security_mirror(commands: Commands) -> str | None:
    """The address at which this host finds Debian's security updates: of every release; None where
    it uses none.
    """
    return next(
        (site for site, codename in _debian(commands) if codename.endswith('-security')), None
    )


def _debian(commands: Commands) -> list[tuple[str, str]]:
    """Address and codename of every part `main` of Debian that apt uses; its lists are fetched
    where there are none (any more).
    """
    found = _known(commands)
    if not found:
        commands.run(['apt-get', '-q', 'update'], check=False, timeout_seconds=_UPDATE_SECONDS)
        found = _known(commands)
    return found


def _known(commands: Commands) -> list[tuple[str, str]]:
    listing = commands.run(
        [
            'apt-get',
            'indextargets',
            '--format',
            '$(SITE) $(ORIGIN) $(CODENAME) $(COMPONENT)',
            'Identifier: Packages',
        ]
    ).output
    fields = [line.split() for line in listing.splitlines()]
    return [(one[0], one[2]) for one in fields if one[1:2] + one[3:] == ['Debian', 'main']]


def mirror_line(mirror: str, suite: str) -> str:
    """The line of a sources.list for a guest's suite; Debian 12's keys sign later releases too."""
    return f'deb [signed-by={KEYRING}] {mirror} {suite} main'


def host_options(commands: Commands) -> list[str]:
    """The host's settings for reaching a mirror, as mmdebstrap's `--aptopt` takes them."""
    dump = commands.run(['apt-config', 'dump', '--no-empty']).output
    return [line.rstrip(';') for line in dump.splitlines() if _TAKEN_OVER.match(line)]
