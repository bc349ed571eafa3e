# SPDX-License-Identifier: Apache-2.0
"""Visit to one guest: what this process holds while it works inside, and how it comes in."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

from trove_upgrade.bridge.closer import Closer
from trove_upgrade.bridge.opener import Opener
from trove_upgrade.bridge.reach.accounts import Accounts
from trove_upgrade.bridge.reach.choice import RouteChooser
from trove_upgrade.bridge.reach.errors import ReachError
from trove_upgrade.bridge.reach.logins import Login
from trove_upgrade.bridge.reach.ports import Guest, Route, Shell
from trove_upgrade.bridge.server_ports import ServerPorts
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.bridge_runs import Member, MemberFacts, MemberLost
from trove_upgrade.domain.inventory import Listed
from trove_upgrade.domain.network import NetworkPort
from trove_upgrade.domain.openings import Opening, OpeningRepository, OpeningRequest
from trove_upgrade.domain.pace import Hosts

#: Logs in at a guest.  Raises ReachError.
LogIn = Callable[[Guest, Route, Login], Shell]


#: Records which hosts the work on a member loads.  Raises NoRoom, MemberLost.
Settle = Callable[[Member, Hosts], Member]


class NoWayIn(exceptions.TroveUpgradeError):
    """No NIC of a server can be reached from here."""

    code = 'BRIDGE_NO_WAY_IN'
    template = (
        'Instance {instance_id} cannot be reached by any of its NICs: {found}. Name the network '
        'nodes of these networks, or run the bridge on one of them.'
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Way:
    """NIC to use, and the route to it."""

    port: NetworkPort
    address: str
    route: Route
    source: str


class Visit:
    """State of a visit, which ends with its process, or by `Door.leave`."""

    def __init__(self) -> None:
        self.way: Way | None = None
        self.is_just_opened = False  #: and was not entered since
        self.opening: Opening | None = None  #: None: not open, or the port is not filtered
        self.shell: Shell | None = None
        self.is_lost = False  #: the lease is over, and another host may be in the guest
        self.is_lapsed = False  #: the port was closed by another process

    def leave_guest(self) -> None:
        """End the shell."""
        shell, self.shell = self.shell, None
        if shell is not None:
            shell.close()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Door:
    """Comes in to guests and leaves them."""

    server_ports: ServerPorts
    openings: OpeningRepository
    opener: Opener
    closer: Closer
    chooser: RouteChooser
    accounts: Accounts
    log_in: LogIn
    settle: Settle

    def find(self, member: Member, visit: Visit) -> MemberFacts:
        """Choose a NIC and a route: the first NIC, in Neutron's order, that a route leads to.

        :raises NoWayIn: none does; the message has what was tried for each.
        :raises NoRoom: enough other members load the route's host, or the server's.
        Raises as `ServerPorts.find`, too.
        """
        server = self.server_ports.find(member.server_id)
        way = self._way(member.instance_id, server.ports)
        self.settle(member, Hosts(node=way.route.host, hypervisor=server.hypervisor))
        visit.way = way
        return dataclasses.replace(
            member.facts,
            port_id=way.port.id,
            address=way.address,
            route=way.route.name,
            source=way.source,
        )

    def nodes(self, members: Sequence[Listed]) -> dict[str, str]:
        """Return the host that leads to each of these instances, as it is now; one that none leads
        to is missing.  Each network is asked for once.
        """
        node_of = functools.cache(self._node_of)
        found = {
            one.instance_id: next(
                filter(None, (node_of(port.network_id, port.host) for port in one.ports)), None
            )
            for one in members
        }
        return {instance_id: node for instance_id, node in found.items() if node is not None}

    def _node_of(self, network_id: str, chassis: str | None) -> str | None:
        try:
            return self.chooser.choose(network_id, chassis).route.host
        except ReachError:
            return None

    def plan(self, listed: Listed) -> str:
        """Return in words what would be opened for whom.

        :raises NoWayIn: no route leads to it.
        """
        way = self._way(listed.instance_id, listed.ports)
        what = f'port {way.port.id} for {way.source}' if way.port.is_filtered else 'nothing'
        return f'would open {what}, and log in at {way.address} {way.route.name}'

    def _way(self, instance_id: str, ports: Sequence[NetworkPort]) -> Way:
        tried: list[str] = []
        for port in ports:
            for address in port.addresses:
                try:
                    route = self.chooser.choose(port.network_id, port.host).route
                    source = route.source_address(address)
                except ReachError as error:
                    tried.append(f'{address}: {error.message}')
                else:
                    return Way(port=port, address=address, route=route, source=source)
        raise NoWayIn(
            instance_id=instance_id,
            found='; '.join(tried) or 'it has none with an address that Nova shows',
        )

    def open(self, member: Member, visit: Visit) -> str:
        """Open the port for this host alone, and return what was done in words.

        What an earlier process of the same run has left open is closed first.  Raises as
        `Opener.open`.
        """
        way = visit.way
        if way is None:
            raise ValueError('no way was chosen')
        self._require_lease(member, visit)
        self.close(member, visit)
        if not way.port.is_filtered:
            visit.is_just_opened = True
            return f'Port security of {way.port.id} is off: nothing has to be opened.'
        visit.opening = self.opener.open(
            OpeningRequest(
                run_id=member.run_id,
                instance_id=member.instance_id,
                port_id=way.port.id,
                network_id=way.port.network_id,
                project_id=way.port.project_id,
                source=f'{way.source}/{128 if ":" in way.source else 32}',
            )
        )
        visit.is_just_opened = True
        return f'Port {way.port.id} is open for {visit.opening.source}.'

    def enter(self, member: Member, visit: Visit) -> Shell:
        """Return the shell of a guest that was opened; the same one while it lasts.

        :raises ReachError: the login did not come about.
        """
        way = visit.way
        if way is None or member.server_id is None:
            raise ValueError('no way was chosen')
        if visit.shell is None:
            visit.is_just_opened = False
            visit.shell = self.log_in(
                Guest(server_id=member.server_id, address=way.address),
                way.route,
                self.accounts.login_of(member.instance_id),
            )
        shell = visit.shell
        if visit.is_lost:  # the keeper had nothing to close yet
            visit.leave_guest()
        self._require_lease(member, visit)
        return shell

    @staticmethod
    def _require_lease(member: Member, visit: Visit) -> None:
        if visit.is_lost:
            raise MemberLost(run_id=member.run_id, instance_id=member.instance_id)

    def come_back(self, member: Member, visit: Visit) -> Shell:
        """Return the shell; from the beginning, but for a port that was just opened, as the server
        of one that is lost may be gone.  Raises as `find`, `open` and `enter`.
        """
        if visit.shell is None and (visit.is_lapsed or not visit.is_just_opened):
            self.find(member, visit)
            self.open(member, visit)
        return self.enter(member, visit)

    def close(self, member: Member, visit: Visit) -> str | None:
        """End the shell, and close what this run has open for the member, by an earlier process
        too; return what is not as before.  Only for the holder of the member's lease.  Raises as
        `Closer.close`.
        """
        causes = [self.leave(visit)]
        causes += [
            self.closer.close(opening)
            for opening in self.openings.not_closed()
            if (opening.run_id, opening.instance_id) == (member.run_id, member.instance_id)
        ]
        return next((cause for cause in causes if cause is not None), None)

    def leave(self, visit: Visit) -> str | None:
        """End the shell, and close what this visit has opened: at Neutron first, as the database
        may be away.  Raises as `Closer.close`.
        """
        visit.leave_guest()
        visit.is_just_opened = False
        opening, visit.opening = visit.opening, None
        return None if opening is None else self.closer.close(opening)
