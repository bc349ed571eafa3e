# SPDX-License-Identifier: Apache-2.0
"""Mounts, as the kernel tells them, and their holders."""

import contextlib
import dataclasses
import os
import pathlib
import re
from collections.abc import Iterator

#: Source: proc_pid_mountinfo(5): these bytes are written as octal escapes.
_ESCAPE = re.compile(r'\\([0-7]{3})')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mount:
    """Mounted file system, from one line of mountinfo."""

    device: str  #: 'major:minor'
    mount_point: str
    options: str  #: per mount, e.g. 'rw,noatime'
    filesystem: str  #: e.g. ext4
    source: str  #: e.g. /dev/vdb


def _plain(field: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), field)


def parse(mountinfo: str) -> tuple[Mount, ...]:
    """All mounts, in the order in which they were made.  Source: proc_pid_mountinfo(5)."""
    mounts = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(' - ')
        fields, rest = before.split(' '), after.split(' ')
        mounts.append(
            Mount(
                device=fields[2],
                mount_point=_plain(fields[4]),
                options=fields[5],
                filesystem=rest[0],
                source=_plain(rest[1]),
            )
        )
    return tuple(mounts)


def read() -> tuple[Mount, ...]:
    """The mounts of this process' namespace."""
    return parse(
        pathlib.Path('/proc/self/mountinfo').read_text(encoding='utf-8', errors='surrogateescape')
    )


def holders(device_number: int) -> list[str]:
    """Processes with a file, a directory or a mapping of this file system open: '1234 (mariadbd)'.

    A process that ends while it is looked at holds nothing.
    """
    found = []
    for process in pathlib.Path('/proc').iterdir():
        if process.name.isdigit() and _holds(process, device_number):
            with contextlib.suppress(OSError):
                found.append(
                    f'{process.name} '
                    f'({(process / "comm").read_text(encoding="utf-8", errors="replace").strip()})'
                )
    return sorted(found)


def _holds(process: pathlib.Path, device_number: int) -> bool:
    for link in _open_files(process):
        with contextlib.suppress(OSError):
            if link.stat().st_dev == device_number:
                return True
    return False


def _open_files(process: pathlib.Path) -> Iterator[pathlib.Path]:
    yield process / 'cwd'
    yield process / 'root'
    yield process / 'exe'
    for directory in ('fd', 'map_files'):
        with contextlib.suppress(OSError):
            yield from list((process / directory).iterdir())


def is_free(device_path: str) -> bool:
    """Return whether nothing has this block device mounted, in whichever mount namespace.

    The kernel grants exclusive access to a block device only then.  Source: open(2), O_EXCL.
    """
    try:
        descriptor = os.open(device_path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
    except OSError:
        return False
    os.close(descriptor)
    return True
