# SPDX-License-Identifier: Apache-2.0
"""The rows of one table that this process holds, and until when, as far as it can know.

A lease is counted here from before it was asked for, by the monotonic clock: it ends here no later
than in the database.  So an act that `require` lets through goes out while no other taskmanager can
have the row.
"""

import contextlib
import dataclasses
import functools
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from trove_upgrade.domain import exceptions, leases, ports, upgrade_checks

Row = TypeVar('Row')


@dataclasses.dataclass
class _Holding:
    """One claim.  Another claim of the same row is another object."""

    valid_until: float  #: the lease's own end
    works_until: float  #: the keeper renews it no longer
    is_lost: bool = False


class Holdings:
    """Safe to share between threads: workers claim and act, the keeper's thread renews."""

    def __init__(
        self,
        held: leases.Leases,
        clock: ports.Clock,
        owner: str,
        lease_seconds: float,
        *,
        lost: Callable[[str], exceptions.LeaseLost],
    ) -> None:
        """`lost` makes the error of a row that is held no more, from its id."""
        self._leases = held
        self._clock = clock
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._lost = lost
        self._lock = threading.Lock()
        self._held: dict[str, _Holding] = {}

    @property
    def owner(self) -> str:
        """Return the name of this process in the rows that it holds."""
        return self._owner

    @contextlib.contextmanager
    def claimed(self, row_id: str, claim: Callable[[str, str, float], Row]) -> Iterator[Row]:
        """Claim a row, and hold it for as long as the context lasts and its runs may take.

        Leaving the context lets go of nothing in the database: that is done by what is saved, or,
        after an error, by the end of the lease.

        :raises LeaseLost: another taskmanager holds it, or it has ended.
        """
        until = self._clock.monotonic() + self._lease_seconds
        row = claim(row_id, self._owner, self._lease_seconds)
        holding = _Holding(valid_until=until, works_until=until)
        with self._lock:
            self._held[row_id] = holding
        try:
            yield row
        finally:
            with self._lock:
                if self._held.get(row_id) is holding:
                    del self._held[row_id]

    def works(self, row_id: str, seconds: float) -> None:
        """Renew the lease for as long as a run may take that begins now: one that hangs is
        overtaken.

        :raises LeaseLost: see `require`.
        """
        with self._lock:
            self._valid(row_id).works_until = self._clock.monotonic() + seconds

    def require(self, row_id: str) -> None:
        """Refuse an act for a row that another taskmanager may have by now.

        :raises LeaseLost: the lease was lost, or has run out as far as this process knows.
        """
        with self._lock:
            self._valid(row_id)

    def renew(self) -> None:
        """Renew the leases of all rows that are worked on.  Raises as the database does."""
        since = self._clock.monotonic()
        with self._lock:
            asked = {
                row_id: holding
                for row_id, holding in self._held.items()
                if not holding.is_lost and holding.works_until > since
            }
        if not asked:
            return
        still = self._leases.renew(self._owner, asked.keys(), self._lease_seconds)
        with self._lock:
            for row_id, holding in asked.items():
                if row_id in still:
                    holding.valid_until = since + self._lease_seconds
                elif self._held.get(row_id) is holding:
                    holding.is_lost = True

    def _valid(self, row_id: str) -> _Holding:
        holding = self._held.get(row_id)
        if holding is None or holding.is_lost or self._clock.monotonic() >= holding.valid_until:
            raise self._lost(row_id)
        return holding


def _lost_upgrade(row_id: str) -> exceptions.LeaseLost:
    return leases.LeaseOver(upgrade_id=row_id)


def _lost_check(row_id: str) -> exceptions.LeaseLost:
    return upgrade_checks.CheckTaken(check_id=row_id)


#: The upgrades, and the checks, that this process holds: none yet.
of_upgrades = functools.partial(Holdings, lost=_lost_upgrade)
of_checks = functools.partial(Holdings, lost=_lost_check)
