# SPDX-License-Identifier: Apache-2.0
"""Stalls: how often an upgrade has kept a worker waiting of late, and how long it rests for that.

A call without answer, or with one that took long, adds two; a prompt one takes one away.  So a
guest that answers every other call does not become a prompt one.
"""

from collections.abc import Callable

#: More makes no difference: the longest rest has been reached,
#: and so many prompt calls make up for it.
MOST = 12
#: A call that took longer has kept its worker waiting, whatever its answer.  Guests answer at once
#: and work in the background.
SLOW_SECONDS = 5.0

_ADDED, _TAKEN = 2, 1
_SHORTEST_SECONDS = 1.0
_OUTAGE_SECONDS = 4.0

#: uniform(low, high): the source of jitter.
Uniform = Callable[[float, float], float]


def after(stalls: int, *, kept_waiting: bool) -> int:
    """The number after one more call, from 0 to MOST."""
    return min(MOST, stalls + _ADDED) if kept_waiting else max(0, stalls - _TAKEN)


def rest_seconds(stalls: int, longest_seconds: float, uniform: Uniform) -> float:
    """Seconds until a call without answer is repeated: twice as long each time, from 1 s to
    `longest_seconds`.

    `stalls` is the number after that call.  Up to half of it is left to chance: many that fell
    silent together are not asked together.
    """
    ceiling = max(_SHORTEST_SECONDS, min(longest_seconds, 2.0 ** (min(MOST, stalls) / _ADDED)))
    return uniform(max(_SHORTEST_SECONDS, ceiling / 2), ceiling)


def outage_seconds(longest_seconds: float, uniform: Uniform) -> float:
    """Seconds until it is tried again after an outage that was not the guest's: always about as
    many, from 2 s to 4 s.

    So an upgrade goes on at once when the broker or Nova is there again, however long it was away.
    """
    ceiling = max(_SHORTEST_SECONDS, min(longest_seconds, _OUTAGE_SECONDS))
    return uniform(max(_SHORTEST_SECONDS, ceiling / 2), ceiling)
