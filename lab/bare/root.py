# SPDX-License-Identifier: Apache-2.0
"""The bare machine's root file system: Debian 12 and what the README asks for, no other package, no
user of any server.
"""

import pathlib
from collections.abc import Callable

from lab import cleanup, errors
from lab.bare.place import Place
from lab.bare.registries import Taken
from lab.commands import Commands
from lab.images import apt
from lab.images.counting import PackageCount

RELEASE = 'bookworm'
#: The README's first line, and what any machine that reaches a registry has.
PACKAGES = ('git', 'make', 'python3', 'ca-certificates', 'sudo')
_CHECKOUT = pathlib.PurePosixPath('/root/checkout.git')
_REMOVAL_SECONDS = 600.0


def make(
    place: Place,
    checkout: pathlib.Path,
    taken: Taken,
    commands: Commands,
    tell: Callable[[str], None],
) -> None:
    """Make the tree, with a copy of the checkout's commits in it.

    :raises errors.LabError: the machine has no mirror of Debian, or a program failed.
    """
    argv = [
        'mmdebstrap',
        '--verbose',
        '--variant=minbase',
        '--dpkgopt=force-unsafe-io',
        *(f'--aptopt={option}' for option in apt.host_options(commands)),
        *_credentials(taken),
        f'--include={",".join(PACKAGES)}',
        RELEASE,
        str(place.root),
        *_sources(commands),
    ]
    commands.follow(argv, PackageCount(f'Debian {RELEASE}', tell).line)
    taken.write(place.root)
    tell('copying the checkout')
    commands.run(
        [
            'git',
            'clone',
            '--quiet',
            '--bare',
            '--no-hardlinks',
            str(checkout),
            str(place.root / _CHECKOUT.relative_to('/')),
        ],
        timeout_seconds=300,
    )


def remove(place: Place, commands: Commands) -> None:
    """Delete the tree.

    :raises errors.LabError: something is mounted in it; nothing was deleted.
    """
    if not place.root.exists():
        return
    left = cleanup.mounts(place.root)
    if left:
        raise errors.LabError(
            f'Cannot remove {place.root}: {", ".join(left)} is mounted there. Unmount it, and run '
            'the command again.',
            code='lab_mount_busy',
        )
    commands.run(
        ['rm', '--recursive', '--force', '--one-file-system', str(place.root)],
        timeout_seconds=_REMOVAL_SECONDS,
    )


def uncommitted(checkout: pathlib.Path, commands: Commands) -> list[str]:
    """Return git's lines for changes that the bare machine will not see."""
    return commands.run(['git', '-C', str(checkout), 'status', '--short']).output.splitlines()


def _sources(commands: Commands) -> list[str]:
    mirror, security = apt.host_mirror(commands), apt.security_mirror(commands)
    lines = [apt.mirror_line(mirror, suite) for suite in (RELEASE, f'{RELEASE}-updates')]
    return lines + ([apt.mirror_line(security, f'{RELEASE}-security')] if security else [])


def _credentials(taken: Taken) -> list[str]:
    """Options that give mmdebstrap's own apt the machine's user names for mirrors."""
    sources = [
        source for source, target in taken.files.items() if target.is_relative_to('/etc/apt')
    ]
    return [
        f'--setup-hook=mkdir -p "$1/etc/apt" && cp -a {source} "$1/etc/apt/"' for source in sources
    ]
