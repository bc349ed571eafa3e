# SPDX-License-Identifier: Apache-2.0
"""Outages of the services that the bridge asks: waited for, as they are no fact of a member."""

import dataclasses
import math
import threading

from trove_upgrade.domain.bridge_runs import STEPS, MemberStep
from trove_upgrade.domain.ports import Clock

#: One that comes after so long is another one.
_QUIET_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class _Met:
    """First outage that a member met at a step, and has not got past."""

    step: MemberStep
    at: float


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Meaning of an outage for the run."""

    is_new: bool
    is_too_long: bool  #: it has lasted longer than is waited for


class Outages:
    """Memory of one process, used by all its threads.

    A service that answers for other members all the while and never for one is that member's own
    trouble.
    """

    def __init__(self, clock: Clock, patience_seconds: float) -> None:
        self.patience_seconds = patience_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._since: float | None = None  #: of the present outage
        self._met_at = -math.inf  #: when the last one was met
        self._ended_at: float | None = None  #: when the last member came to its end
        self._members: dict[str, _Met] = {}

    def worked(self, instance_id: str, step: MemberStep) -> None:
        """Take note that a step of a member went to its end."""
        with self._lock:
            self._since = None
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
            self._members.setdefault(instance_id, _Met(step, self._clock.monotonic()))

    def are_this_ones(self, instance_id: str) -> bool:
        """Return whether a member has met outages for longer than is waited for, while others came
        to their ends.
        """
        with self._lock:
            met = self._members.get(instance_id)
            if met is None or not self._is_over(met.at):
                return False
            return self._ended_at is not None and self._ended_at > met.at

    def verdict(self, instance_id: str | None) -> Verdict:
        """Take note of an outage, at a member or between two, and return what it means."""
        with self._lock:
            now = self._clock.monotonic()
            is_new = now - self._met_at >= _QUIET_SECONDS
            self._met_at = now
            if self._since is None:
                self._since = now
            met = self._members.get(instance_id or '')
            is_members = met is not None and self._is_over(met.at)
            return Verdict(is_new=is_new, is_too_long=is_members or self._is_over(self._since))

    def _is_over(self, since: float) -> bool:
        return self._clock.monotonic() - since >= self.patience_seconds
