# SPDX-License-Identifier: Apache-2.0
"""The part of a guest's root disk that its container engine writes to: a sparse file with ext4.

An overlay cannot lie on an overlay, so it is no directory of the guest's root; and it is no
directory of the host's file system, which other guests and tests wear.  On one without a journal
ext4 makes 10,000 files in seconds where as many were removed minutes before, because it passes over
their inodes one by one (`recently_deleted` in fs/ext4/ialloc.c of Linux 6.18).  Measured: the load
of a container image took 7.6 to 9.0 s there, and 3.2 to 3.6 s on a disk of its own.
"""

from __future__ import annotations

from pathlib import Path

from lab.commands import Commands
from lab.hypervisor.volume import GIB, make_file_system, make_sparse

_SIZE_BYTES = 20 * GIB
_COPY_SECONDS = 600
#: The mounts of a command of its own end with it.
_COPY = 'mount -t ext4 -o ro,loop "$1" "$2" && exec cp -a "$2/$3" "$4"'


def ensure(file: Path, commands: Commands) -> None:
    """Make the disk, empty, where there is none."""
    if file.exists():
        return
    fresh = file.with_suffix('.new')
    make_sparse(fresh, _SIZE_BYTES)
    make_file_system(fresh, commands)
    fresh.rename(file)


def copy_out(file: Path, mount_point: Path, source: Path, target: Path, commands: Commands) -> None:
    """Copy what is at a relative path of the disk of a guest that does not run."""
    commands.run(
        [
            *('unshare', '--mount', '--', 'sh', '-ec', _COPY, 'copy'),
            *(str(file), str(mount_point), str(source), str(target)),
        ],
        timeout_seconds=_COPY_SECONDS,
    )
