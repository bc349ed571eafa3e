# SPDX-License-Identifier: Apache-2.0
"""The machine's own time, behind the domain's port."""

import datetime
import time


class SystemClock:
    """Implements `domain.ports.Clock`."""

    def now(self) -> datetime.datetime:
        """Aware UTC."""
        return datetime.datetime.now(datetime.UTC)

    def monotonic(self) -> float:
        """Seconds, for time-outs."""
        return time.monotonic()
