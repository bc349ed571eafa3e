# SPDX-License-Identifier: Apache-2.0
"""Report of a run, whichever form it is given."""

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from typing import Any

from trove_upgrade.bridge.report.remedies import Advice
from trove_upgrade.domain.bridge_runs import Member, MemberState, Run
from trove_upgrade.domain.pace import Stop, Wait


class Outcome(enum.StrEnum):
    """Standing of an instance; those that an operator looks for come first.  Programs read it."""

    FAILED = 'FAILED'
    TURNING_BACK = 'TURNING_BACK'  #: it has failed, and what was pushed is not removed yet
    WAITING = 'WAITING'  #: no host works on it now
    RUNNING = 'RUNNING'
    ABORTED = 'ABORTED'
    LEFT_OUT = 'LEFT_OUT'
    COMPLETED = 'COMPLETED'


#: The same in words.
OUTCOMES: Mapping[Outcome, str] = {
    Outcome.FAILED: 'failed',
    Outcome.TURNING_BACK: 'turned back',
    Outcome.WAITING: 'waiting',
    Outcome.RUNNING: 'running',
    Outcome.ABORTED: 'aborted',
    Outcome.LEFT_OUT: 'left out',
    Outcome.COMPLETED: 'completed',
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepTime:
    """One run of a step."""

    step: str
    started_at: datetime.datetime
    ended_at: datetime.datetime | None
    end: str | None  #: None: it goes on, or its process was killed
    message: str | None

    @property
    def seconds(self) -> float | None:
        """Return how long it took; None: it has not ended."""
        if self.ended_at is None:
            return None
        return max((self.ended_at - self.started_at).total_seconds(), 0.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class InstancePart:
    """One instance of a run."""

    member: Member
    outcome: Outcome
    wait: Wait | None  #: why no host works on it; None: it is held, or has ended
    steps: tuple[StepTime, ...]
    seconds: float | None  #: from its first step to its end, or to now; None: it was never begun
    cause: str | None
    left: Advice

    @property
    def steps_seconds(self) -> Mapping[str, float]:
        """Return the time in each step, all its runs together."""
        found: dict[str, float] = {}
        for one in self.steps:
            if one.seconds is not None:
                found[one.step] = found.get(one.step, 0.0) + one.seconds
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodePart:
    """One code, with what is left of each instance that has it."""

    code: str
    count: int
    left: Advice


@dataclasses.dataclass(frozen=True, kw_only=True)
class WavePart:
    """One wave; the first one is the canary."""

    number: int
    counts: Mapping[Outcome, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenPart:
    """Group at Neutron or row of an opening, in the bridge's name."""

    verdict: str
    is_harmless: bool
    group_id: str | None
    opening_id: str | None
    instance_id: str | None
    port_ids: tuple[str, ...]
    sources: tuple[str, ...]
    lease_until: datetime.datetime | None
    remarks: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Openings:
    """Findings of the audit, in so far as they are this run's."""

    found: tuple[OpenPart, ...] = ()
    is_clean: bool | None = None  #: None: it could not be looked
    why_unknown: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Totals:
    """Counts of a run."""

    instances: int
    outcomes: Mapping[Outcome, int]
    states: Mapping[MemberState, int]
    waves: tuple[WavePart, ...]
    codes: tuple[CodePart, ...]
    waits: Mapping[Wait, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Run at one moment."""

    run: Run
    made_at: datetime.datetime
    stop: Stop | None
    stopped: str | None  #: why it begins no other instance, and what to do
    failed: int  #: that count for the stop rule
    allowed_failures: int
    totals: Totals
    instances: tuple[InstancePart, ...]  #: by outcome, wave and id
    openings: Openings

    @property
    def seconds(self) -> float:
        """Return how long the run took, or has taken so far."""
        end = self.run.ended_at or self.made_at
        return max((end - self.run.created_at).total_seconds(), 0.0)

    @property
    def is_well(self) -> bool:
        """Return whether each instance is well, or was left out."""
        well = {Outcome.COMPLETED, Outcome.LEFT_OUT}
        return all(one.outcome in well for one in self.instances)


def plain(value: Any) -> Any:
    """Return a value of dataclasses as JSON has it: enums by their values, times in ISO 8601."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return str(value) if isinstance(value, enum.Enum) else value
