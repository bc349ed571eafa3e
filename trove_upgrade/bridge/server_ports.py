# SPDX-License-Identifier: Apache-2.0
"""Ports of one server, asked of Nova and Neutron."""

import dataclasses

from trove_upgrade.domain import logs
from trove_upgrade.domain.inventory import CloudServers
from trove_upgrade.domain.network import Network, NetworkPort
from trove_upgrade.domain.own_ports import left_out, told_apart

LOG = logs.get_logger(__name__)


@dataclasses.dataclass(frozen=True)
class FoundServer:
    """Ports of a server, in Neutron's order, and the host that it is on."""

    ports: tuple[NetworkPort, ...] = ()
    hypervisor: str | None = None


@dataclasses.dataclass(frozen=True)
class ServerPorts:
    """Asks both at each look; changes nothing."""

    servers: CloudServers
    network: Network

    def of(self, server_id: str | None) -> tuple[NetworkPort, ...]:
        """Return the ports of a server, in Neutron's order.  Raises as `find`."""
        return self.find(server_id).ports

    def find(self, server_id: str | None) -> FoundServer:
        """Return a server's ports and its host; what is left out is logged.

        :raises ServerNotFound: Nova has no such server.
        :raises ComputeUnavailable, NetworkUnavailable: Nova or Neutron gives no answer.
        """
        if server_id is None:
            return FoundServer()
        server = self.servers.server(server_id)
        found = told_apart(server, self.network.ports_that_name([server_id]))
        for port in found.foreign:
            LOG.warning('%s', left_out(port))
        return FoundServer(found.own, server.hypervisor)
