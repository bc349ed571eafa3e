# SPDX-License-Identifier: Apache-2.0
"""The port to the machine's time that waits and rates of a schema run are measured by.

It never decides which process holds something, or until when: the database's clock does.
"""

from typing import Protocol


class Clock(Protocol):
    """Time, handed in."""

    def monotonic(self) -> float:
        """Seconds, for time-outs and rates."""

    def sleep(self, seconds: float) -> None:
        """Let others work."""
