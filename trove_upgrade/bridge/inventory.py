# SPDX-License-Identifier: Apache-2.0
"""Takes the inventory: every instance of every project, with its server and all its NICs."""

import csv
import dataclasses
import io
import uuid
from collections.abc import Sequence

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.instances import Instance
from trove_upgrade.domain.inventory import (
    AllInstances,
    CloudServer,
    CloudServers,
    Listed,
    obstacle_of,
)
from trove_upgrade.domain.network import Network, NetworkPort


class ListUnreadable(exceptions.TroveUpgradeError):
    """A list of instances that an operator has named has a line without an id."""

    code = 'INSTANCE_LIST_UNREADABLE'
    template = (
        'The list {path} cannot be compared: {found}. Write one id of an instance per line, or a '
        'CSV whose header has a column "id" or "instance_id".'
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inventory:
    """Asks Trove's tables, Nova and Neutron; changes nothing."""

    instances: AllInstances
    servers: CloudServers
    network: Network

    def take(self) -> tuple[Listed, ...]:
        """Return all instances, by id.

        :raises ComputeUnavailable, NetworkUnavailable: Nova or Neutron gives no answer.
        """
        servers = {server.id: server for server in self.servers.of_all_projects()}
        found: list[Listed] = []
        for page in self.instances.pages():
            found += self._joined(page, servers)
        return tuple(sorted(found, key=lambda one: one.instance_id))

    def _joined(self, page: Sequence[Instance], servers: dict[str, CloudServer]) -> list[Listed]:
        agents = self.instances.agents([instance.id for instance in page])
        ports: dict[str, list[NetworkPort]] = {}
        ids = [instance.server_id for instance in page if instance.server_id]
        for port in self.network.ports_of_servers(ids):
            ports.setdefault(port.server_id, []).append(port)
        return [
            _listed(
                instance,
                servers.get(instance.server_id or ''),
                tuple(ports.get(instance.server_id or '', ())),
                agents.get(instance.id),
            )
            for instance in page
        ]


def _listed(
    instance: Instance,
    server: CloudServer | None,
    ports: tuple[NetworkPort, ...],
    agent_version: str | None,
) -> Listed:
    return Listed(
        instance_id=instance.id,
        name=instance.name,
        project_id=instance.project_id,
        server_id=instance.server_id,
        server_status=None if server is None else server.status,
        datastore=instance.version.datastore_name,
        version=instance.version.name,
        agent_version=agent_version,
        ports=ports,
        obstacle=obstacle_of(instance, server, ports, agent_version),
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
