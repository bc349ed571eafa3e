# SPDX-License-Identifier: Apache-2.0
"""Trace of a fleet: sessions and commands as the guests saw them, and how many were at once."""

import dataclasses
import itertools
import json
import pathlib
import threading
import time
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Self


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """One line of the trace, in seconds since the epoch."""

    at: float
    instance_id: str
    what: str  #: begin and end of a session, or a command
    session: int
    code: int | None = None  #: of a command
    holds: tuple[str, ...] = ()  #: what the guest has of ours after it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Span:
    """Time in which an instance was worked in."""

    instance_id: str
    node: str
    hypervisor: str
    begin: float
    end: float


class TraceWriter:
    """Appends events to a file, each as it comes.  Safe to share between threads."""

    def __init__(self, path: pathlib.Path) -> None:
        self._lock = threading.Lock()
        self._sink = path.open('a', encoding='utf-8', buffering=1)

    def note(self, instance_id: str, what: str, session: int, **more: object) -> None:
        """Write one event."""
        with self._lock:
            event = Event(
                at=time.time(), instance_id=instance_id, what=what, session=session, **more
            )
            self._sink.write(json.dumps(dataclasses.asdict(event)) + '\n')


@dataclasses.dataclass(frozen=True)
class Trace:
    """All events of a run."""

    events: tuple[Event, ...]

    @classmethod
    def read(cls, path: pathlib.Path) -> Self:
        """Read what a writer has written."""
        lines = path.read_text('utf-8').splitlines()
        found = (json.loads(line) for line in lines)
        return cls(tuple(Event(**{**one, 'holds': tuple(one['holds'])}) for one in found))

    def sessions(self) -> list[tuple[str, float, float]]:
        """Return instance, begin and end of each session; one that has not ended has no place
        here.
        """
        begun = {one.session: one for one in self.events if one.what == 'begin'}
        return [
            (one.instance_id, begun[one.session].at, one.at)
            for one in self.events
            if one.what == 'end'
        ]

    def open_sessions(self) -> int:
        """Return the number of sessions that were begun and have not ended."""
        counted = Counter(one.what for one in self.events)
        return counted['begin'] - counted['end']

    def held(self) -> dict[str, tuple[str, ...]]:
        """Return what each guest has of ours after its last command."""
        return {one.instance_id: one.holds for one in self.events if one.code is not None}

    def seconds_of(self) -> dict[str, list[float]]:
        """Return the time of each kind of command, from the end of the one before it."""
        found: dict[str, list[float]] = {}
        last: dict[int, float] = {}
        for one in self.events:
            if one.session in last:
                name = one.what.split(' ')[0]
                found.setdefault(name, []).append(one.at - last[one.session])
            last[one.session] = one.at
        return found


def most_at_once(spans: Iterable[Span], key: str | None = None) -> dict[Hashable, int]:
    """Return the most spans that overlapped at one moment, for each value of a field; without one,
    of all.  A span that ends at the moment at which another begins has made room for it.
    """
    moments: list[tuple[float, int, Hashable]] = []
    for span in spans:
        value = None if key is None else getattr(span, key)
        moments += [(span.begin, 1, value), (span.end, -1, value)]
    now: Counter[Hashable] = Counter()
    most: Counter[Hashable] = Counter()
    for _, change, value in sorted(moments, key=lambda one: one[:2]):
        now[value] += change
        most[value] = max(most[value], now[value])
    return dict(most)


def waves_in_order(spans: Sequence[Span], wave_of: dict[str, int]) -> bool:
    """Return whether no span of a wave begins before all of the earlier waves have ended."""
    ends: dict[int, float] = {}
    begins: dict[int, float] = {}
    for span in spans:
        wave = wave_of[span.instance_id]
        ends[wave] = max(ends.get(wave, span.end), span.end)
        begins[wave] = min(begins.get(wave, span.begin), span.begin)
    order = sorted(begins)
    return all(ends[one] <= begins[other] for one, other in itertools.pairwise(order))
