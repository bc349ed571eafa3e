# SPDX-License-Identifier: Apache-2.0
"""Makes the report of a run; asks nothing."""

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from trove_upgrade.bridge import audit
from trove_upgrade.bridge.report import advice
from trove_upgrade.bridge.report.model import (
    CodePart,
    InstancePart,
    Openings,
    OpenPart,
    Outcome,
    Report,
    StepTime,
    Totals,
    WavePart,
)
from trove_upgrade.bridge.report.remedies import Advice, Remedy
from trove_upgrade.domain.bridge_ends import BY_CLIENTS, RunAborted
from trove_upgrade.domain.bridge_runs import (
    ENDED,
    Member,
    MemberState,
    Run,
    RunScope,
    stopped,
)
from trove_upgrade.domain.openings import Opening
from trove_upgrade.domain.pace import Turn, Wait

_ENDS = {
    MemberState.COMPLETED: Outcome.COMPLETED,
    MemberState.FAILED: Outcome.FAILED,
    MemberState.ABORTED: Outcome.ABORTED,
    MemberState.LEFT_OUT: Outcome.LEFT_OUT,
}
_LAST = 1 << 30


def build(
    run: Run,
    members: Sequence[Member],
    turn: Turn,
    openings: Openings,
    made_at: datetime.datetime,
) -> Report:
    """Return the report of a run.

    `turn`: why members wait.
    """
    is_worked_on = any(
        one.state not in ENDED and one.instance_id not in turn.waits for one in members
    )
    found = sorted(
        (_instance(run, one, turn, made_at, is_worked_on=is_worked_on) for one in members),
        key=_place,
    )
    failed = sum(one.outcome in {Outcome.FAILED, Outcome.TURNING_BACK} for one in found)
    counted = [one for one in members if one.state is not MemberState.LEFT_OUT]
    stop = stopped(run, turn)
    return Report(
        run=run,
        made_at=made_at,
        stop=None if stop is None else turn.stop,
        stopped=None if stop is None else stop.message,
        failed=failed,
        allowed_failures=run.pace.stop.allowed(len(counted)),
        totals=_totals(found),
        instances=tuple(found),
        openings=openings,
    )


def openings_of(found: audit.Report) -> Openings:
    """Return what an audit has found."""
    return Openings(
        found=(
            *map(_of_finding, found.findings),
            *(_of_row(opening) for opening in found.without_group),
        ),
        is_clean=found.is_clean,
    )


def cause_of(one: Member) -> str | None:
    """Return the cause of a member, and why what was pushed is still in its guest."""
    left = one.facts.not_removed
    told = None if left is None else f'What was pushed is still in the guest: {left}'
    return ' '.join(text for text in (one.cause, told) if text) or None


def _place(one: InstancePart) -> tuple[int, int, str]:
    wave = one.member.wave
    return list(Outcome).index(one.outcome), _LAST if wave is None else wave, one.member.instance_id


def _instance(
    run: Run, member: Member, turn: Turn, made_at: datetime.datetime, *, is_worked_on: bool
) -> InstancePart:
    wait = turn.waits.get(member.instance_id)
    outcome = _outcome(member, wait)
    steps = tuple(
        StepTime(
            step=str(one.step),
            started_at=one.started_at,
            ended_at=one.ended_at,
            end=None if one.end is None else str(one.end),
            message=one.message,
        )
        for one in member.steps
    )
    is_held = member.state not in ENDED and wait is None
    return InstancePart(
        member=member,
        outcome=outcome,
        wait=wait,
        steps=steps,
        seconds=_seconds(member, steps, made_at if is_held else None),
        cause=cause_of(member),
        left=_left(run, member, outcome, wait, is_worked_on=is_worked_on),
    )


def _outcome(member: Member, wait: Wait | None) -> Outcome:
    if member.state in _ENDS:
        return _ENDS[member.state]
    if member.is_undoing:
        return Outcome.TURNING_BACK
    return Outcome.RUNNING if wait is None else Outcome.WAITING


def _seconds(
    member: Member, steps: Sequence[StepTime], now: datetime.datetime | None
) -> float | None:
    """Return the time from the first step on: to the member's end, to `now` where it goes on, or
    where it was left, to the last end of a step.
    """
    if not steps:
        return None
    ends = [one.ended_at for one in steps if one.ended_at is not None]
    last = member.ended_at or now or max(ends, default=steps[0].started_at)
    return max((last - steps[0].started_at).total_seconds(), 0.0)


