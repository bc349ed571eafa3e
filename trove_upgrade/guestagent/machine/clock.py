# SPDX-License-Identifier: Apache-2.0
"""The guest's own clock."""

import datetime
import time


class SystemClock:
    """Implements the domain's Clock, and the agent's pauses."""

    def now(self) -> datetime.datetime:
        """Aware UTC."""
        return datetime.datetime.now(datetime.UTC)

    def monotonic(self) -> float:
        """Seconds, for time-outs."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
