# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge report`, and the end of each run: its members, and what of it is open."""

import argparse
import dataclasses
import json
from collections.abc import Iterator, Sequence

from trove_upgrade.cmd.bridge import audit
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.bridge.status import cause_of, show_members
from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import print_line
from trove_upgrade.domain.bridge_runs import Member, MemberState, MemberStepRun, Run, RunState

#: Exit code: a member has failed, or was not worked on.
FAILED = 1
_WELL = frozenset({MemberState.COMPLETED, MemberState.LEFT_OUT})
_MOMENT = '%Y-%m-%d %H:%M:%S'


def add_commands(commands: Commands) -> None:
    """Add `report`."""
    report = commands.add(
        'report',
        'show everything that a run has done, and what of it is open',
        description='Shows each member of a run with its steps, how long they took, and what was '
        'found after its upgrade; then what of the run is open at Neutron. Exit code 1: a member '
        'has failed or has not ended; 3: something is open.',
    )
    report.add_argument('run', metavar='RUN', help='id of the run')
    report.add_argument('--json', action='store_true', help='an object, for programs')
    report.set_defaults(command=_report)


def end(run: Context, run_id: str) -> int:
    """Show a run in short, as it is when this process has done its part; return the exit code."""
    runs = run.repositories.bridge_runs
    members = runs.members(run_id)
    show_members(runs.get(run_id), members)
    _tell_of_held(members)
    return _ended(run, run_id, members)


def _report(run: Context, arguments: argparse.Namespace) -> int:
    runs = run.repositories.bridge_runs
    found = runs.get(arguments.run)
    members = runs.members(found.id)
    if arguments.json:
        return _as_json(run, found, members)
    for line in _lines(found, members):
        print_line(line)
    _tell_of_held(members)
    return _ended(run, found.id, members)


def _as_json(run: Context, found: Run, members: Sequence[Member]) -> int:
    report = run.auditor.look().of_run(found.id)
    shown = {
        'run': dataclasses.asdict(found),
        'members': [dataclasses.asdict(one) for one in members],
        'audit': audit.as_json(report),
    }
    print(json.dumps(shown, indent=2, default=str))
    return _code(members, is_clean=report.is_clean)


def _ended(run: Context, run_id: str, members: Sequence[Member]) -> int:
    report = run.auditor.look().of_run(run_id)
    audit.show(report)
    return _code(members, is_clean=report.is_clean)


def _code(members: Sequence[Member], *, is_clean: bool) -> int:
    if not is_clean:
        return audit.OPEN
    return 0 if all(member.state in _WELL for member in members) else FAILED


def _lines(found: Run, members: Sequence[Member]) -> Iterator[str]:
    ended = '' if found.ended_at is None else f', ended {found.ended_at:{_MOMENT}}{_took(found)}'
    yield f'Run {found.id}: {found.state}, begun {found.created_at:{_MOMENT}} UTC{ended}.'
    counted = ', '.join(f'{count} {state}' for state, count in sorted(found.members.items()))
    yield f'{len(members)} instances: {counted}.'
    if found.state is RunState.ABORTED:
        yield 'An operator aborted it.'
    for member in members:
        yield ''
        yield from _member(member)


def _took(found: Run) -> str:
    if found.ended_at is None:
        return ''
    return f', {(found.ended_at - found.created_at).total_seconds():.0f} s in all'


def _member(member: Member) -> Iterator[str]:
    yield f'{member.instance_id} {member.name}: {member.state}'
    for one in member.steps:
        yield f'  {one.step:8} {_seconds(one):>8}  {one.end or "-":6}  {one.message or ""}'.rstrip()
    for look in member.facts.verified:
        yield f'  {look.outcome:11} {look.name}: {look.message}'
    if cause_of(member) is not None:
        yield f'  {member.error_code or "cause"}: {cause_of(member)}'


def _seconds(one: MemberStepRun) -> str:
    if one.ended_at is None:
        return '-'
    return f'{(one.ended_at - one.started_at).total_seconds():.1f} s'


def _tell_of_held(members: Sequence[Member]) -> None:
    """Print what this process could not claim."""
    until = [member.lease_until for member in members if member.lease_until is not None]
    if until:
        print_line(
            f'Held by other processes: {len(until)}. Where they were killed, resume the run after '
            f'{max(until):%Y-%m-%d %H:%M:%S} UTC.'
        )
