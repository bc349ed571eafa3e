# SPDX-License-Identifier: Apache-2.0
"""Leases: rows that one taskmanager works on, until an end by the database's clock that it moves
ahead while it lives.
"""

import dataclasses
from collections.abc import Callable, Collection
from typing import Protocol

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.instances import ServiceStatus
from trove_upgrade.domain.upgrades import Upgrade

#: Returns whether the process of this owner has ended for certain: never by guessing.
HasEnded = Callable[[str], bool]


class LeaseOver(exceptions.LeaseLost):
    """The lease was not renewed in time: another taskmanager may have the row by now."""

    template = (
        'The lease of upgrade {upgrade_id} could not be renewed in time, or another taskmanager '
        'has the upgrade by now. Nothing was done; its holder goes on with it.'
    )


class AbortedMeanwhile(exceptions.LeaseLost):
    """Abort of an upgrade on request, which has taken the row from its holder: stop at once and
    write nothing.
    """

    code = 'ABORTED_ON_REQUEST'
    template = (
        'Upgrade {upgrade_id} was aborted on request while it was worked on: generation '
        '{generation} has been overtaken. Nothing was written; what the guest has done is undone '
        'next.'
    )


@dataclasses.dataclass(frozen=True)
class Renewal:
    """Rows of one renewal.  Those that are in neither set could not be asked for in time: their
    leases end as they would have.
    """

    renewed: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()  #: taken over, or ended
    error: Exception | None = None  #: met at the last row that could not be asked for

    def with_one(self, other: 'Renewal') -> 'Renewal':
        """Return both in one."""
        return Renewal(
            self.renewed | other.renewed, self.lost | other.lost, other.error or self.error
        )


class Leases(Protocol):
    """The leases on the rows of one table.  They are compared by the database's clock."""

    def renew(self, owner: str, row_ids: Collection[str], lease_seconds: float) -> Renewal:
        """Let the leases of `owner` on these rows end that many seconds from now, in one statement;
        in one for each where others hold up that one.

        Never raises for what the database does: the error is in what is returned.
        """

    def owners(self) -> Collection[str]:
        """Return the owners of leases that have not run out."""

    def expire(self, owner: str) -> int:
        """Let every lease of an owner that has ended for certain run out now; return how many."""


class HeldUpgrades(Leases, Protocol):
    """The leases on upgrades, and what is written under them beside the journal."""

    def announce_post(self, held: Upgrade, seconds: float) -> Upgrade:
        """Write that a call to Nova may be under way for that many seconds from now on.

        :raises LeaseLost: overtaken; nothing was written.
        """

    def post_seconds_left(self, upgrade: Upgrade) -> float:
        """Return for how long a call to Nova that was announced may still be under way; 0: it has
        ended.
        """

    def tell(self, held: Upgrade, status: ServiceStatus) -> None:
        """Write the service status of the upgrade's instance.

        :raises LeaseLost: overtaken; nothing was written.
        """


class LeaseCheck(Protocol):
    """Knowledge of this process about its own leases."""

    def require(self, row_id: str) -> None:
        """Refuse an act for a row that another taskmanager may have by now.

        :raises LeaseLost: the lease was lost, or has run out as far as this process knows.
        """
