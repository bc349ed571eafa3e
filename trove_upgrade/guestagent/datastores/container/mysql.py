# SPDX-License-Identifier: Apache-2.0
"""MySQL in Trove's container.  No image of it could be had here: by MySQL's own documentation, and
by what is the same as MariaDB.
"""

from trove_upgrade.guestagent.datastores.container import backup_images, definition, trial
from trove_upgrade.guestagent.datastores.container.driver import ContainerDriver
from trove_upgrade.guestagent.datastores.container.record import Record
from trove_upgrade.guestagent.datastores.mysql import MySQLDriver


class MySQLContainerDriver(ContainerDriver, MySQLDriver):
    """The server upgrades its data while it starts; its image validates the configuration without a
    start.
    """

    backup_image_names = staticmethod(backup_images.by_name_for_mysql)

    def _trial_script(self, record: Record) -> str:
        return trial.of_mysql(definition.options(record.definition))
