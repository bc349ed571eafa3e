# SPDX-License-Identifier: Apache-2.0
"""Removes what outlives its lease, whatever became of the process that opened it."""

import dataclasses

from trove_upgrade.bridge.audit import Auditor, Verdict
from trove_upgrade.bridge.closer import Closer
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.openings import (
    LATE_SECONDS,
    Opening,
    OpeningRepository,
    OpeningState,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reaped:
    """Result of one pass."""

    closed: tuple[Opening, ...]
    failed: tuple[tuple[Opening, exceptions.TroveUpgradeError], ...]  #: each is tried again


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reaper:
    """Closes openings whose lease is over."""

    openings: OpeningRepository
    closer: Closer
    auditor: Auditor

    def pass_once(self) -> Reaped:
        """Close all that have lapsed, one after the other; an error of one leaves the others.

        Neutron is asked only where this database has openings, so that a cloud without the bridge
        is never asked.

        :raises NetworkUnavailable, ComputeUnavailable: Neutron cannot tell which groups there are,
            or Nova whose port has one of no opening.
        """
        if not self.openings.is_any_since(LATE_SECONDS):
            return Reaped(closed=(), failed=())
        first = self.close_all(self.openings.lapsed())
        late = self.close_all(self._left_after_close())
        return Reaped(closed=first.closed + late.closed, failed=first.failed + late.failed)

    def close_all(self, openings: list[Opening]) -> Reaped:
        """Close these, each by itself."""
        closed: list[Opening] = []
        failed: list[tuple[Opening, exceptions.TroveUpgradeError]] = []
        for opening in openings:
            try:
                self.closer.close(opening)
            except exceptions.TroveUpgradeError as error:
                failed.append((opening, error))
            else:
                closed.append(opening)
        return Reaped(closed=tuple(closed), failed=tuple(failed))

    def _left_after_close(self) -> list[Opening]:
        """Return openings that were closed before a late request made something again."""
        return [
            finding.opening
            for finding in self.auditor.look().findings
            if finding.verdict is Verdict.LAPSED
            and finding.opening is not None
            and finding.opening.state is OpeningState.CLOSED
        ]
