# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition, with a deadline.

Only the standard library: guests, and the look at a bare machine, have nothing else.
"""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar('Found')


def wait_until(
    condition: Callable[[], Found],
    seconds: float,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    interval_seconds: float = 0.05,
) -> Found:
    """Return the first true result of `condition`, or the last one when the time is over: the
    caller raises its own error.

    The first look is at once, and the last one comes after the last pause.
    """
    deadline = monotonic() + seconds
    while not (found := condition()) and monotonic() < deadline:
        sleep(interval_seconds)
    return found
