# SPDX-License-Identifier: Apache-2.0
"""Engine MariaDB: its manager's name, its programs and its dialect."""

from collections.abc import Sequence

from trove_upgrade.guestagent.datastores.mysql_family import isolated, option_files
from trove_upgrade.guestagent.datastores.mysql_family.container import trial
from trove_upgrade.guestagent.datastores.mysql_family.dialect import MariaDB as MariaDBDialect
from trove_upgrade.guestagent.datastores.mysql_family.engines.engine import Engine


class MariaDB(Engine):
    """MariaDB 10.4 to 11.8 as measured, 10.11 to 11.8 in containers; others by the same rules."""

    manager = 'mariadb'
    dialect = MariaDBDialect()
    behind_a_filter = isolated.BEHIND_A_FILTER
    isolated = isolated.WITHOUT_TLS
    tells_changes = True
    #: For io_uring.  Source: trove/guestagent/datastore/mariadb/service.py (Trove 26).
    privileged_container = True

    def trial_script(
        self, options: Sequence[str], configuration: option_files.Configuration
    ) -> str:
        return trial.of_mariadb(options, configuration)
