# SPDX-License-Identifier: Apache-2.0
"""Leaves nothing of what a crash has left below the run directory: mounts, loop devices, files."""

import json
import pathlib
import shutil
import subprocess

from lab import errors
from lab.layout import Layout


def mounts(run_dir: pathlib.Path) -> list[str]:
    """Mount points at or below the run directory, the innermost first.  Source: proc(5), mountinfo,
    field 5.
    """
    points = [
        line.split()[4].replace('\\040', ' ')
        for line in pathlib.Path('/proc/self/mountinfo').read_text().splitlines()
    ]
    return sorted(
        (point for point in points if pathlib.Path(point).is_relative_to(run_dir)),
        key=len,
        reverse=True,
    )


def loop_devices(run_dir: pathlib.Path, root: pathlib.Path = pathlib.Path('/')) -> list[str]:
    """Return the loop devices of files below the run directory.

    The kernel lists those of every mount namespace by the path that each has there: another
    machine's of the same path is told from ours by its inode.  `root` is the root directory of the
    namespace that attached them, if that was another.
    """
    listing = subprocess.run(
        ('losetup', '--list', '--json', '--output', 'NAME,BACK-INO,BACK-FILE'),
        capture_output=True,
        text=True,
        check=False,
    )
    found = []
    for device in json.loads(listing.stdout or '{}').get('loopdevices', []):
        if device['back-file'] is None:
            continue
        path = root / device['back-file'].removesuffix(' (deleted)').lstrip('/')
        if (
            path.is_relative_to(run_dir)
            and path.exists()
            and path.stat().st_ino == int(device['back-ino'])
        ):
            found.append(device['name'])
    return found


def devices(run_dir: pathlib.Path) -> None:
    """Unmount and detach what is left; nothing is, unless something has crashed.

    :raises LabError: something cannot be released; files below a mount must not be deleted then.
    """
    for point in mounts(run_dir):
        subprocess.run(('umount', '--lazy', point), check=False, capture_output=True)
    for device in loop_devices(run_dir):
        subprocess.run(('losetup', '--detach', device), check=False, capture_output=True)
    left = mounts(run_dir)
    if left:
        raise errors.LabError(
            f'Cannot clean up {run_dir}: {", ".join(left)} cannot be unmounted. See who uses it '
            '(fuser -m), end that, and run down again.',
            code='lab_mount_busy',
        )


def files(layout: Layout) -> None:
    """Delete the run directory's content but the logs, which tell why something failed."""
    if not layout.run_dir.is_dir():
        return
    for path in layout.run_dir.iterdir():
        if path == layout.logs_dir:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
