# SPDX-License-Identifier: Apache-2.0
"""Rate at which members of a run come to their end, and the time that the others will take."""

from collections import deque

WINDOW_SECONDS = 1800.0
_HOUR = 3600.0


class Rate:
    """Rate over the last half hour, or since this process looks, where that is shorter.

    Before the first end in that time there is none: nothing is known.
    """

    def __init__(self, window_seconds: float = WINDOW_SECONDS) -> None:
        self._window = window_seconds
        self._began: float | None = None
        #: moments and counts; the first is the newest that the window does not reach any more
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, at: float, finished: int) -> None:
        """Take note of how many have ended by a moment, of a clock that is never set back."""
        if self._began is None:
            self._began = at
        if not self._seen or self._seen[-1][1] != finished:
            self._seen.append((at, finished))
        while len(self._seen) > 1 and self._seen[1][0] <= at - self._window:
            self._seen.popleft()

    def per_hour(self, at: float) -> float | None:
        """Return the members that end in an hour; None: none has."""
        if self._began is None:
            return None
        seconds = min(at - self._began, self._window)
        ended = self._seen[-1][1] - self._seen[0][1]
        return ended * _HOUR / seconds if seconds > 0 and ended > 0 else None

    def seconds_left(self, at: float, left: int) -> float | None:
        """Return how long so many will take; None: not known."""
        if left <= 0:
            return 0.0
        rate = self.per_hour(at)
        return None if rate is None else left * _HOUR / rate
