# SPDX-License-Identifier: Apache-2.0
"""Which driver serves which datastore manager, and where its server runs."""
import dataclasses

from trove_upgrade.guestagent import service as service_module
from trove_upgrade.guestagent.containers.engine import Engine
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.container.mariadb import MariaDBContainerDriver
from trove_upgrade.guestagent.datastores.container.mysql import MySQLContainerDriver
from trove_upgrade.guestagent.datastores.container.watchers import Watchers
from trove_upgrade.guestagent.datastores.mariadb import MariaDBDriver
from trove_upgrade.guestagent.datastores.mysql import MySQLDriver

#: Values of database_runtime and of the fact of that name in an image.
SERVICE, CONTAINER, AUTO = 'service', 'container', 'auto'

_FAMILY = {driver_class.manager: driver_class for driver_class in (MariaDBDriver, MySQLDriver)}
_IN_CONTAINERS = {driver_class.manager: driver_class for driver_class in (MariaDBContainerDriver, MySQLContainerDriver)}


@dataclasses.dataclass(frozen=True)
class Containers:
    """What it takes to run the server in a container."""

    engine: Engine
    repository: str        #: docker_image of Trove's configuration
    watchers: Watchers
    number: str | None = None   #: of the datastore version that this root disk is for, as user data says


def driver(manager: str, context: base.DriverContext, service: service_module.ServicePort,
           containers: Containers | None = None) -> base.DatastoreDriver:
    """The driver of `manager`; one that refuses everything, and names the manager, where there is none.

    With `containers` the server runs in one; without, it is a service of the guest.
    """
    if containers is not None and manager in _IN_CONTAINERS:
        return _IN_CONTAINERS[manager](context, service, containers.engine, repository=containers.repository, watchers=containers.watchers,
                                       number=containers.number)
    if containers is None and manager in _FAMILY:
        return _FAMILY[manager](context, service)
    refusing = base.DatastoreDriver(context)
    refusing.manager = manager
    return refusing


def runtime(wanted: str, context: base.DriverContext, service: service_module.ServicePort) -> str:
    """Where the server runs: as the operator says, else as the image says, else a container if no database is installed as a
    service and an engine is.

    An engine that does not answer yet, as right after a boot, makes no difference.
    """
    told = wanted if wanted != AUTO else str(context.image_facts.get('database_runtime') or AUTO)
    if told in {SERVICE, CONTAINER}:
        return told
    if any(service.exists(name) for name in service_module.DATABASE_UNITS):
        return SERVICE
    root = context.etc.parent
    places = (root / 'run/docker.sock', root / 'usr/bin/dockerd', root / 'usr/sbin/dockerd', root / 'usr/local/bin/dockerd')
    return CONTAINER if any(place.exists() for place in places) else SERVICE
