# SPDX-License-Identifier: Apache-2.0
"""A thread that does one thing again and again, and at once when it is woken."""

import threading
from collections.abc import Callable


class Repeater:
    """`act` must not raise: it is the edge of the thread.  It may return the seconds until the next
    time.
    """

    def __init__(self, name: str, act: Callable[[], float | None], interval_seconds: float) -> None:
        self._act = act
        self._interval = interval_seconds
        self._woken = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """The first time at once."""
        self._thread.start()

    def wake(self) -> None:
        """Act as soon as possible; while it acts, once more afterwards."""
        self._woken.set()

    def stop(self, timeout_seconds: float) -> None:
        """Wait for what goes on, at most this long."""
        self._stopping = True
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._stopping:
            self._woken.clear()
            seconds = self._act()
            if not self._stopping:
                self._woken.wait(self._interval if seconds is None else seconds)
