# SPDX-License-Identifier: Apache-2.0
"""Precondition: from inside each tenant network, what a guest needs can be reached."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from trove_upgrade.bridge.reach.choice import RouteChooser
from trove_upgrade.bridge.reach.errors import ReachError
from trove_upgrade.bridge.reach.ports import Route
from trove_upgrade.domain.inventory import Listed
from trove_upgrade.domain.upgrade_checks import CheckResult

_SECONDS = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Service:
    """Address that guests need."""

    what: str  #: e.g. "broker"
    host: str  #: as an operator has written it
    port: int

    def __str__(self) -> str:
        return f'{self.what} {self.host}:{self.port}'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Networks:
    """Tries each service from each network that an instance is on."""

    chooser: RouteChooser
    services: Sequence[Service]
    #: numeric addresses of a name, as a guest would ask for them
    resolve: Callable[[str], Sequence[str]]

    def look(self, listed: Sequence[Listed]) -> Iterator[CheckResult]:
        """Yield a result for each network and service."""
        hosts: dict[str, str | None] = {}
        for one in listed:
            if one.obstacle is None:
                hosts.update({port.network_id: port.host for port in one.ports})
        for network_id, host in sorted(hosts.items()):
            yield from self._of_network(network_id, host)

    def _of_network(self, network_id: str, host: str | None) -> Iterator[CheckResult]:
        name = f'network {network_id}'
        try:
            route = self.chooser.choose(network_id, host).route
        except ReachError as error:
            yield CheckResult.refused(name, error.message, error.code)
            return
        if not self.services:
            yield CheckResult.ok(name, f'A route leads into it {route.name}.')
        for service in self.services:
            yield self._of_service(name, route, service)

    def _of_service(self, name: str, route: Route, service: Service) -> CheckResult:
        try:
            addresses = self.resolve(service.host)
        except OSError as error:
            return CheckResult.unknown(
                name, f'{service} cannot be looked up: {error}.', 'BRIDGE_SERVICE_UNKNOWN'
            )
        found: list[str] = []
        for address in addresses:
            try:
                answer = route.reaches(address, service.port, _SECONDS)
            except ReachError as error:
                return CheckResult.unknown(name, error.message, error.code)
            if answer.reached:
                return CheckResult.ok(name, f'{service} is reached {route.name}.')
            found.append(f'{address}: {answer.found}')
        return CheckResult.refused(
            name,
            f'A guest does not reach {service} {route.name} ({"; ".join(found)}). Look at the '
            "network's router, and at what stands before the service.",
            'BRIDGE_SERVICE_UNREACHABLE',
        )
