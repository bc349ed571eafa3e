# SPDX-License-Identifier: Apache-2.0
"""Instances as the bridge finds them: Trove's rows with Nova's servers and Neutron's ports."""

import dataclasses
import enum
from collections.abc import Iterable, Sequence
from typing import Protocol

from trove_upgrade.domain.compute import ServerStatus, ShownNic
from trove_upgrade.domain.instances import Instance, Task
from trove_upgrade.domain.network import NetworkPort

#: Managers of datastores that our agent has a driver for.
DRIVEN_MANAGERS = frozenset({'mariadb', 'mysql'})


class Obstacle(enum.StrEnum):
    """Reason why the bridge leaves an instance out."""

    VERSION_GONE = 'VERSION_GONE'  #: Trove's tables no longer have its datastore version
    NO_SERVER = 'NO_SERVER'  #: Trove's row names none
    SERVER_NOT_FOUND = 'SERVER_NOT_FOUND'  #: Nova does not have the one that it names
    SERVER_NOT_ACTIVE = 'SERVER_NOT_ACTIVE'
    NO_PORT = 'NO_PORT'  #: Neutron has none with an address that Nova shows, too
    BUSY = 'BUSY'  #: Trove has a task on it
    IN_CLUSTER = 'IN_CLUSTER'  #: upgrades of clusters are refused
    NO_DRIVER = 'NO_DRIVER'  #: our agent has none for its datastore
    HAS_AGENT = 'HAS_AGENT'  #: ours is in it and was heard: it needs no bridge
    NO_TARGET = 'NO_TARGET'  #: the version that was named does not follow its own


@dataclasses.dataclass(frozen=True, kw_only=True)
class CloudServer:
    """A server as a list of all projects' shows it."""

    id: str
    project_id: str
    status: str
    nics: tuple[ShownNic, ...] = ()
    hypervisor: str | None = None  #: None: Nova does not tell this login


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listed:
    """An instance, its server and all its NICs."""

    instance_id: str
    name: str
    project_id: str
    server_id: str | None
    server_status: str | None  #: Nova's; None: it has no such server
    datastore: str | None  #: None: its version is gone
    version: str | None
    agent_version: str | None  #: of ours, as it was last heard; None: never
    ports: tuple[NetworkPort, ...]
    obstacle: Obstacle | None  #: None: the bridge can be tried
    #: with the server's id, and not shown at it by Nova: left out
    foreign_ports: tuple[NetworkPort, ...] = ()
    hypervisor: str | None = None  #: None: not known


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """Comparison of two lists of instances, by id."""

    missing: tuple[str, ...]  #: in the other list alone
    more: tuple[str, ...]  #: in this one alone

    @property
    def is_none(self) -> bool:
        """Return whether both lists have the same instances."""
        return not self.missing and not self.more


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unversioned:
    """Instance whose datastore version has no row any more: no upgrade can begin from it."""

    id: str
    name: str
    project_id: str
    server_id: str | None


class CloudServers(Protocol):
    """Nova's servers of all projects."""

    def of_all_projects(self) -> Sequence[CloudServer]:
        """Return every server that this login sees.

        :raises ComputeUnavailable: no answer.
        """

    def server(self, server_id: str) -> CloudServer:
        """Return a server now.

        :raises ServerNotFound: this login sees no such server.
        :raises ComputeUnavailable: no answer.
        """


class AllInstances(Protocol):
    """Trove's instances of all projects."""

    def ids(self) -> frozenset[str]:
        """Return the ids of all that are not deleted, from their own rows alone."""

    def pages(self) -> Iterable[Sequence[Instance]]:
        """Yield every instance that is not deleted and has a version, members of clusters too."""

    def pages_without_version(self) -> Iterable[Sequence[Unversioned]]:
        """Yield those that are not deleted and have none."""

    def agents(self, instance_ids: Sequence[str]) -> dict[str, str]:
        """Return the version of our agent in each of these guests that it was heard of."""


def obstacle_of(
    instance: Instance,
    server: CloudServer | None,
    ports: Sequence[NetworkPort],
    agent_version: str | None,
) -> Obstacle | None:
    """Return the first reason to leave an instance out; None: there is none."""
    reasons = {
        Obstacle.NO_SERVER: instance.server_id is None,
        Obstacle.IN_CLUSTER: instance.cluster_id is not None,
        Obstacle.NO_DRIVER: instance.version.manager not in DRIVEN_MANAGERS,
        Obstacle.SERVER_NOT_FOUND: server is None,
        Obstacle.SERVER_NOT_ACTIVE: server is not None and server.status != ServerStatus.ACTIVE,
        Obstacle.BUSY: instance.task is not Task.NONE,
        Obstacle.NO_PORT: not any(port.addresses for port in ports),
        Obstacle.HAS_AGENT: agent_version is not None,  # the last: a run may upgrade it
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def meanwhile(before: Iterable[str], listed: Iterable[str], after: Iterable[str]) -> Difference:
    """Compare two looks at the ids, before and after a list was made: `missing` has appeared since
    or is not in the list, `more` has vanished.
    """
    first, last = set(before), set(after)
    return Difference(
        missing=tuple(sorted(last - (first & set(listed)))), more=tuple(sorted(first - last))
    )


def difference(found: Iterable[str], other: Iterable[str]) -> Difference:
    """Compare the ids that were found with another list of ids."""
    mine, theirs = set(found), set(other)
    return Difference(missing=tuple(sorted(theirs - mine)), more=tuple(sorted(mine - theirs)))
