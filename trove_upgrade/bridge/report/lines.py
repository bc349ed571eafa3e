# SPDX-License-Identifier: Apache-2.0
"""Report as lines for a terminal."""

from collections.abc import Iterator

from trove_upgrade.bridge.report.durations import in_words
from trove_upgrade.bridge.report.model import InstancePart, Report, StepTime, Totals
from trove_upgrade.bridge.report.remedies import REMEDIES, Remedy
from trove_upgrade.domain.bridge_runs import RunState
from trove_upgrade.domain.pace import CANARY, WAITS

_MOMENT = '%Y-%m-%d %H:%M:%S'


def lines(report: Report) -> Iterator[str]:
    """Yield them, the run first; what is open is not among them."""
    yield from _of_run(report)
    for one in report.instances:
        yield ''
        yield from _instance(one)


def _of_run(report: Report) -> Iterator[str]:
    run, totals = report.run, report.totals
    ended = '' if run.ended_at is None else f', ended {run.ended_at:{_MOMENT}}'
    yield (
        f'Run {run.id}: {run.state}, begun {run.created_at:{_MOMENT}} UTC{ended}, '
        f'{in_words(report.seconds)} in all.'
    )
    yield _states_line(totals)
    if run.state is RunState.ABORTED:
        yield 'An operator aborted it.'
    yield pace_line(report)
    if report.stopped is not None:
        yield report.stopped
    yield from _reason_lines(totals)


def count_lines(report: Report) -> Iterator[str]:
    """Yield the counts of a run by state, by reason to wait and by code, left out ones as well."""
    yield _states_line(report.totals)
    yield from _reason_lines(report.totals)


def _states_line(totals: Totals) -> str:
    counted = ', '.join(f'{count} {state}' for state, count in totals.states.items())
    return f'{totals.instances} instances: {counted}.'


def _reason_lines(totals: Totals) -> Iterator[str]:
    for wait, count in totals.waits.items():
        yield f'Waiting: {count} as {WAITS[wait]}.'
    for code in totals.codes:
        yield f'{code.count} {code.code}: {REMEDIES[code.left.remedy]}. {code.left.text}'


def pace_line(report: Report) -> str:
    """Return the rules of a run in one sentence."""
    pace, limits = report.run.pace, report.run.pace.limits
    canary = f'a canary of {pace.canary}' if pace.canary else 'no canary'
    waves = f'waves of {pace.wave_size}' if pace.wave_size else 'one wave'
    accepted = report.run.accepted_failures
    seen = f', of which {accepted} were accepted' if accepted else ''
    return (
        f'Limits: {limits.at_once} at once, {limits.per_node} per network node, '
        f'{limits.per_hypervisor} per hypervisor; {canary}, {waves}; goes on with '
        f'{report.allowed_failures} failures, has {report.failed}{seen}.'
    )


def _instance(one: InstancePart) -> Iterator[str]:
    member = one.member
    yield f'{member.instance_id} {member.name}: {member.state}{_where(one)}'
    for step in one.steps:
        told = f'  {step.step:8} {_seconds(step):>8}  {step.end or "-":6}  {message_of(one, step)}'
        yield told.rstrip()
    for look in member.facts.verified:
        yield f'  {look.outcome:11} {look.name}: {look.message}'
    if one.cause is not None:
        yield f'  {member.error_code or "cause"}: {one.cause}'
    if one.wait is not None:
        yield f'  waits: {WAITS[one.wait]}'
    if one.left.remedy is not Remedy.NOTHING:
        yield f'  left: {REMEDIES[one.left.remedy]}. {one.left.text}'


def _where(one: InstancePart) -> str:
    member = one.member
    found = (
        None if member.wave is None else wave_name(member.wave),
        None if member.hosts.node is None else f'node {member.hosts.node}',
        None if member.hosts.hypervisor is None else f'hypervisor {member.hosts.hypervisor}',
        None if one.seconds is None else in_words(one.seconds),
    )
    told = ', '.join(part for part in found if part is not None)
    return f' ({told})' if told else ''


def wave_name(number: int) -> str:
    """Return a wave in words."""
    return 'canary' if number == CANARY else f'wave {number}'


def message_of(one: InstancePart, step: StepTime) -> str:
    """Return the message of a step, where the cause of the instance does not have it, too."""
    return '' if step.message is None or step.message in (one.cause or '') else step.message


def _seconds(step: StepTime) -> str:
    return '-' if step.seconds is None else f'{step.seconds:.1f} s'
