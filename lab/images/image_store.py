# SPDX-License-Identifier: Apache-2.0
"""Store of a container engine's images: in directories of its own, or in those of containerd.

Engines from 29 on keep the images of a new installation in containerd's store; earlier ones do
where `containerd-snapshotter` is switched on. An engine that was there before keeps its own store.
Source: docs.docker.com, "containerd image store"; moby, daemon/info.go (DriverStatus,
Containerd.Address).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lab import errors

#: What `docker info` shows in DriverStatus as driver-type where containerd has the images.
CONTAINERD = 'io.containerd.snapshotter.v1'
#: Graph drivers and snapshotters whose layers are plain files; those of others (btrfs, zfs,
#: devicemapper, ...) cannot be copied.
_DRIVERS = frozenset({'overlay2', 'fuse-overlayfs', 'vfs'})
_SNAPSHOTTERS = frozenset({'overlayfs', 'fuse-overlayfs', 'native'})
#: Where a containerd that runs as a service of its own has its state; one that the engine starts
#: has it in the engine's directory.
_SERVICE_STATE = Path('/var/lib/containerd')
_SERVICE_SOCKETS = frozenset(
    {'/run/containerd/containerd.sock', '/var/run/containerd/containerd.sock'}
)
_ENGINES_SOCKET = 'docker/containerd/containerd.sock'
_ENGINES_STATE = Path('containerd/daemon')


class StoreUnknown(errors.LabError):
    """An engine keeps its images in a way that is not known here; nothing was copied."""

    code = 'lab_image_store_unknown'


@dataclasses.dataclass(frozen=True)
class ImageStore:
    """Directories of a guest that hold images, and neither containers nor networks nor scratch."""

    root: Path  #: /var/lib/docker or a state directory of containerd
    parts: tuple[str, ...]  #: below it

    @property
    def paths(self) -> tuple[Path, ...]:
        """Return the absolute paths of all its parts."""
        return tuple(self.root / part for part in self.parts)

    def require_below(self, *places: Path) -> None:
        """Refuse a store outside of the places in which an engine is expected to have it.

        :raises StoreUnknown: it lies elsewhere, as where the engine has another data-root.
        """
        if not any(self.root.is_relative_to(place) for place in places):
            raise _unknown(f'they lie in {self.root}', ' or '.join(map(str, places)))


def of_engine(info: Mapping[str, Any], exists: Callable[[Path], bool]) -> ImageStore:
    """The store of the engine that answers `docker info` with `info`; `exists` looks into its
    guest.

    :raises StoreUnknown: its driver, or the containerd that it uses, is none of those known.
    """
    driver = str(info.get('Driver') or '')
    root = Path(str(info.get('DockerRootDir') or '/var/lib/docker'))
    kinds = {
        str(entry[1])
        for entry in info.get('DriverStatus') or ()
        if len(entry) == 2 and entry[0] == 'driver-type'
    }
    if not kinds:
        if driver not in _DRIVERS:
            raise _unknown(
                f'its driver is {driver or "not told"}', f'one of {", ".join(sorted(_DRIVERS))}'
            )
        return ImageStore(root, ('image', driver))
    if kinds != {CONTAINERD} or driver not in _SNAPSHOTTERS:
        raise _unknown(
            f'its driver is {driver or "not told"} of type {", ".join(sorted(kinds))}',
            f'one of {", ".join(sorted(_SNAPSHOTTERS))} of type {CONTAINERD}',
        )
    parts = (
        'io.containerd.content.v1.content',
        'io.containerd.metadata.v1.bolt',
        f'{CONTAINERD}.{driver}',
    )
    return ImageStore(_state_of_containerd(info, root, exists), parts)


def _state_of_containerd(
    info: Mapping[str, Any], root: Path, exists: Callable[[Path], bool]
) -> Path:
    """An engine before API 1.46 does not name the socket: then it uses its own containerd if the
    directory of that is there.
    """
    address = str((info.get('Containerd') or {}).get('Address') or '')
    if address in _SERVICE_SOCKETS:
        return _SERVICE_STATE
    if address.endswith(_ENGINES_SOCKET):
        return root / _ENGINES_STATE
    if address:
        raise _unknown(
            f'it uses the containerd at {address}',
            "the containerd of the guest, or the engine's own",
        )
    return root / _ENGINES_STATE if exists(root / _ENGINES_STATE) else _SERVICE_STATE


def _unknown(found: str, wanted: str) -> StoreUnknown:
    return StoreUnknown(
        f'The images of the container engine cannot be put into an image: {found}. Let it use '
        f'{wanted}, or leave the images out: the guest agent pulls them at the first boot.'
    )
