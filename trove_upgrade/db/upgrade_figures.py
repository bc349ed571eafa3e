# SPDX-License-Identifier: Apache-2.0
"""Figures of `instance_upgrades` as a whole, for a monitoring system."""

from collections.abc import Mapping

import sqlalchemy as sa

from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import instance_upgrades as _upgrades
from trove_upgrade.domain.states import UpgradeState

#: Read from the index of states alone.
_BY_STATE = sa.select(_upgrades.c.state, sa.func.count()).group_by(_upgrades.c.state)


class UpgradeFigures:
    """Numbers of upgrades in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def by_state(self) -> Mapping[UpgradeState, int]:
        """Return how many there are of each state, those of later releases too; a state without
        any is left out.
        """
        with self._database.read() as connection:
            found = connection.execute(_BY_STATE).all()
        return {UpgradeState(state): number for state, number in found}