def _left(
    run: Run, member: Member, outcome: Outcome, wait: Wait | None, *, is_worked_on: bool
) -> Advice:
    match outcome:
        case Outcome.COMPLETED:
            return _of_completed(run)
        case Outcome.RUNNING:
            return Advice(Remedy.WAIT, 'A host works on it.')
        case Outcome.TURNING_BACK:
            return _of_turned_back(run, member, wait)
        case Outcome.WAITING:
            return _of_waiting(run, wait, is_worked_on=is_worked_on)
        case Outcome.ABORTED if _has_upgrade_of_ours(member):
            return Advice(
                Remedy.LOOK,
                'Its upgrade goes its own way: look at it with "trove-upgrade-manage upgrade show '
                f'{member.facts.upgrade_id}".',
            )
        case _:
            by_operator = RunAborted.code if outcome is Outcome.ABORTED else None
            return advice.of_code(member.error_code or by_operator)


def _has_upgrade_of_ours(member: Member) -> bool:
    """Return whether an upgrade that the run has begun may go on."""
    return member.facts.upgrade_id is not None and member.error_code not in BY_CLIENTS


def _of_completed(run: Run) -> Advice:
    if run.scope is RunScope.AGENT:
        return Advice(
            Remedy.UPGRADE,
            'Our agent is in it. Upgrade it as any other instance, or with '
            '"trove-upgrade-bridge run --upgrade-to VERSION".',
        )
    if run.scope is RunScope.REACH:
        return Advice(Remedy.NOTHING, 'It can be reached: "trove-upgrade-bridge run" may follow.')
    return Advice(Remedy.NOTHING, 'It is upgraded, and was looked at.')


def _of_turned_back(run: Run, member: Member, wait: Wait | None) -> Advice:
    if wait is None:
        return Advice(Remedy.WAIT, 'A host removes what was pushed, and closes its port.')
    again = f'"trove-upgrade-bridge resume {run.id}"'
    if not member.facts.is_in_guest:
        return Advice(Remedy.RESUME, f'{again} ends it.')
    return Advice(
        Remedy.RESUME,
        f'Something of ours may be in its guest: {again} removes it, '
        f'"trove-upgrade-bridge abort --leave-agents {run.id}" leaves it there.',
    )


def _of_waiting(run: Run, wait: Wait | None, *, is_worked_on: bool) -> Advice:
    again = f'trove-upgrade-bridge resume {run.id}'
    if wait is Wait.STOPPED:
        return Advice(
            Remedy.RESUME,
            f'Mend what has failed, then "{again} --accept-failures", or end the run with "abort".',
        )
    if is_worked_on:
        return Advice(Remedy.WAIT, 'It comes in its turn.')
    return Advice(Remedy.RESUME, f'No host works on the run: "{again}" goes on with it.')


def _totals(found: Sequence[InstancePart]) -> Totals:
    return Totals(
        instances=len(found),
        outcomes=_ordered(one.outcome for one in found),
        states=dict(sorted(Counter(one.member.state for one in found).items())),
        waves=tuple(_waves(found)),
        codes=tuple(_codes(found)),
        waits=dict(sorted(Counter(one.wait for one in found if one.wait is not None).items())),
    )


def _ordered(outcomes: Iterable[Outcome]) -> dict[Outcome, int]:
    counted = Counter(outcomes)
    return {outcome: counted[outcome] for outcome in Outcome if counted[outcome]}


def _waves(found: Sequence[InstancePart]) -> Iterator[WavePart]:
    for number in sorted({one.member.wave for one in found if one.member.wave is not None}):
        counts = _ordered(one.outcome for one in found if one.member.wave == number)
        yield WavePart(number=number, counts=counts)


def _codes(found: Sequence[InstancePart]) -> Iterator[CodePart]:
    """Yield the codes of what was tried, then of what was left out; the most frequent first."""
    counted: Counter[str] = Counter()
    tried: set[str] = set()
    for one in found:
        code = one.member.error_code
        if code is not None:
            counted[code] += 1
            if one.outcome is not Outcome.LEFT_OUT:
                tried.add(code)
    for code in sorted(counted, key=lambda code: (code not in tried, -counted[code], code)):
        yield CodePart(code=code, count=counted[code], left=advice.of_code(code))


def _of_finding(finding: audit.Finding) -> OpenPart:
    opening = finding.opening
    sources = tuple(
        rule.source or 'any' for rule in finding.group.rules if rule.direction == 'ingress'
    )
    return OpenPart(
        verdict=str(finding.verdict),
        is_harmless=finding.verdict in audit.HARMLESS,
        group_id=finding.group.id,
        opening_id=None if opening is None else opening.id,
        instance_id=None if opening is None else opening.instance_id,
        port_ids=finding.port_ids,
        sources=sources,
        lease_until=None if opening is None else opening.lease_until,
        remarks=finding.remarks,
    )


def _of_row(opening: Opening) -> OpenPart:
    return OpenPart(
        verdict=f'{opening.state} without a group',
        is_harmless=False,
        group_id=None,
        opening_id=opening.id,
        instance_id=opening.instance_id,
        port_ids=(opening.port_id,),
        sources=(opening.source,),
        lease_until=opening.lease_until,
    )
