# SPDX-License-Identifier: Apache-2.0
"""Which driver serves which datastore manager."""
from trove_upgrade.guestagent import service as service_module
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mariadb import MariaDBDriver
from trove_upgrade.guestagent.datastores.mysql import MySQLDriver

_FAMILY = {driver_class.manager: driver_class for driver_class in (MariaDBDriver, MySQLDriver)}


def driver(manager: str, context: base.DriverContext, service: service_module.ServicePort) -> base.DatastoreDriver:
    """The driver of `manager`; one that refuses everything, and names the manager, where there is none."""
    family = _FAMILY.get(manager)
    if family is not None:
        return family(context, service)
    refusing = base.DatastoreDriver(context)
    refusing.manager = manager
    return refusing
