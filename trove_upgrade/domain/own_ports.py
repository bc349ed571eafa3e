# SPDX-License-Identifier: Apache-2.0
"""Ports of a server, told from those of others that have only its id.

Neutron lets each tenant write the id of any server into a port of its own (`device_id`), of another
project's server, too: its policy asks for a member of the port's project, restricts `device_owner`
for services of the network alone, and nothing looks the server up.  A list of interfaces (Nova's
os-interface) is the same question to Neutron, and no proof.  What Nova itself keeps is one: it
takes no port of another project than the server's, and shows the hardware address and the addresses
of those that it has.

All of it is compared.  A hardware address with an address alone can be copied: in a network of its
own a tenant chooses both.  The project alone would be no mark of the server.

Source: neutron/conf/policies/port.py, `create_port:device_id`, `create_port:mac_address` (29.0.0);
nova/api/openstack/compute/attach_interfaces.py, `index`; nova/network/neutron.py, `PortNotUsable`
and `_build_network_info_model` (34.0.0).
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Protocol

from trove_upgrade.domain.compute import ShownNic
from trove_upgrade.domain.network import NetworkPort


class ShownServer(Protocol):
    """A server as Nova shows it."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def project_id(self) -> str:
        """The project that Nova has it for."""

    @property
    def nics(self) -> Sequence[ShownNic]:
        """Its fixed addresses with the hardware addresses."""


class ShownServers(Protocol):
    """Nova, as it is asked about one server."""

    def server(self, server_id: str) -> ShownServer:
        """Return a server now.

        :raises ServerNotFound: Nova has no such server.
        :raises ComputeUnavailable: no answer.
        """


@dataclasses.dataclass(frozen=True)
class PortsOfServer:
    """Ports with the id of one server, each in Neutron's order."""

    own: tuple[NetworkPort, ...] = ()
    foreign: tuple[NetworkPort, ...] = ()


def told_apart(server: ShownServer, ports: Iterable[NetworkPort]) -> PortsOfServer:
    """Sort ports with the id of a server."""
    own: list[NetworkPort] = []
    foreign: list[NetworkPort] = []
    for port in ports:
        (own if is_own(server, port) else foreign).append(port)
    return PortsOfServer(tuple(own), tuple(foreign))


def is_own(server: ShownServer, port: NetworkPort) -> bool:
    """Return whether a port is the server's.  Of several addresses one is enough: Nova learns of
    another one later than Neutron.  One without an address is in no list of Nova's, and leads
    nowhere.
    """
    if port.server_id != server.id or not port.project_id or port.project_id != server.project_id:
        return False
    shown = {(nic.mac_address.casefold(), nic.address) for nic in server.nics}
    mac_address = port.mac_address.casefold()
    return not port.addresses or any((mac_address, one) in shown for one in port.addresses)


def left_out(port: NetworkPort) -> str:
    """Return in words that a port is foreign."""
    return (
        f'Port {port.id} of project {port.project_id} has the id of server {port.server_id}, and '
        'Nova does not show it there: it is left out.'
    )
