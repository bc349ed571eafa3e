# SPDX-License-Identifier: Apache-2.0
"""Ports of one server, asked of Nova and Neutron."""

import dataclasses

from trove_upgrade.domain import logs
from trove_upgrade.domain.network import Network, NetworkPort
from trove_upgrade.domain.own_ports import ShownServers, left_out, told_apart

LOG = logs.get_logger(__name__)


@dataclasses.dataclass(frozen=True)
class ServerPorts:
    """Asks both at each look; changes nothing."""

    servers: ShownServers
    network: Network

    def of(self, server_id: str | None) -> tuple[NetworkPort, ...]:
        """Return the ports of a server, in Neutron's order; what is left out is logged.

        :raises ServerNotFound: Nova has no such server.
        :raises ComputeUnavailable, NetworkUnavailable: Nova or Neutron gives no answer.
        """
        if server_id is None:
            return ()
        server = self.servers.server(server_id)
        found = told_apart(server, self.network.ports_that_name([server_id]))
        for port in found.foreign:
            LOG.warning('%s', left_out(port))
        return found.own
