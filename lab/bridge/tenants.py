# SPDX-License-Identifier: Apache-2.0
"""Networks of tenants as old clouds have them: each project its own, all with the same addresses,
closed by their groups but for the database, and with the port of Neutron's DHCP agent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from lab import rest
from lab.bridge import dhcp_ports
from lab.handle import CloudHandle
from lab.servers import Hypervisor, NetworkNode

#: Of every project: the addresses overlap.
CIDR, GATEWAY, DHCP_ADDRESS = '10.60.0.0/24', '10.60.0.1', '10.60.0.2'
DEFAULT_GROUP, DATABASE_GROUP = 'default', 'databases'
_DATABASE_PORT = 3306


@dataclasses.dataclass(frozen=True, kw_only=True)
class TenantNetwork:
    """A project's network; `namespace` is that of Neutron's DHCP agent, on this host or on a
    node.
    """

    user: str  #: of the cloud's handle, a member of the project
    project_id: str
    network_id: str
    namespace: str
    on_node: bool


class Tenants:
    """Makes the networks, each as a member of its project."""

    def __init__(self, handle: CloudHandle, host: Hypervisor) -> None:
        self._handle = handle
        self._host = host
        self._base = f'{handle.neutron_url}/v2.0'

    def make(self, user: str, node: NetworkNode | None = None) -> TenantNetwork:
        """Make a network of the user's project, its groups, and its namespace: on `node`, or on
        this host.

        :raises CommandFailed: Neutron refused something.
        """
        member = rest.Session.of(self._handle.users[user])
        network = self._create(member, 'network', {'name': f'databases of {user}'})
        subnet = self._create(
            member,
            'subnet',
            {
                'network_id': network['id'],
                'ip_version': 4,
                'cidr': CIDR,
                'gateway_ip': GATEWAY,
                'enable_dhcp': True,
                # The first addresses are the lab's own end and the DHCP agent's.
                'allocation_pools': [{'start': '10.60.0.10', 'end': '10.60.0.250'}],
            },
        )
        self._open_database(member)
        place = dhcp_ports.Place(
            network_id=str(network['id']),
            project_id=str(network['project_id']),
            subnet_id=str(subnet['id']),
            cidr=CIDR,
            gateway=GATEWAY,
            address=DHCP_ADDRESS,
        )
        namespace = dhcp_ports.plug(self._handle, self._host, place, node)
        return TenantNetwork(
            user=user,
            project_id=place.project_id,
            network_id=place.network_id,
            namespace=namespace,
            on_node=node is not None,
        )

    def _open_database(self, member: rest.Session) -> None:
        """A group for what clients of a database need.  Port 22 is in no group."""
        group = self._create(member, 'security_group', {'name': DATABASE_GROUP})
        self._create(
            member,
            'security_group_rule',
            {
                'security_group_id': group['id'],
                'direction': 'ingress',
                'ethertype': 'IPv4',
                'protocol': 'tcp',
                'port_range_min': _DATABASE_PORT,
                'port_range_max': _DATABASE_PORT,
            },
        )

    def _create(
        self, session: rest.Session, kind: str, content: Mapping[str, object]
    ) -> dict[str, Any]:
        url = f'{self._base}/{kind.replace("_", "-")}s'
        made: dict[str, Any] = session.request('POST', url, {kind: content})[kind]
        return made
