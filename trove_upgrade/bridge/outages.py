# SPDX-License-Identifier: Apache-2.0
"""Outages of the services that the bridge asks: waited for, as they are no fact of a member."""

import threading

from trove_upgrade.domain.ports import Clock


class Outages:
    """Memory of one process, used by all its threads.

    A service that answers for other members all the while and never for one is that member's own
    trouble.
    """

    def __init__(self, clock: Clock, patience_seconds: float) -> None:
        self._clock = clock
        self._patience = patience_seconds
        self._lock = threading.Lock()
        self._since: float | None = None  #: of the present outage
        self._worked_at: float | None = None
        self._members: dict[str, float] = {}  #: when each was first left because of one

    @property
    def patience_seconds(self) -> float:
        """Return how long an outage is waited for."""
        return self._patience

    def worked(self) -> None:
        """Take note that a step of a member went to its end."""
        with self._lock:
            self._since, self._worked_at = None, self._clock.monotonic()

    def met(self, instance_id: str | None) -> tuple[bool, bool]:
        """Take note of an outage, at a member or between two; return whether it is a new one, and
        whether it has lasted longer than is waited for.
        """
        with self._lock:
            now = self._clock.monotonic()
            is_new = self._since is None
            since = now if self._since is None else self._since
            self._since = since
            if instance_id is not None:
                self._members.setdefault(instance_id, now)
            return is_new, now - since >= self._patience

    def are_this_ones(self, instance_id: str) -> bool:
        """Return whether a member has met outages for longer than is waited for, while others went
        on.
        """
        with self._lock:
            first = self._members.get(instance_id)
            if first is None or self._clock.monotonic() - first < self._patience:
                return False
            return self._worked_at is not None and self._worked_at > first

    def ended(self, instance_id: str) -> None:
        """Forget a member that has come to its end."""
        with self._lock:
            self._members.pop(instance_id, None)
