# SPDX-License-Identifier: Apache-2.0
"""Drivers by datastore manager, and by where the server runs."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import places
from trove_upgrade.guestagent.datastores.mysql_family.datastore import Datastore
from trove_upgrade.guestagent.datastores.mysql_family.engines.engine import Engine
from trove_upgrade.guestagent.datastores.mysql_family.engines.mariadb import MariaDB
from trove_upgrade.guestagent.datastores.mysql_family.engines.mysql import MySQL
from trove_upgrade.guestagent.datastores.mysql_family.hosts.container_host import (
    ContainerHost,
    Containers,
)
from trove_upgrade.guestagent.datastores.mysql_family.hosts.host import HostPorts
from trove_upgrade.guestagent.datastores.mysql_family.hosts.service_host import USER, ServiceHost
from trove_upgrade.guestagent.datastores.mysql_family.programs import Programs
from trove_upgrade.guestagent.machine import service as service_module
from trove_upgrade.guestagent.machine.packet_filter import PacketFilter
from trove_upgrade.guestagent.storage import layout
from trove_upgrade.guestagent.trove.trove_agent_control import TroveAgentControl

#: Values of the fact database_runtime of an image, and of the option of that name.
SERVICE, CONTAINER = 'service', 'container'

#: Below the root: where a container engine is.
_ENGINES = ('run/docker.sock', 'usr/bin/dockerd', 'usr/sbin/dockerd', 'usr/local/bin/dockerd')

_ENGINES_BY_MANAGER: Mapping[str, Engine] = {
    engine.manager: engine for engine in (MariaDB(), MySQL())
}


def managers() -> frozenset[str]:
    """Return the managers of datastores that there is a driver for."""
    return frozenset(_ENGINES_BY_MANAGER)


def mount_point(manager: str) -> str:
    """Return where the volume of `manager` is mounted, below the root."""
    return places.MOUNT_POINT if manager in _ENGINES_BY_MANAGER else layout.NO_DATASTORE


def driver(
    manager: str,
    context: base.DriverContext,
    service: service_module.ServicePort,
    containers: Containers | None = None,
    trove_agent: TroveAgentControl | None = None,
    packets: PacketFilter | None = None,
) -> base.DatastoreDriver:
    """The driver of `manager`; one that refuses everything, and names the manager, where there is
    none.

    With `containers` the server runs in one; without, it is a service of the guest, `trove_agent`
    is beside it, and `packets` keeps clients from it.
    """
    engine = _ENGINES_BY_MANAGER.get(manager)
    if engine is None:
        refusing = base.DatastoreDriver(context)
        refusing.manager = manager
        return refusing
    if containers is not None:
        return in_container(engine, context, service, containers)
    return as_service(engine, context, service, trove_agent=trove_agent, packets=packets)


def as_service(
    engine: Engine,
    context: base.DriverContext,
    service: service_module.ServicePort,
    ports: HostPorts | None = None,
    *,
    runs: Programs | None = None,
    scratch_places: Sequence[pathlib.Path] | None = None,
    user: str = USER,
    trove_agent: TroveAgentControl | None = None,
    packets: PacketFilter | None = None,
) -> Datastore:
    """An engine that is a service of the guest; the named parts are those of `ServiceHost`."""
    ports = ports or HostPorts()
    host = ServiceHost(
        context,
        engine,
        service,
        ports,
        runs=runs,
        scratch_places=scratch_places,
        user=user,
        trove_agent=trove_agent,
        packets=packets,
    )
    return Datastore(context, engine, host, ports)


def in_container(
    engine: Engine,
    context: base.DriverContext,
    service: service_module.ServicePort,
    containers: Containers,
    ports: HostPorts | None = None,
) -> Datastore:
    """An engine in Trove's container."""
    ports = ports or HostPorts()
    host = ContainerHost(context, engine, service, ports, containers)
    return Datastore(context, engine, host, ports)


@dataclasses.dataclass(frozen=True)
class Runtime:
    """Place of the server, a service or a container, and how it is known."""

    name: str  #: SERVICE or CONTAINER
    why: str  #: a sentence; for an operator whose image says something else than was meant

    def __str__(self) -> str:
        where = "in Trove's container" if self.in_container else 'as a service'
        return f'The agent takes the database to run {where}: {self.why}'

    @property
    def in_container(self) -> bool:
        """Return whether it is Trove's container."""
        return self.name == CONTAINER


def runtime(
    setting: str, context: base.DriverContext, service: service_module.ServicePort
) -> Runtime:
    """Tell where the server runs: as the operator says, else as the image's facts say, else by what
    is installed.

    A unit that is only there, ours as well as a masked one, is no server: an image for containers
    can have it, too.  An engine that does not answer yet, as right after a boot, makes no
    difference.
    """
    if setting in {SERVICE, CONTAINER}:
        return Runtime(setting, f'option database_runtime is {setting}.')
    told = context.image_facts.database_runtime
    if told in {SERVICE, CONTAINER}:
        return Runtime(told, f'image-facts.json says database_runtime {told}.')
    return _guessed(context.etc.parent, service)


def _guessed(root: pathlib.Path, service: service_module.ServicePort) -> Runtime:
    """An engine can be there for something else; a server that is installed is the database."""
    end = 'image-facts.json names no database_runtime.'
    program = next((place for place in places.SERVERS if (root / place).exists()), None)
    if program is not None:
        return Runtime(SERVICE, f'/{program} is installed, and {end}')
    unit = next((name for name in places.UNITS if service.is_enabled(name)), None)
    if unit is not None:
        return Runtime(SERVICE, f'service {unit} is enabled, and {end}')
    engine = next((place for place in _ENGINES if (root / place).exists()), None)
    if engine is not None:
        return Runtime(CONTAINER, f'/{engine} is there, no database server is installed, and {end}')
    return Runtime(SERVICE, f'no container engine is installed, and {end}')
