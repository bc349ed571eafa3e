# SPDX-License-Identifier: Apache-2.0
"""Keeps the leases of a member and of its open port while a step works on it."""

import threading
from typing import Self

from trove_upgrade.bridge.visit import Visit
from trove_upgrade.domain import exceptions, logs
from trove_upgrade.domain.bridge_runs import Member, RunRepository
from trove_upgrade.domain.openings import OpeningRepository

LOG = logs.get_logger(__name__)


class Keeper:
    """Context of the work on one member.  When a lease is lost, the shell is closed, so that the
    step ends with an error at its next word to the guest.
    """

    def __init__(
        self,
        runs: RunRepository,
        openings: OpeningRepository,
        *,
        member: Member,
        visit: Visit,
        lease_seconds: float,
    ) -> None:
        self._runs, self._openings = runs, openings
        self._member, self._visit = member, visit
        self._lease_seconds = lease_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name='bridge-lease', daemon=True)
        self.is_lost = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._over.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._over.wait(self._lease_seconds / 3):
            try:
                self._runs.keep(self._member, self._lease_seconds)
                opening = self._visit.opening
                if opening is not None:
                    self._openings.extend(opening.id, self._lease_seconds)
            except exceptions.TroveUpgradeError as error:
                self._lose(error)
                return
            except Exception as error:  # noqa: BLE001 - the edge of a thread
                LOG.warning('The leases could not be kept: %s; tried again', error)

    def _lose(self, error: exceptions.TroveUpgradeError) -> None:
        LOG.warning('Work on instance %s ends: %s', self._member.instance_id, error.message)
        self.is_lost = True
        shell = self._visit.shell
        if shell is not None:
            shell.close()
