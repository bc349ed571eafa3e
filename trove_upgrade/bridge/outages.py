# SPDX-License-Identifier: Apache-2.0
"""Outages of the services that the bridge asks: waited for, as they are no fact of a member."""

import dataclasses
import threading

from trove_upgrade.domain.bridge_runs import STEPS, MemberStep
from trove_upgrade.domain.ports import Clock

#: Part of the patience after which one that is met is another one than the one before.
_QUIET_PART = 4


def first_line(error: Exception) -> str:
    """Return the words of an error for the log: a statement with its parameters, which SQLAlchemy
    puts into further lines, has words of guests.
    """
    return str(error).partition('\n')[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Met:
    """Outages that a member has met at a step, and has not got past."""

    step: MemberStep
    first: float
    since: float  #: of the present one
    last: float


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Meaning of an outage for the run."""

    is_new: bool
    is_too_long: bool  #: it has lasted longer than is waited for


class Outages:
    """Memory of one process, used by all its threads.  Only what is met again and again is one
    outage: two short ones far apart are two.

    A service that answers for other members all the while and never for one is that member's own
    trouble.
    """

    def __init__(self, clock: Clock, patience_seconds: float) -> None:
        self.patience_seconds = patience_seconds
        self._quiet_seconds = patience_seconds / _QUIET_PART
        self._clock = clock
        self._lock = threading.Lock()
        self._since: float | None = None  #: of the present outage
        self._last: float | None = None  #: when it was last met
        self._ended_at: float | None = None  #: when the last member came to its end
        self._members: dict[str, _Met] = {}

    def worked(self, instance_id: str, step: MemberStep) -> None:
        """Take note that a step of a member went to its end."""
        with self._lock:
            met = self._members.get(instance_id)
            if met is not None and STEPS.index(step) >= STEPS.index(met.step):
                del self._members[instance_id]

    def ended(self, instance_id: str) -> None:
        """Take note that a member has come to its end."""
        with self._lock:
            self._since, self._ended_at = None, self._clock.monotonic()
            self._members.pop(instance_id, None)

    def met_at(self, instance_id: str, step: MemberStep) -> None:
        """Take note that a member has met one at a step."""
        with self._lock:
            now = self._clock.monotonic()
            met = self._members.get(instance_id)
            if met is None:
                self._members[instance_id] = _Met(step=step, first=now, since=now, last=now)
                return
            since = now if self._is_another(met.last, now) else met.since
            self._members[instance_id] = dataclasses.replace(met, since=since, last=now)

    def are_this_ones(self, instance_id: str) -> bool:
        """Return whether a member has met one for longer than is waited for, and others have come
        to their ends since it first met any.
        """
        with self._lock:
            met, now = self._members.get(instance_id), self._clock.monotonic()
            if met is None or self._is_another(met.last, now) or not self._is_over(met.since, now):
                return False
            return self._ended_at is not None and self._ended_at > met.first

    def verdict(self, instance_id: str | None) -> Verdict:
        """Take note of an outage, at a member or between two, and return what it means."""
        with self._lock:
            now = self._clock.monotonic()
            is_new = self._last is None or self._is_another(self._last, now)
            if is_new or self._since is None:
                self._since = now
            self._last = now
            met = self._members.get(instance_id or '')
            is_members = met is not None and self._is_over(met.since, now)
            return Verdict(is_new=is_new, is_too_long=is_members or self._is_over(self._since, now))

    def _is_another(self, last: float, now: float) -> bool:
        return now - last >= self._quiet_seconds

    def _is_over(self, since: float, now: float) -> bool:
        return now - since >= self.patience_seconds
