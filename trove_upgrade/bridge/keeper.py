# SPDX-License-Identifier: Apache-2.0
"""Keeps the leases of a member and of its open port while a step works on it."""

import threading
from typing import Self

from trove_upgrade.bridge.visit import Visit
from trove_upgrade.domain import logs
from trove_upgrade.domain.bridge_runs import Member, MemberLost, RunRepository
from trove_upgrade.domain.openings import OpeningLapsed, OpeningRepository
from trove_upgrade.domain.ports import Clock

LOG = logs.get_logger(__name__)


class Keeper:
    """Context of the work on one member.  When its lease is lost, or cannot be kept for as long as
    it lasts, the shell is closed: the step ends with an error at its next word to the guest.
    """

    def __init__(
        self,
        runs: RunRepository,
        openings: OpeningRepository,
        *,
        member: Member,
        visit: Visit,
        lease_seconds: float,
        clock: Clock,
    ) -> None:
        self._runs, self._openings = runs, openings
        self._member, self._visit = member, visit
        self._lease_seconds, self._clock = lease_seconds, clock
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name='bridge-lease', daemon=True)

    def __enter__(self) -> Self:
        self._kept_at = self._clock.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._visit.is_lost and not self._over.wait(self._lease_seconds / 3):
            self.keep()

    def keep(self) -> None:
        """Move both leases ahead, once.  Logs every error: it is the edge of a thread."""
        began = self._clock.monotonic()
        try:
            self._runs.keep(self._member, self._lease_seconds)
            self._kept_at = began
            self._keep_opening()
        except MemberLost as error:
            if not self._was_given_back():
                self._lose(error.message)
        except Exception as error:  # noqa: BLE001 - see above
            LOG.warning('The leases could not be kept: %s; tried again', error)
            if self._clock.monotonic() - self._kept_at >= self._lease_seconds:
                self._lose('its lease could not be kept, and is over')

    def _was_given_back(self) -> bool:
        """Return whether the member has ended here, or was left to others, a moment ago."""
        try:
            now = self._runs.member(self._member.run_id, self._member.instance_id)
        except Exception as error:  # noqa: BLE001 - see `keep`
            LOG.warning('The member cannot be read: %s', error)
            return False
        return now.generation == self._member.generation and now.lease_until is None

    def _keep_opening(self) -> None:
        opening = self._visit.opening
        if opening is None:
            return
        try:
            self._openings.extend(opening.id, self._lease_seconds)
        except OpeningLapsed as error:
            if self._visit.opening is opening:  # else this visit has closed it itself
                LOG.warning('%s', error.message)
                self._visit.is_lapsed = True
                self._visit.leave_guest()

    def _lose(self, why: str) -> None:
        LOG.warning('Work on instance %s ends: %s', self._member.instance_id, why)
        self._visit.is_lost = True
        self._visit.leave_guest()
