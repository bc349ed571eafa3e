# SPDX-License-Identifier: Apache-2.0
"""Ports of Neutron's DHCP agent: operators reach the guests of a network from the namespace that
has one.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import uuid
from typing import Any

from lab import rest
from lab.handle import CloudHandle
from lab.servers import DhcpPort, Hypervisor, Network, NetworkNode

OWNER = 'network:dhcp'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """A network of Neutron's with its subnet.  Without `address` Neutron chooses the port's."""

    network_id: str
    project_id: str
    subnet_id: str
    cidr: str
    gateway: str
    address: str | None = None


def plug(
    handle: CloudHandle, host: Hypervisor, place: Place, node: NetworkNode | None = None
) -> str:
    """Make the agent's port, with the names that an agent gives it, and the namespace with it: on
    `node`, or on this host; the namespace's name.

    :raises CommandFailed: Neutron refused the port.
    """
    port = _port(handle, place, node.server.name if node else 'localhost')
    prefix_length = ipaddress.ip_network(place.cidr).prefixlen
    host.fabric.ensure(Network(place.network_id, place.gateway, prefix_length))
    return host.fabric.plug_dhcp(
        DhcpPort(
            network_id=place.network_id,
            port_id=str(port['id']),
            mac=str(port['mac_address']),
            address=str(port['fixed_ips'][0]['ip_address']),
            prefix_length=prefix_length,
            gateway=place.gateway,
        ),
        node.server if node else None,
    )


def _port(handle: CloudHandle, place: Place, host_name: str) -> dict[str, Any]:
    agent = uuid.uuid5(uuid.NAMESPACE_DNS, host_name)
    fixed = {'subnet_id': place.subnet_id}
    if place.address is not None:
        fixed['ip_address'] = place.address
    wanted = {
        'network_id': place.network_id,
        'project_id': place.project_id,
        'device_owner': OWNER,
        'device_id': f'dhcp{agent}-{place.network_id}',
        'fixed_ips': [fixed],
    }
    admin = rest.Session.of(handle.users['admin'])
    made = admin.request('POST', f'{handle.neutron_url}/v2.0/ports', {'port': wanted})
    port: dict[str, Any] = made['port']
    return port
