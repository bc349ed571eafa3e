# SPDX-License-Identifier: Apache-2.0
"""Archive of a bundle: the same bytes for the same files, on any machine and at any time."""

from __future__ import annotations

import lzma
import tarfile
from pathlib import Path

from tools.bundle.recipe import FILE_TIME
from trove_upgrade.bridge.bundle import manifest

#: A guest needs 9 MB of memory to unpack it; a higher one needs 65.
_PRESET = 6


def pack(bundle: Path, target: Path) -> None:
    """Write the archive of a directory, its manifest first."""
    paths = sorted(
        bundle.rglob('*'), key=lambda path: (path.name != manifest.NAME, path.as_posix())
    )
    # GNU's form: tar of any age reads it, and long names need no extension of their own.
    with (
        lzma.open(target, 'wb', preset=_PRESET, check=lzma.CHECK_CRC64) as stream,
        tarfile.open(fileobj=stream, mode='w', format=tarfile.GNU_FORMAT) as archive,
    ):
        for path in paths:
            _add(archive, path, path.relative_to(bundle).as_posix())


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    member = archive.gettarinfo(path, name)
    member.uid = member.gid = 0
    member.uname = member.gname = 'root'
    member.mtime = FILE_TIME
    if member.islnk():  # a hard link is a file of its own here
        member.type, member.linkname, member.size = tarfile.REGTYPE, '', path.stat().st_size
    if member.isreg():
        with path.open('rb') as content:
            archive.addfile(member, content)
    else:
        archive.addfile(member)
