# SPDX-License-Identifier: Apache-2.0
"""Choice of the route into a tenant network, by the operator's configuration.

The order: directly, where the operator names the network as routed; the DHCP agent's namespace on
this host, then on the network nodes in their order; the OVN metadata agent's namespace, which
reaches the guests on its own chassis alone, here or on the node that is this chassis.
"""

import dataclasses
from collections.abc import Sequence

from trove_upgrade.bridge.reach import errors, namespaces
from trove_upgrade.bridge.reach.direct import DirectRoute
from trove_upgrade.bridge.reach.namespaces import NamespaceRoute, Place
from trove_upgrade.bridge.reach.ports import Route


@dataclasses.dataclass(frozen=True, kw_only=True)
class Routing:
    """Configuration of the operator."""

    local_namespaces: bool = True  #: look at this host's own
    #: Nova's and Neutron's name of this host, where it is a chassis
    local_chassis: str | None = None
    direct_network_ids: frozenset[str] = frozenset()  #: networks that this host reaches by routing


@dataclasses.dataclass(frozen=True)
class Chassis:
    """Host with namespaces, and its name as a chassis if it is one."""

    place: Place
    name: str | None


@dataclasses.dataclass(frozen=True)
class Tried:
    """Look that found no route."""

    where: str
    found: str


@dataclasses.dataclass(frozen=True)
class Choice:
    """Route that was found, and the looks before it, for the report."""

    route: Route
    tried: tuple[Tried, ...]


class RouteChooser:
    """Finds routes.  The nodes' connections are their owner's to close."""

    def __init__(self, routing: Routing, local: Place, nodes: Sequence[Chassis]) -> None:
        self._routing = routing
        self._nodes = tuple(nodes)
        here = (Chassis(local, routing.local_chassis),) if routing.local_namespaces else ()
        self._hosts = (*here, *self._nodes)

    def choose(self, network_id: str, chassis: str | None) -> Choice:
        """Return the route to the guests of a network that are on a chassis, the host of the
        guest's port in Neutron; None: unknown.

        A node that cannot be asked is passed over, and reported.

        :raises NoRoute: it names all that was tried.
        :raises NamespaceRefused: the id is none.
        """
        dhcp = namespaces.dhcp_namespace(network_id)
        metadata = namespaces.metadata_namespace(network_id)
        if network_id in self._routing.direct_network_ids:
            return Choice(DirectRoute(), ())
        tried: list[Tried] = []
        for host in self._hosts:
            if self._has(host.place, dhcp, tried):
                return Choice(NamespaceRoute(dhcp, host.place), tuple(tried))
        for host in self._hosts:
            if host.name is None or host.name != chassis:
                tried.append(_other_chassis(host, metadata, chassis))
            elif self._has(host.place, metadata, tried):
                return Choice(NamespaceRoute(metadata, host.place), tuple(tried))
        found = '; '.join(f'{one.where}: {one.found}' for one in tried)
        raise errors.NoRoute(network_id=network_id, found=found or 'no host is configured')

    def _has(self, place: Place, namespace: str, tried: list[Tried]) -> bool:
        try:
            if place.has(namespace):
                return True
        except errors.ReachError as error:
            tried.append(Tried(f'{namespace} {place.name}', error.message))
        else:
            tried.append(Tried(f'{namespace} {place.name}', 'there is no such namespace'))
        return False


def _other_chassis(host: Chassis, namespace: str, chassis: str | None) -> Tried:
    where = f'{namespace} {host.place.name}'
    if host.name is None:
        return Tried(where, 'the host is not configured as a chassis')
    return Tried(where, f'the guest is on {chassis or "an unknown chassis"}, not on {host.name}')
