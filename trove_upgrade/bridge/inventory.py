# SPDX-License-Identifier: Apache-2.0
"""Takes the inventory: every instance of every project, with its server and all its NICs."""

import csv
import dataclasses
import io
import uuid
from collections.abc import Mapping, Sequence

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.instances import Instance
from trove_upgrade.domain.inventory import (
    AllInstances,
    CloudServer,
    CloudServers,
    Difference,
    Listed,
    Obstacle,
    Unversioned,
    meanwhile,
    obstacle_of,
)
from trove_upgrade.domain.network import Network, NetworkPort
from trove_upgrade.domain.own_ports import PortsOfServer, told_apart


class ListUnreadable(exceptions.TroveUpgradeError):
    """A list of instances that an operator has named has a line without an id."""

    code = 'INSTANCE_LIST_UNREADABLE'
    template = (
        'The list {path} cannot be compared: {found}. Write one id of an instance per line, or a '
        'CSV whose header has a column "id" or "instance_id".'
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Taken:
    """Inventory, and what has changed in Trove's tables while it was taken."""

    listed: tuple[Listed, ...]
    #: missing: instances that have appeared; more: those that have vanished
    meanwhile: Difference


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Beside:
    """Servers, ports and agents of some instances."""

    servers: Mapping[str, CloudServer]
    naming: Mapping[str, Sequence[NetworkPort]]  #: ports with a server's id, by that
    agents: Mapping[str, str]

    def ports_of(self, server_id: str | None) -> PortsOfServer:
        server = self.servers.get(server_id or '')
        return PortsOfServer() if server is None else told_apart(server, self.naming[server.id])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inventory:
    """Asks Trove's tables, Nova and Neutron; changes nothing."""

    instances: AllInstances
    servers: CloudServers
    network: Network

    def look(self) -> Taken:
        """Take the inventory, between two looks at the ids of all instances.  Raises as `take`."""
        before = self.instances.ids()
        listed = self.take()
        found = meanwhile(before, (one.instance_id for one in listed), self.instances.ids())
        return Taken(listed=listed, meanwhile=found)

    def take(self) -> tuple[Listed, ...]:
        """Return all instances, by id.

        :raises ComputeUnavailable, NetworkUnavailable: Nova or Neutron gives no answer.
        """
        servers = {server.id: server for server in self.servers.of_all_projects()}
        found: dict[str, Listed] = {}
        for page in self.instances.pages():
            beside = self._beside(page, servers)
            found |= {instance.id: _listed(instance, beside) for instance in page}
        for rest in self.instances.pages_without_version():
            beside = self._beside(rest, servers)
            # one that was read with its version, a moment ago, stays as it was read
            found = {one.id: _without_version(one, beside) for one in rest} | found
        return tuple(found[instance_id] for instance_id in sorted(found))

    def _beside(
        self, page: Sequence[Instance | Unversioned], servers: Mapping[str, CloudServer]
    ) -> _Beside:
        naming: dict[str, list[NetworkPort]] = {
            instance.server_id: [] for instance in page if instance.server_id
        }
        for port in self.network.ports_that_name(list(naming)):
            naming.setdefault(port.server_id, []).append(port)
        agents = self.instances.agents([instance.id for instance in page])
        return _Beside(servers=servers, naming=naming, agents=agents)


def _listed(instance: Instance, beside: _Beside) -> Listed:
    server = beside.servers.get(instance.server_id or '')
    ports = beside.ports_of(instance.server_id)
    agent_version = beside.agents.get(instance.id)
    return Listed(
        instance_id=instance.id,
        name=instance.name,
        project_id=instance.project_id,
        server_id=instance.server_id,
        server_status=None if server is None else server.status,
        datastore=instance.version.datastore_name,
        version=instance.version.name,
        agent_version=agent_version,
        ports=ports.own,
        obstacle=obstacle_of(instance, server, ports.own, agent_version),
        foreign_ports=ports.foreign,
        hypervisor=None if server is None else server.hypervisor,
    )


def _without_version(instance: Unversioned, beside: _Beside) -> Listed:
    server = beside.servers.get(instance.server_id or '')
    ports = beside.ports_of(instance.server_id)
    return Listed(
        instance_id=instance.id,
        name=instance.name,
        project_id=instance.project_id,
        server_id=instance.server_id,
        server_status=None if server is None else server.status,
        datastore=None,
        version=None,
        agent_version=beside.agents.get(instance.id),
        ports=ports.own,
        obstacle=Obstacle.VERSION_GONE,
        foreign_ports=ports.foreign,
        hypervisor=None if server is None else server.hypervisor,
    )


def read_list(path: str, text: str) -> tuple[str, ...]:
    """Return the ids in an operator's list: one per line, or a CSV with a header that names them.

    :raises ListUnreadable: a line has none.
    """
    lines = [line for line in text.removeprefix('\ufeff').splitlines() if line.strip()]
    if not lines:
        return ()
    if _is_id(lines[0].strip()):
        return _checked(path, [line.strip() for line in lines])
    rows = csv.DictReader(io.StringIO('\n'.join(lines)))
    names = {(name or '').strip().casefold(): name for name in rows.fieldnames or ()}
    column = names.get('instance_id', names.get('id'))
    if column is None:
        raise ListUnreadable(path=path, found=f'its first line is no id and names none: {lines[0]}')
    return _checked(path, [(row.get(column) or '').strip() for row in rows])


def _checked(path: str, ids: Sequence[str]) -> tuple[str, ...]:
    for number, found in enumerate(ids, 1):
        if not _is_id(found):
            raise ListUnreadable(path=path, found=f'entry {number} is {found!r}, which is no id')
    return tuple(ids)


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.casefold()
    except ValueError:
        return False
