# SPDX-License-Identifier: Apache-2.0
"""Drivers by datastore manager, and by where the server runs."""

import dataclasses
import pathlib
from collections.abc import Sequence

from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.container.mariadb import MariaDBContainerDriver
from trove_upgrade.guestagent.datastores.container.mysql import MySQLContainerDriver
from trove_upgrade.guestagent.datastores.mariadb import MariaDBDriver
from trove_upgrade.guestagent.datastores.mysql import MySQLDriver
from trove_upgrade.guestagent.machine import service as service_module
from trove_upgrade.guestagent.machine.containers.engine import Engine
from trove_upgrade.guestagent.trove.trove_agent_control import TroveAgentControl

#: Values of database_runtime and of the fact of that name in an image.
SERVICE, CONTAINER, AUTO = 'service', 'container', 'auto'

#: Below the root: where the database service looks for a server, and where an engine is.
_SERVERS = ('usr/sbin/mariadbd', 'usr/sbin/mysqld', 'usr/libexec/mysqld')
_ENGINES = ('run/docker.sock', 'usr/bin/dockerd', 'usr/sbin/dockerd', 'usr/local/bin/dockerd')

_FAMILY = {driver_class.manager: driver_class for driver_class in (MariaDBDriver, MySQLDriver)}
_IN_CONTAINERS = {
    driver_class.manager: driver_class
    for driver_class in (MariaDBContainerDriver, MySQLContainerDriver)
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Containers:
    """Parts that run the server in a container."""

    engine: Engine
    repository: str  #: docker_image of Trove's configuration
    trove_agent: TroveAgentControl
    backup_repository: str | None = None  #: backup_docker_image of Trove's configuration
    repositories: Sequence[str] = ()  #: whose images are taken besides
    #: of the datastore version that this root disk is for, as user data says
    number: str | None = None


def driver(
    manager: str,
    context: base.DriverContext,
    service: service_module.ServicePort,
    containers: Containers | None = None,
) -> base.DatastoreDriver:
    """The driver of `manager`; one that refuses everything, and names the manager, where there is
    none.

    With `containers` the server runs in one; without, it is a service of the guest.
    """
    if containers is not None and manager in _IN_CONTAINERS:
        return _IN_CONTAINERS[manager](
            context,
            service,
            containers.engine,
            repository=containers.repository,
            trove_agent=containers.trove_agent,
            backup_repository=containers.backup_repository,
            repositories=containers.repositories,
            number=containers.number,
        )
    if containers is None and manager in _FAMILY:
        return _FAMILY[manager](context, service)
    refusing = base.DatastoreDriver(context)
    refusing.manager = manager
    return refusing


@dataclasses.dataclass(frozen=True)
class Runtime:
    """Where the server runs, and how that is known."""

    name: str  #: SERVICE or CONTAINER
    why: str  #: a sentence; for an operator whose image says something else than he meant

    def __str__(self) -> str:
        where = "in Trove's container" if self.in_container else 'as a service'
        return f'The agent takes the database to run {where}: {self.why}'

    @property
    def in_container(self) -> bool:
        """Return whether it is Trove's container."""
        return self.name == CONTAINER


def runtime(
    wanted: str, context: base.DriverContext, service: service_module.ServicePort
) -> Runtime:
    """As the operator says, else as the image's facts say, else by what is installed.

    A unit that is only there, ours as well as a masked one, is no server: an image for containers
    can have it, too.  An engine that does not answer yet, as right after a boot, makes no
    difference.
    """
    if wanted in {SERVICE, CONTAINER}:
        return Runtime(wanted, f'option database_runtime is {wanted}.')
    told = context.image_facts.get('database_runtime')
    if told in {SERVICE, CONTAINER}:
        return Runtime(str(told), f'image-facts.json says database_runtime {told}.')
    return _guessed(context.etc.parent, service)


def _guessed(root: pathlib.Path, service: service_module.ServicePort) -> Runtime:
    """An engine can be there for something else; a server that is installed is the database."""
    end = 'image-facts.json names no database_runtime.'
    program = next((place for place in _SERVERS if (root / place).exists()), None)
    if program is not None:
        return Runtime(SERVICE, f'/{program} is installed, and {end}')
    unit = next((name for name in service_module.DATABASE_UNITS if service.is_enabled(name)), None)
    if unit is not None:
        return Runtime(SERVICE, f'service {unit} is enabled, and {end}')
    engine = next((place for place in _ENGINES if (root / place).exists()), None)
    if engine is not None:
        return Runtime(CONTAINER, f'/{engine} is there, no database server is installed, and {end}')
    return Runtime(SERVICE, f'no container engine is installed, and {end}')
