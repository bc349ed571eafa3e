# SPDX-License-Identifier: Apache-2.0
"""MariaDB in Trove's container."""

from trove_upgrade.guestagent.datastores.container.driver import ContainerDriver
from trove_upgrade.guestagent.datastores.mariadb import MariaDBDriver


class MariaDBContainerDriver(ContainerDriver, MariaDBDriver):
    """MariaDB 10.11 to 11.8 as measured; others by the same rules."""

    #: For io_uring.  Source: trove/guestagent/datastore/mariadb/service.py (Trove 26).
    privileged = True
