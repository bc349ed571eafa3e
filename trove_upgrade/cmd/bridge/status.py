# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge status` and `abort`: runs, their members, and the end by an operator."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence

from trove_upgrade.bridge.report.building import cause_of
from trove_upgrade.cmd.bridge.audit import OPEN
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import print_line, print_table
from trove_upgrade.domain.bridge_runs import ENDED, Member, Run
from trove_upgrade.domain.openings import OpeningState


def add_commands(commands: Commands) -> None:
    """Add `status` and `abort`."""
    status = commands.add(
        'status',
        'show all runs, or the members of one',
        description='Shows every run, the newest first; with RUN its members, their steps and '
        'why some ended.',
    )
    status.add_argument('run', metavar='RUN', nargs='?', help='id of a run')
    status.add_argument('--json', action='store_true', help='a list of objects, for programs')
    status.set_defaults(command=_status)
    abort = commands.add(
        'abort',
        'end a run: members that wait end at once, those under way are turned back',
        description='Ends a run. Members that no host has begun with end at once. Of those under '
        'way the host that has them removes what was pushed and closes the port.',
    )
    abort.add_argument('run', metavar='RUN', help='id of the run')
    abort.add_argument(
        '--leave-agents',
        action='store_true',
        help='end members also whose guests cannot be entered any more; what was brought into '
        'them stays there',
    )
    abort.set_defaults(command=_abort)


def _status(run: Context, arguments: argparse.Namespace) -> None:
    runs = run.repositories.bridge_runs
    if arguments.run is None:
        _show_runs(runs.all(), as_json=arguments.json)
        return
    found = runs.get(arguments.run)
    members = runs.members(found.id)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(one) for one in members], indent=2, default=str))
        return
    show_members(found, members)


def show_members(found: Run, members: Sequence[Member]) -> None:
    """Print a run and each of its members."""
    print_line(f'Run {found.id}: {found.state}, begun {_moment(found.created_at)}.')
    header = ('instance', 'name', 'state', 'step', 'host', 'code', 'cause')
    print_table(header, [_cells(one) for one in members])


def _show_runs(found: Sequence[Run], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([dataclasses.asdict(one) for one in found], indent=2, default=str))
        return
    if not found:
        print_line('There is no run.')
        return
    header = ('run', 'state', 'begun', 'ended', 'members')
    print_table(header, [_run_cells(one) for one in found])


def _run_cells(one: Run) -> tuple[object, ...]:
    members = ', '.join(f'{count} {state}' for state, count in sorted(one.members.items()))
    ended = None if one.ended_at is None else _moment(one.ended_at)
    return one.id, one.state, _moment(one.created_at), ended, members or None


def _cells(one: Member) -> tuple[object, ...]:
    step = (
        f'{one.step}, turned back'
        if one.is_undoing and not one.facts.is_handed_over
        else str(one.step)
    )
    return one.instance_id, one.name, one.state, step, one.owner, one.error_code, cause_of(one)


def _moment(moment: object) -> str:
    return f'{moment:%Y-%m-%d %H:%M:%S} UTC'


def _abort(run: Context, arguments: argparse.Namespace) -> int:
    runs = run.repositories.bridge_runs
    found = runs.abort(arguments.run, leaves_agents=arguments.leave_agents)
    members = runs.members(found.id)
    ended = {one.instance_id for one in members if one.state in ENDED}
    left = [
        opening
        for opening in run.repositories.openings.of_run(found.id)
        if opening.instance_id in ended and opening.state is not OpeningState.CLOSED
    ]
    reaped = run.reaper.close_all(left)
    for opening, error in reaped.failed:
        print_line(f'Not closed: opening {opening.id}: {error.message}', sys.stderr)
    now = run.repositories.upgrades.now()
    until = [
        one.lease_until
        for one in members
        if one.state not in ENDED and one.lease_until is not None and one.lease_until > now
    ]
    orphaned = len(members) - len(ended) - len(until)
    print_line(f'Run {found.id}: {found.state}. Turned back by their hosts: {len(until)}.')
    if until:
        print_line(
            f'Where such a host was killed, "trove-upgrade-bridge resume {found.id}", with the '
            f'options of the way to the guests, turns them back after {_moment(max(until))}.'
        )
    if orphaned:
        print_line(
            f'Something may be in the guests of {orphaned} that no host works on: '
            f'"trove-upgrade-bridge resume {found.id}", with the options of the way to them, '
            'removes it; "abort --leave-agents" leaves it there.'
        )
    return OPEN if reaped.failed else 0
