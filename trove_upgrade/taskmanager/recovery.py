# SPDX-License-Identifier: Apache-2.0
"""Recovery: finds rows that nobody works on, and puts them back in the queue; it executes nothing.

A row of a dead taskmanager, one whose nudge was lost and one whose time has come all look the same: due, with a free lease.  So
they share one claim.
"""
import dataclasses
import logging
from collections.abc import Callable

from trove_upgrade.domain import ports

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Recovery:
    """One look at the tables."""

    upgrades: ports.UpgradeRepository
    checks: ports.UpgradeCheckRepository
    put_upgrade: Callable[[str], None]
    put_check: Callable[[str], None]
    limit: int = 500             #: rows of one look; the next look finds the others

    def look(self) -> None:
        """Put back what is due.  Never raises: a database that is away is asked again at the next look."""
        try:
            for upgrade_id in self.upgrades.due(self.limit):
                self.put_upgrade(upgrade_id)
            for check_id in self.checks.due(self.limit):
                self.put_check(check_id)
        except Exception:
            LOG.exception('The database could not be asked for what is due; it is asked again at the next look')
