# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the time that a run waits for."""


class WaitingClock:
    """Implements clock.Clock: sleeping is what makes time pass.  `meanwhile` runs in each sleep."""

    def __init__(self, meanwhile=lambda: None):
        self._now = 1000.0
        self._meanwhile = meanwhile
        self.slept = []

    def monotonic(self):
        return self._now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self._now += seconds
        self._meanwhile()

    def pass_time(self, seconds):
        """Without a sleep: the process was stopped, or busy."""
        self._now += seconds


def middle(low, high):
    """Jitter that is known."""
    return (low + high) / 2
