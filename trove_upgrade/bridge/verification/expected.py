# SPDX-License-Identifier: Apache-2.0
"""Facts that must hold after an upgrade."""

import dataclasses
from collections.abc import Mapping, Sequence

from trove_upgrade.domain.database_service import DatabaseInstance
from trove_upgrade.domain.network import NetworkPort


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expected:
    """An instance as it was before its upgrade, but for its version."""

    instance_id: str
    server_id: str
    version_id: str  #: of the target
    addresses: tuple[str, ...]  #: as `addresses_of` found them
    groups: Mapping[str, tuple[str, ...]]  #: ids of the security groups of each port, by its id
    upgrade_id: str
    left_user: str | None = None  #: that an earlier check may have left in the database


def addresses_of(shown: DatabaseInstance, ports: Sequence[NetworkPort]) -> tuple[str, ...]:
    """Return all addresses of an instance: those that the service shows, floating ones among them,
    and those of the server's ports, which a service with host names does not show.
    """
    found = {each.address for each in shown.addresses}
    return tuple(sorted(found.union(*(port.addresses for port in ports))))


def groups_of(ports: Sequence[NetworkPort]) -> dict[str, tuple[str, ...]]:
    """Return the security groups of each port."""
    return {port.id: tuple(sorted(port.groups)) for port in ports}
