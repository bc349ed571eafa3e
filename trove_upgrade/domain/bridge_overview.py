# SPDX-License-Identifier: Apache-2.0
"""Overview of a run, as a live view shows it: counts, and the few members that hosts work on."""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Protocol

from trove_upgrade.domain.bridge_runs import ENDED, MemberState, MemberStep, RunState
from trove_upgrade.domain.pace import Wait


@dataclasses.dataclass(frozen=True, kw_only=True)
class Held:
    """Member that a host works on now."""

    instance_id: str
    name: str
    step: MemberStep
    since: datetime.datetime | None  #: beginning of the step, by the clock of its host
    is_undoing: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndedMember:
    """Member that has come to its end."""

    instance_id: str
    name: str
    state: MemberState
    error_code: str | None
    cause: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Overview:
    """Run at one moment."""

    now: datetime.datetime  #: by the database's clock
    state: RunState
    states: Mapping[MemberState, int]
    turned_back: int  #: members that have failed and have not ended
    wave: int | None  #: the first one that others wait for
    last_wave: int | None  #: None: every member was left out
    failures: Mapping[str, int]  #: by code
    held: tuple[Held, ...]
    ended: tuple[EndedMember, ...]  #: since the moment that was asked for

    @property
    def tried(self) -> int:
        """Return the count of members that were not left out."""
        return sum(self.states.values()) - self.states.get(MemberState.LEFT_OUT, 0)

    @property
    def finished(self) -> int:
        """Return the count of those that have come to their end."""
        ends = ENDED - {MemberState.LEFT_OUT}
        return sum(count for state, count in self.states.items() if state in ends)

    @property
    def left(self) -> int:
        """Return the count of those that have not."""
        return self.tried - self.finished


class OverviewSource(Protocol):
    """Looks at a run without reading all of each member."""

    def look(self, run_id: str, since: datetime.datetime | None) -> Overview:
        """Return the run now, with the members that have ended `since`; None: without any.

        :raises RunNotFound: there is no such run.
        """

    def waits(self, run_id: str) -> Mapping[Wait, int]:
        """Return how many members wait for what.  It reads a few columns of each member.

        :raises RunNotFound: there is no such run.
        """
