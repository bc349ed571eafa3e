# SPDX-License-Identifier: Apache-2.0
"""One upgrade as its writing client saw it, and the floor that no way of doing it gets below."""

import dataclasses
import os
from collections.abc import Mapping, Sequence

from benchmarks.outage.watching import Watched

MILLION = 1_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Floor:
    """Seconds of what every way of upgrading has to do while the database is away, each measured
    alone, without pauses between.
    """

    stop: float
    rebuild: float  #: by Nova, until the guest runs programs again
    start: float
    engine_upgrade: float

    @property
    def whole(self) -> float:
        """Return the sum."""
        return self.stop + self.rebuild + self.start + self.engine_upgrade

    def line(self) -> str:
        """For a terminal."""
        parts = ', '.join(
            f'{name} {seconds:.1f}' for name, seconds in dataclasses.asdict(self).items()
        )
        return f'{"floor":<34} {self.whole:>8.1f} {"":>8} {"":>6} {"":>5}   {parts}'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One upgrade."""

    name: str
    rows: int  #: in the database when it begins
    downtime_seconds: float  #: from the first failed write to the first that succeeded for good
    whole_seconds: float  #: from the request until the instance is let go
    acknowledged: int
    lost: int  #: acknowledged rows that are not in the database at the end
    parts: Mapping[str, float]  #: seconds of the outage by part, where they are told
    timeline: Sequence[str] = ()  #: what the upgrade told while it went on

    def line(self) -> str:
        """For a terminal."""
        parts = ', '.join(f'{name} {seconds:.1f}' for name, seconds in self.parts.items())
        return (
            f'{self.name:<34} {self.downtime_seconds:>8.1f} {self.whole_seconds:>8.1f} '
            f'{self.acknowledged:>6} {self.lost:>5}   {parts}'
        )


HEADING = (
    f'{"upgrade":<34} {"down s":>8} {"whole s":>8} {"writes":>6} {"lost":>5}   seconds by part'
)


def of_watched(name: str, rows: int, watched: Watched, found: set[int]) -> Case:
    """Return the case of an upgrade; `found` are the numbers in the client's table at the end."""
    told, seen = watched.told, watched.seen
    parts = told.get('downtime') or told.get('parts') or {}
    return Case(
        name=name,
        rows=rows,
        downtime_seconds=seen.seconds,
        whole_seconds=watched.whole_seconds,
        acknowledged=len(seen.acknowledged),
        lost=len(seen.acknowledged - found),
        parts={part: seconds for part, seconds in parts.items() if seconds is not None},
        timeline=tuple(told.get('timeline', ())),
    )


def settle() -> None:
    """Have the machine write what the making of rows has left to be written: an instance that is
    upgraded was not filled in the minute before.
    """
    os.sync()


def per_million(rows: Sequence[int], seconds: Sequence[float]) -> float:
    """Return the seconds that each further million of rows adds, from the first number of rows to
    the last.
    """
    return (seconds[-1] - seconds[0]) / ((rows[-1] - rows[0]) / MILLION)
