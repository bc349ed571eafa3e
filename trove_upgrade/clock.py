# SPDX-License-Identifier: Apache-2.0
"""The clock of the machine that a program runs on."""

import datetime
import time


class SystemClock:
    """Implements the domain's Clock, and every port to pauses."""

    def now(self) -> datetime.datetime:
        """Return the time of day, aware and in UTC."""
        return datetime.datetime.now(datetime.UTC)

    def monotonic(self) -> float:
        """Return seconds of a clock that is never set back, for time-outs."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Suspend the calling thread for that long."""
        time.sleep(seconds)
