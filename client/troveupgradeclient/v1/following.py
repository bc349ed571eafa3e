# SPDX-License-Identifier: Apache-2.0
"""Following of an upgrade or a report until its end."""

import math
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from troveupgradeclient import exceptions

#: How long the service may be silent, as while it restarts, before following ends.
PATIENCE_SECONDS = 300.0
INTERVAL_SECONDS = 2.0
#: How long a node of the database may lack what another one has accepted.
LAG_SECONDS = 10.0
#: Longest pause where there are too many requests.
SLOWEST_SECONDS = 60.0

Seen = TypeVar('Seen')


class Clock(Protocol):
    """Port to time."""

    def monotonic(self) -> float:
        """Return seconds that are never set back."""

    def sleep(self, seconds: float) -> None:
        """Suspend the thread."""


class SystemClock:
    """Clock of the machine."""

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Follower:
    """Looks again and again, with a pause between two looks.

    Where there are too many requests the pause is doubled, or as long as the answer asks for, and
    each look that has an answer halves it again.  Such an answer ends no wait, as it is no silence.
    `on_silence` is told of each look that got no answer, or one that tells of a passing fault.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        interval_seconds: float = INTERVAL_SECONDS,
        timeout_seconds: float | None = None,
        on_silence: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._interval = interval_seconds
        self._timeout = timeout_seconds
        self._on_silence = on_silence

    def follow(self, look: Callable[[float], Seen], is_end: Callable[[Seen], bool]) -> Seen:
        """Look until the end, and return what was seen last; `look` is given the seconds that are
        left for it.

        :raises WaitOver: the time is over before the end.
        :raises ApiSilent, RequestRefused: no answer came for a long time, or one that will stay.
        """
        begun = heard = self._clock.monotonic()
        found, pause = 'nothing was seen', self._interval
        while True:
            try:
                seen = look(self._left(begun))
            except (exceptions.ApiSilent, exceptions.RequestRefused) as silent:
                if silent.is_limit:
                    heard = self._clock.monotonic()
                    pause = slower(pause, silent.retry_after_seconds)
                is_over = self._clock.monotonic() - heard > PATIENCE_SECONDS
                if is_over or not silent.is_passing:
                    raise
                self._on_silence(silent)
            else:
                heard = self._clock.monotonic()
                pause = max(self._interval, pause / 2)
                found = f'it is {getattr(seen, "state", "unknown")}'
                if is_end(seen):
                    return seen
            left = self._left(begun)
            if left <= 0:
                raise exceptions.WaitOver(seconds=self._timeout, found=found)
            self._clock.sleep(min(pause, left))

    def _left(self, begun: float) -> float:
        if self._timeout is None:
            return math.inf
        return self._timeout - (self._clock.monotonic() - begun)


def slower(pause: float, retry_after_seconds: float | None) -> float:
    """Return the pause after an answer that tells of too many requests."""
    return max(pause, min(SLOWEST_SECONDS, max(2 * pause, retry_after_seconds or 0.0)))
