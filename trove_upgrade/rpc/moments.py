# SPDX-License-Identifier: Apache-2.0
"""Moments of guests' sessions, as their answers have told them: so that a request can name the
latest one at which it may be begun.

Each side counts by a clock that nothing sets, and neither has to know the other's time of day.
"""

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Callable

#: A paused guest's clock stands still: what it told before counts for no longer than this.
_KEPT_SECONDS = 60.0
#: Guests whose moment is remembered.
_REMEMBERED = 10_000


@dataclasses.dataclass(frozen=True)
class _Met:
    session: str
    moment: int  # milliseconds of the session, at `sent` or after it
    sent: float  # by our own clock


class Moments:
    """Moment of each guest's last answer. Safe to share between threads."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._met: OrderedDict[str, _Met] = OrderedDict()

    def now(self) -> float:
        """Return our own clock's seconds."""
        return self._monotonic()

    def met(self, key_id: str, session: str, moment: int, sent: float) -> None:
        """Remember what the answer to a request told that was sent at `sent`, by our own clock."""
        with self._lock:
            self._met[key_id] = _Met(session, moment, sent)
            self._met.move_to_end(key_id)
            if len(self._met) > _REMEMBERED:
                self._met.popitem(last=False)

    def latest(self, key_id: str, session: str, seconds: float) -> int:
        """Return the session's moment in `seconds`, never too early; 0: it is not known.

        Too late by as long as the last answer took at most: the guest may have told its moment at
        that answer's end.
        """
        with self._lock:
            met = self._met.get(key_id)
        if met is None or met.session != session:
            return 0
        age = self._monotonic() - met.sent
        return 0 if age > _KEPT_SECONDS else met.moment + int((age + seconds) * 1000)
