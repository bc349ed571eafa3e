# SPDX-License-Identifier: Apache-2.0
"""Takes a guest's control groups away: the kernel keeps empty ones."""

from __future__ import annotations

from pathlib import Path

from lab import errors
from lab.commands import Commands
from trove_upgrade.waiting import wait_until

_REMOVAL = f'. "{Path(__file__).with_name("guest-cgroups.sh")}"; remove_cgroups "$1" "$2"'
_SECONDS = 20  #: processes that end keep theirs for a moment


def remove(name: str, scratch: Path, commands: Commands) -> None:
    """Remove the groups of this name; `scratch` is a mount point inside of a namespace that ends.

    :raises errors.TimedOut: a process is still in one.
    """
    removal = ['unshare', '--mount', '--', '/bin/sh', '-c', _REMOVAL, 'cgroups', name, str(scratch)]
    if not wait_until(
        lambda: commands.run(removal, check=False).returncode == 0,
        _SECONDS,
        interval_seconds=0.02,
    ):
        raise errors.TimedOut(
            f'the control groups {name} to go',
            _SECONDS,
            'A process is still in one of them: see trove-lab/*/cgroup.procs.',
        )
