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
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from trove_upgrade.domain import exceptions, leases, logs, ports, upgrade_checks

LOG = logs.get_logger(__name__)

Row = TypeVar('Row')

_LOOK = (
    'It was being worked on here. Unless a user has aborted it, look in this log whether leases '
    'could not be renewed, in the database for a transaction that has held the row for long, and '
    'whether this process or its machine stood still; where the database answers late, raise '
    'lease_seconds.'
)


@dataclasses.dataclass(kw_only=True)
class _Holding:
    """One claim.  Another claim of the same row is another object."""

    valid_until: float  #: the lease's own end
    works_until: float  #: the keeper renews it no longer
    is_lost: bool = False
    is_held_up: bool = False  #: it could not be renewed, the last time
    is_told: bool = False  #: that it was lost


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
        except exceptions.LeaseLost as error:
            self._tell(holding, error)
            raise
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
        """Renew the leases of all rows that are worked on: those that were held up the last time
        after the others, each by itself.  Raises as the database does, once all were asked for.
        """
        asked = self._worked_on(self._clock.monotonic())
        groups = [[one for one in asked if not asked[one].is_held_up]]
        groups += [[one] for one in asked if asked[one].is_held_up]
        errors = [self._renewed(group, asked) for group in groups if group]
        self._tell_of_ended(asked)
        for error in errors:
            if error is not None:
                raise error

    def _worked_on(self, now: float) -> dict[str, _Holding]:
        with self._lock:
            return {
                row_id: holding
                for row_id, holding in self._held.items()
                if not holding.is_lost and holding.works_until > now
            }

    def _renewed(self, row_ids: list[str], asked: Mapping[str, _Holding]) -> Exception | None:
        since = self._clock.monotonic()
        renewal = self._leases.renew(self._owner, row_ids, self._lease_seconds)
        with self._lock:
            for row_id in row_ids:
                holding = asked[row_id]
                holding.is_held_up = row_id not in renewal.renewed
                if not holding.is_held_up:
                    holding.valid_until = since + self._lease_seconds
                elif row_id in renewal.lost and self._held.get(row_id) is holding:
                    holding.is_lost = True
        return renewal.error

    def _tell_of_ended(self, asked: Mapping[str, _Holding]) -> None:
        """Tell of the leases that have run out since, while their rows are worked on: a worker may
        not ask for long.  One that was taken away is told when its worker asks: it may just be
        ending the row.
        """
        now = self._clock.monotonic()
        with self._lock:
            ended = [
                row_id
                for row_id, holding in asked.items()
                if self._held.get(row_id) is holding
                and not holding.is_lost
                and now >= holding.valid_until
            ]
        for row_id in ended:
            self._tell(asked[row_id], self._lost(row_id))

    def _tell(self, holding: _Holding, error: exceptions.LeaseLost) -> None:
        """Log that a row was lost in the middle of its work, once."""
        with self._lock:
            is_new, holding.is_told = not holding.is_told, True
        if is_new and isinstance(error, leases.AbortedMeanwhile):
            LOG.info('%s: %s', error.code, error.message)
        elif is_new:
            LOG.warning('%s: %s %s', error.code, error.message, _LOOK)

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
