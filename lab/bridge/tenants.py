# SPDX-License-Identifier: Apache-2.0
"""Networks of tenants as old clouds have them: each project its own, all with the same addresses,
closed by their groups but for the database, and with the port of Neutron's DHCP agent.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import uuid
from collections.abc import Mapping
from typing import Any

from lab import rest
from lab.handle import CloudHandle
from lab.servers import DhcpPort, Hypervisor, Network, NetworkNode

#: Of every project: the addresses overlap.
CIDR, GATEWAY, DHCP_ADDRESS = '10.60.0.0/24', '10.60.0.1', '10.60.0.2'
DEFAULT_GROUP, DATABASE_GROUP = 'default', 'databases'
_DATABASE_PORT = 3306
DHCP_OWNER = 'network:dhcp'


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
        self._admin = rest.Session.of(handle.users['admin'])
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
        namespace = self._plug_dhcp(network, subnet['id'], node)
        return TenantNetwork(
            user=user,
            project_id=str(network['project_id']),
            network_id=str(network['id']),
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

    def _plug_dhcp(
        self, network: Mapping[str, str], subnet_id: str, node: NetworkNode | None
    ) -> str:
        """The agent's port, with the names that an agent gives it, and the namespace with it."""
        network_id = network['id']
        agent = uuid.uuid5(uuid.NAMESPACE_DNS, node.server.name if node else 'localhost')
        port = self._create(
            self._admin,
            'port',
            {
                'network_id': network_id,
                'project_id': network['project_id'],
                'device_owner': DHCP_OWNER,
                'device_id': f'dhcp{agent}-{network_id}',
                'fixed_ips': [{'subnet_id': subnet_id, 'ip_address': DHCP_ADDRESS}],
            },
        )
        prefix_length = ipaddress.ip_network(CIDR).prefixlen
        self._host.fabric.ensure(Network(network_id, GATEWAY, prefix_length))
        return self._host.fabric.plug_dhcp(
            DhcpPort(
                network_id=network_id,
                port_id=str(port['id']),
                mac=str(port['mac_address']),
                address=DHCP_ADDRESS,
                prefix_length=prefix_length,
                gateway=GATEWAY,
            ),
            node.server if node else None,
        )

    def _create(
        self, session: rest.Session, kind: str, content: Mapping[str, object]
    ) -> dict[str, Any]:
        url = f'{self._base}/{kind.replace("_", "-")}s'
        made: dict[str, Any] = session.request('POST', url, {kind: content})[kind]
        return made
