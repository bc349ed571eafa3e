# SPDX-License-Identifier: Apache-2.0
"""The keeper: renews the leases of all that this process works on, from a thread of its own."""

import dataclasses
from collections.abc import Sequence

from trove_upgrade.domain import ports
from trove_upgrade.taskmanager.holdings import Holdings
from trove_upgrade.taskmanager.outages import Outages

_RENEWALS = 3  #: in the time of one lease
#: A renewal that has failed is tried again so soon, while the leases last.
_AGAIN_SECONDS = 0.5
_LEASES = 'The leases of what is worked on could not be renewed'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Keeper:
    """Renews again and again, with every row at least so often that two renewals may fail."""

    held: Sequence[Holdings]
    clock: ports.Clock
    outages: Outages
    lease_seconds: float

    @property
    def interval_seconds(self) -> float:
        """Return the seconds from the beginning of one renewal to the next."""
        return self.lease_seconds / _RENEWALS

    def keep(self) -> float:
        """Renew the leases of each kind, whatever becomes of the others, and return the seconds
        until the next time.  Logs every error: it is the edge of a thread.
        """
        began, failed = self.clock.monotonic(), False
        for held in self.held:
            try:
                held.renew()
            except Exception as error:  # noqa: BLE001 - see above; `outages` logs it
                self.outages.met(_LEASES, error)
                failed = True
        if failed:
            return _AGAIN_SECONDS
        self.outages.over(_LEASES)
        return max(0.0, began + self.interval_seconds - self.clock.monotonic())
