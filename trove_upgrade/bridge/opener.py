# SPDX-License-Identifier: Apache-2.0
"""Opens SSH to one port for one address, and nothing else for anything else.

A group of our own with a single rule is added to the port.  A group that other ports use is never
touched.  Each effect at Neutron comes after the commit that tells of it.
"""

import dataclasses
import ipaddress

from trove_upgrade.bridge.closer import Closer
from trove_upgrade.domain import logs
from trove_upgrade.domain.network import (
    GroupGone,
    Network,
    NetworkPort,
    PortChanged,
    SecurityGroup,
)
from trove_upgrade.domain.openings import (
    GROUP_NAME,
    SSH_PORT,
    Opening,
    OpeningRepository,
    OpeningRequest,
)

LOG = logs.get_logger(__name__)

#: How often a port's groups are read and written again that another client changes meanwhile.
_TRIES = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opener:
    """Opens, and closes what it could not open whole."""

    network: Network
    openings: OpeningRepository
    closer: Closer
    lease_seconds: float

    def open(self, request: OpeningRequest) -> Opening:
        """Open, for `lease_seconds`.

        :raises PortAlreadyOpen: another opening of the port is not closed.
        :raises OpeningLapsed: it took longer than the lease.
        :raises PortNotFound, PortChanged, GroupGone, GroupQuotaExhausted, NetworkRefused,
            NetworkUnavailable: Neutron could not; what was made is gone again, or waits for the
            reaper.
        :raises ValueError: the source is not one address.
        """
        if ipaddress.ip_network(request.source).num_addresses != 1:
            raise ValueError(f'the source {request.source} is more than one address')
        opening = self.openings.intend(request, self.lease_seconds)
        try:
            self._make(opening)
            return self.openings.opened(opening.id)
        except BaseException:
            self.closer.close_after_failure(opening)
            raise

    def _make(self, opening: Opening) -> None:
        group = self.network.create_group(GROUP_NAME, opening.tag.description, opening.project_id)
        self.openings.record_group(opening.id, group.id)
        self._leave_one_rule(group, opening)
        self._attach(opening, group)

    def _leave_one_rule(self, group: SecurityGroup, opening: Opening) -> None:
        """Take away what an operator's default rules give each new group, before any port has it:
        answers to SSH need none of them.
        """
        for rule in group.rules:
            self.network.delete_rule(rule.id)
        self.network.allow_tcp_from(group, opening.source, SSH_PORT, opening.tag.description)

    def _attach(self, opening: Opening, group: SecurityGroup) -> NetworkPort:
        for _ in range(_TRIES):
            port = self.network.port(opening.port_id)
            if group.id in port.groups:
                return port
            self.openings.record_former(opening.id, port.groups)
            try:
                return self.network.set_groups(port, (*port.groups, group.id))
            except PortChanged:
                LOG.info('Port %s was changed by another client; read again', port.id)
        if self.network.group(group.id) is None:
            raise GroupGone(port_id=opening.port_id, group_id=group.id)
        raise PortChanged(port_id=opening.port_id)
