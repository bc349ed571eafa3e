# SPDX-License-Identifier: Apache-2.0
"""Servers and images as Nova and Glance showed them at one moment."""

import dataclasses
import enum
from collections.abc import Mapping


class ServerStatus(enum.StrEnum):
    """Status of a server that is acted on; Nova has more."""

    ACTIVE = 'ACTIVE'
    ERROR = 'ERROR'
    SHUTOFF = 'SHUTOFF'
    REBOOT = 'REBOOT'
    HARD_REBOOT = 'HARD_REBOOT'
    MIGRATING = 'MIGRATING'


#: Those that a server comes out of by itself.  Source: Nova api-ref, "Servers", status.
PASSING = frozenset({ServerStatus.REBOOT, ServerStatus.HARD_REBOOT, ServerStatus.MIGRATING})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """A Nova server, as it was when read.

    `user_data` is decoded.  `image_id` is None for a server that is booted from a volume.
    """

    id: str
    name: str
    status: str  #: as Nova names it
    task_state: str | None
    image_id: str | None
    locked: bool
    metadata: Mapping[str, str]
    user_data: bytes | None
    fault: str | None
    flavor_ram_mb: int
    flavor_disk_gb: int
    host: str | None
    addresses: tuple['Address', ...] = ()
    volume_backed: bool = False
    #: False: Nova does not tell this login whether the server has user data
    shows_user_data: bool = True
    nic_count: int | None = None  #: by their hardware addresses; None where Nova does not show them
    project_id: str = ''
    nics: tuple['ShownNic', ...] = ()

    @property
    def marker(self) -> str | None:
        """Our marker of the last rebuild that Nova accepted."""
        return self.metadata.get(MARKER_KEY)


@dataclasses.dataclass(frozen=True)
class Address:
    """An address of a server."""

    address: str
    type: str  #: 'private' (fixed) or 'public' (floating), as Trove's JSON says it
    network: str  #: the network's id where known, else its name


@dataclasses.dataclass(frozen=True)
class ShownNic:
    """A fixed address of a server, and the hardware address of the NIC that has it."""

    mac_address: str
    address: str


@dataclasses.dataclass(frozen=True)
class ServerSummary:
    """Part of a server that a list of instances shows."""

    status: str
    addresses: tuple[Address, ...] = ()


#: The key of our marker in the server's metadata.
MARKER_KEY = 'trove_upgrade'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Image:
    """Image of a server, as Glance describes it."""

    id: str
    name: str
    status: str
    min_disk_gb: int
    min_ram_mb: int
    size_bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerDescription:
    """All that Nova could refuse a rebuild for, read before anything is changed."""

    server: Server
    compute_up: bool | None  #: None where we may not ask
    max_microversion: tuple[int, int]
    #: entries a server's metadata may have; None where unlimited or unknown
    metadata_quota: int | None


class RebuildResult(enum.StrEnum):
    """Outcome of the last rebuild that was accepted."""

    RUNNING = 'running'
    SUCCESS = 'success'  #: action Success, server ACTIVE, no task
    NOTHING_HAPPENED = 'nothing_happened'  #: Nova fell back to ACTIVE: the former guest still runs
    ERROR = 'error'
