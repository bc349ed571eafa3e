# SPDX-License-Identifier: Apache-2.0
"""MariaDB."""

from trove_upgrade.guestagent.datastores.mysql_family.dialect import MariaDB
from trove_upgrade.guestagent.datastores.mysql_family.driver import FamilyDriver


class MariaDBDriver(FamilyDriver):
    """MariaDB 10.4 to 11.8 as measured; others by the same rules."""

    manager = 'mariadb'
    title = 'MariaDB'
    dialect = MariaDB()
