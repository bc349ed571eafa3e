# SPDX-License-Identifier: Apache-2.0
"""The port to the machine's time that waits and rates of a schema run are measured by.

It never decides which process holds something, or until when: the database's clock does.
"""

from typing import Protocol


class Clock(Protocol):
    """Port of time, so that a test need not wait."""

    def monotonic(self) -> float:
        """Seconds, for time-outs and rates."""

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds, and let other transactions work meanwhile."""
