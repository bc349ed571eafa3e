# SPDX-License-Identifier: Apache-2.0
"""Files on a guest's root disk before it boots: the NoCloud seed, where cloud-init finds user data
and meta data, and those that Nova injects.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from lab.hypervisor.spec import GuestSpec
from lab.hypervisor.volume import Volume

_SEED = Path('var/lib/cloud/seed/nocloud')


def meta_data(spec: GuestSpec, volume: Volume | None) -> dict[str, Any]:
    """NoCloud meta data.  A guest finds its volume by `volume_uuid`, whatever its device is
    called.
    """
    return {
        'instance-id': spec.guest_id,
        'local-hostname': spec.hostname,
        **({'volume_uuid': volume.filesystem_uuid} if volume and volume.filesystem_uuid else {}),
        **spec.meta_data,
    }


def write(root_disk: Path, user_data: bytes, meta_data: str) -> None:
    """Lay a new seed down on an empty root disk."""
    seed = root_disk / _SEED
    seed.mkdir(parents=True)
    user_data_file = seed / 'user-data'
    user_data_file.touch(mode=0o600)  # the database server's user is a tenant's
    user_data_file.write_bytes(user_data or b'#cloud-config\n')
    (seed / 'meta-data').write_text(meta_data, 'utf-8')


def inject(root_disk: Path, files: Mapping[str, bytes]) -> None:
    """Write injected files, readable by root alone: one of them may hold a password."""
    for path, content in files.items():
        target = root_disk / PurePosixPath(path).relative_to('/')
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch(mode=0o600)
        target.write_bytes(content)
