# SPDX-License-Identifier: Apache-2.0
"""Explanation of an upgrade for an operator: its timeline, what it waits for, who holds it, what
comes next and what can be done.

Pure: its facts are read by the caller at one moment, by the database's clock.
"""

import dataclasses
import datetime
import enum
from collections.abc import Iterator, Sequence

from trove_upgrade.domain import holds, states
from trove_upgrade.domain.actions import Verdict
from trove_upgrade.domain.events import EventKind
from trove_upgrade.domain.progress import Way
from trove_upgrade.domain.upgrades import StepRun, Upgrade

_S = states.UpgradeState
_LATER = 'A later release has written this state: ask with the tools of that release.'


#: Beyond this no taskmanager works on a row that waits for one: recovery looks every few seconds.
OVERDUE_SECONDS = 30.0


class HolderState(enum.StrEnum):
    """Knowledge of the process that holds a lease."""

    ALIVE = 'alive'  #: it was seen lately
    SILENT = 'silent'  #: it was not, and may be gone
    ENDED = 'ended'  #: its process has ended for certain, as this host can see
    UNLISTED = 'unlisted'  #: no service of this name is listed


class EntryKind(enum.StrEnum):
    """Kinds of entries in a timeline."""

    ACCEPTED = 'accepted'
    STEP = 'step'
    OPENED = 'opened'
    NOTICE = 'notice'
    ENDED = 'ended'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Notice:
    """An event of the upgrade in the outbox, and whether its receiver has it."""

    kind: EventKind
    attempt: int
    created_at: datetime.datetime
    sent_at: datetime.datetime | None
    tries: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the timeline."""

    at: datetime.datetime
    kind: EntryKind
    attempt: int
    text: str
    seconds: float | None = None  #: how long it took, or takes already
    runs: int | None = None
    outcome: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lease:
    """The lease on the row, if a taskmanager has one or had the last one."""

    owner: str | None
    until: datetime.datetime | None
    seconds_left: float  #: 0: it is free
    holder: HolderState | None  #: None: nothing holds it
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explanation:
    """All of it, as of one moment."""

    upgrade: Upgrade
    now: datetime.datetime
    timeline: Sequence[Entry]
    waits_for: str
    lease: Lease
    following: str
    verdicts: Sequence[Verdict]  #: on each action


def explain(
    found: Upgrade,
    notices: Sequence[Notice],
    holder: HolderState | None,
    verdicts: Sequence[Verdict],
    now: datetime.datetime,
) -> Explanation:
    """Return the explanation; `holder` is what is known of the row's owner, if it has one."""
    coming = found.renewed()
    return Explanation(
        upgrade=found,
        now=now,
        timeline=sorted(_timeline(found, notices, now), key=lambda entry: entry.at),
        waits_for=_waits_for(coming, notices, now),
        lease=_lease(found, holder, now),
        following=_following(coming, now),
        verdicts=verdicts,
    )


def _timeline(found: Upgrade, notices: Sequence[Notice], now: datetime.datetime) -> Iterator[Entry]:
    yield Entry(
        at=found.created_at,
        kind=EntryKind.ACCEPTED,
        attempt=1,
        text=f'request {found.request_id or "unknown"} of user {found.user_id or "unknown"}: '
        f'to version {found.target_number}',
    )
    for run in found.steps:
        yield _step(run, now)
    if found.progress.restore.opened_at is not None:
        yield Entry(
            at=found.progress.restore.opened_at,
            kind=EntryKind.OPENED,
            attempt=found.attempt,
            text='clients were let in again, by the clock that has told it',
        )
    for notice in notices:
        yield Entry(
            at=notice.created_at, kind=EntryKind.NOTICE, attempt=notice.attempt, text=_told(notice)
        )
    if found.ended_at is not None:
        reason = f': {found.error_code}' if found.error_code else ''
        yield Entry(
            at=found.ended_at,
            kind=EntryKind.ENDED,
            attempt=found.attempt,
            text=f'{found.state}{reason}',
        )


def _step(run: StepRun, now: datetime.datetime) -> Entry:
    return Entry(
        at=run.started_at,
        kind=EntryKind.STEP,
        attempt=run.attempt,
        text=f'{run.step}: {run.message}' if run.message else str(run.step),
        seconds=round(max(0.0, ((run.ended_at or now) - run.started_at).total_seconds()), 1),
        runs=run.runs,
        outcome=None if run.outcome is None else str(run.outcome),
    )


def _told(notice: Notice) -> str:
    if notice.sent_at is None:
        return f'{notice.kind}: not sent yet, tried {notice.tries} times'
    seconds = max(0.0, (notice.sent_at - notice.created_at).total_seconds())
    return f'{notice.kind}: sent after {seconds:.1f} s'


