# SPDX-License-Identifier: Apache-2.0
"""Recovery: finds rows that no taskmanager works on, and puts them back in the queue; it executes
nothing.

A row of a dead taskmanager, one with a lost nudge and one that has come to its time all look the
same: due, with a free lease.  So they share one claim.  The lease of one that has died on this very
host is ended here, as its death can be seen; one of another host is waited for.
"""

import dataclasses
from collections.abc import Callable, Sequence

from trove_upgrade.domain import actions, leases, logs, ports
from trove_upgrade.domain.turn import Turn
from trove_upgrade.taskmanager.outages import Outages

LOG = logs.get_logger(__name__)

_DUE = 'The database could not be asked for what is due'


@dataclasses.dataclass(frozen=True)
class Holds:
    """Upgrades that are HELD, and the way to the queue of those that are to be looked at."""

    rows: actions.UpgradeHolds
    put: Callable[[Turn], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recovery:
    """One look at the tables."""

    upgrades: ports.UpgradeRepository
    checks: ports.UpgradeCheckRepository
    put_upgrade: Callable[[Turn], None]
    put_check: Callable[[Turn], None]
    holds: Holds | None = None  #: None: no upgrade is held
    held: Sequence[leases.Leases] = ()
    has_ended: leases.HasEnded = lambda _owner: False
    limit: int = 500  #: rows of one look; the next look finds the others
    outages: Outages = dataclasses.field(default_factory=Outages)

    def run_once(self) -> None:
        """Put back what is due.  Never raises: a database that is away is
        asked again at the next look.
        """
        try:
            self._end_leases_of_the_dead()
            for turn in self.upgrades.due(self.limit):
                self.put_upgrade(turn)
            for turn in self.checks.due(self.limit):
                self.put_check(turn)
            if self.holds is not None:
                for turn in self.holds.rows.due(self.limit):
                    self.holds.put(turn)
        except Exception as error:  # noqa: BLE001 - the edge of a thread; `outages` logs it
            self.outages.met(_DUE, error)
        else:
            self.outages.over(_DUE)

    def _end_leases_of_the_dead(self) -> None:
        for held in self.held:
            for owner in held.owners():
                if self.has_ended(owner):
                    count = held.expire(owner)
                    LOG.info('Taskmanager %s has ended: %d rows of it are free', owner, count)
