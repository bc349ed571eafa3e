# SPDX-License-Identifier: Apache-2.0
"""The NIC of a server that Trove gives to the database alone, and the port to where it is found."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from trove_upgrade.domain.own_ports import ShownServer


@dataclasses.dataclass(frozen=True, kw_only=True)
class NicAddress:
    """An address of the NIC, with its subnet."""

    address: str
    version: int  #: 4 or 6
    cidr: str
    gateway: str | None  #: None: it has none, or router advertisements tell it
    host_routes: Sequence[Mapping[str, str]] = ()


@dataclasses.dataclass(frozen=True)
class UserNic:
    """NIC in the user's own network, beside the one that Trove speaks to the guest over."""

    mac_address: str
    addresses: tuple[NicAddress, ...]

    def as_json(self) -> str:
        """Return the text of eth1.json as Trove's agent reads it.

        Source: trove/instance/models.py, _get_user_nic_info (Trove 26).
        """
        found: dict[str, Any] = {'mac_address': self.mac_address}
        for one in self.addresses:
            name = f'ipv{one.version}'
            found |= {
                f'{name}_address': one.address,
                f'{name}_cidr': one.cidr,
                f'{name}_host_routes': [dict(route) for route in one.host_routes],
            }
            if one.version == 4 or one.gateway is not None:
                found[f'{name}_gateway'] = one.gateway
        return json.dumps(found)


def port_name(instance_id: str) -> str:
    """Return how Trove calls the port of that NIC.

    Source: trove/taskmanager/models.py, _create_port (Trove 26).
    """
    return f'trove-{instance_id}'


class UserNics(Protocol):
    """Neutron, as it is asked for this NIC."""

    def user_nic(self, server: ShownServer, name: str) -> UserNic | None:
        """Return the NIC of the port with this name; None: the server has no such port, or no
        other.

        :raises NetworkUnavailable: no answer.
        :raises NetworkRefused: Neutron does not show a subnet of it.
        :raises PortsNotShown: Nova shows none of the ports with the server's id.
        """