def _waits_for(found: Upgrade, notices: Sequence[Notice], now: datetime.datetime) -> str:
    if not found.state.is_known:
        return _LATER
    if found.state is _S.FAILED:
        return f'For an operator. {found.error_code or "No code"}: {found.cause or "no cause"}'
    if found.state is _S.HELD:
        return ' '.join(_held_for(found, now))
    if found.state not in states.ACTIVE:
        unsent = [str(notice.kind) for notice in notices if notice.sent_at is None]
        kinds = ', '.join(unsent)
        return f'For the receiver of what is not sent yet: {kinds}.' if unsent else 'For nothing.'
    return ' '.join(_waiting(found, now))


def _held_for(found: Upgrade, now: datetime.datetime) -> Iterator[str]:
    hold, begins = found.progress.hold, found.progress.choices.not_before
    if begins is None:
        yield 'For "proceed".'
    elif begins <= now:
        yield (
            f'To begin: its time has come at {begins.isoformat(timespec="seconds")}. It is tried '
            f'every {holds.BUSY_SECONDS:.0f} s.'
        )
        if hold.kept_by is not None:
            yield f'When it was last tried: {hold.kept_by}'
    else:
        yield f'For "proceed", or for {begins.isoformat(timespec="seconds")}.'
    yield from _overdue(found, now)
    if hold.until is not None:
        yield f'It ends ABORTED by itself in {max(0.0, (hold.until - now).total_seconds()):.0f} s.'


def _waiting(found: Upgrade, now: datetime.datetime) -> Iterator[str]:
    run = found.current_run
    if found.state is _S.PENDING:
        yield 'For a taskmanager to take it up.'
    elif run is not None and run.message:
        yield f'Step {found.step}: {run.message}'
    else:
        yield f'Step {found.step}, which has told nothing yet.'
    if found.next_run_at is not None and found.next_run_at > now:
        yield f'It rests for {_seconds(found.next_run_at, now)} more.'
    yield from _overdue(found, now)
    if found.state is _S.RUNNING and found.step_deadline is not None:
        left = (found.step_deadline - now).total_seconds()
        over = f'was over {-left:.0f} s ago' if left < 0 else f'is over in {left:.0f} s'
        yield f"The step's time {over}."


def _overdue(found: Upgrade, now: datetime.datetime) -> Iterator[str]:
    overdue = found.overdue_seconds(now)
    if overdue > OVERDUE_SECONDS:
        yield f'It has been due for {overdue:.0f} s, and no taskmanager has taken it.'


def _lease(found: Upgrade, holder: HolderState | None, now: datetime.datetime) -> Lease:
    until = found.lease_until
    left = max(0.0, (until - now).total_seconds()) if until is not None else 0.0
    return Lease(
        owner=found.owner,
        until=until,
        seconds_left=round(left, 1),
        holder=holder,
        text=_held(found, holder, left),
    )


#: By what is known of the holder: what follows for a row that it holds.
_HOLDERS = {
    HolderState.ALIVE: 'it was seen lately',
    HolderState.SILENT: 'it was not seen lately and may be gone: another one takes the row when '
    'the lease has run out',
    HolderState.ENDED: 'its process has ended: another one on its host takes the row at its next '
    'look, others when the lease has run out',
    HolderState.UNLISTED: 'no service of that name is listed: another one takes the row when the '
    'lease has run out',
}


def _held(found: Upgrade, holder: HolderState | None, left: float) -> str:
    if found.state not in states.WORKED_ON:
        return 'None: no taskmanager works on it in this state.'
    if found.owner is None or holder is None:
        return 'Free: the next taskmanager that looks may take it once it is due.'
    if left <= 0:
        return f'Free: that of {found.owner} has run out.'
    return f'Held by {found.owner} for {left:.1f} s more; {_HOLDERS[holder]}.'


_ENDS = {
    Way.FORWARD: 'COMPLETED',
    Way.BACK: 'ROLLED_BACK, with the former image on untouched data',
    Way.UNDOING: 'ABORTED, with the former guest serving',
}


def _following(found: Upgrade, now: datetime.datetime) -> str:
    if not found.state.is_known:
        return _LATER
    if found.state is _S.FAILED:
        return 'Nothing by itself.'
    if found.state not in states.ACTIVE:
        return 'Nothing: it has ended.'
    way = found.progress.direction.way
    if way is Way.UNDOING:
        return f'The guest undoes what it has done, then {_ENDS[way]}.'
    return f'{", ".join([*_steps_to_come(found, now), _ENDS[way]])}.'


def _steps_to_come(found: Upgrade, now: datetime.datetime) -> Sequence[str]:
    steps = [str(step) for step in states.STEPS]
    if found.state is _S.HELD:
        return steps  # its checks are made anew
    place = states.order(found.step) + (0 if found.state is _S.PENDING else 1)
    is_before = states.order(found.step) <= states.order(states.Step.PRECHECK)
    if is_before and found.is_to_be_held and not holds.has_come(found.progress.choices, now):
        return [*steps[place : states.order(states.Step.PRECHECK) + 1], str(_S.HELD), *steps]
    return steps[place:]


def _seconds(until: datetime.datetime, now: datetime.datetime) -> str:
    return f'{(until - now).total_seconds():.0f} s'
