# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge reach` and `resume`: into every old guest and out again."""

import argparse
import contextlib
import functools
import os
import socket
from collections.abc import Callable, Sequence

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade import conf as our_conf
from trove_upgrade.bridge.crew import Crew
from trove_upgrade.bridge.host_keys import PinnedHostKeys
from trove_upgrade.bridge.opener import Opener
from trove_upgrade.bridge.reach.shell import open_shell
from trove_upgrade.bridge.runner import MemberRunner
from trove_upgrade.bridge.steps.step import RunnableStep
from trove_upgrade.bridge.steps.way_in import Close, Open, Reach
from trove_upgrade.bridge.visit import Door, Visit
from trove_upgrade.clock import SystemClock
from trove_upgrade.cmd.bridge import audit, way
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.bridge.status import show_members
from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import UsageError, print_line
from trove_upgrade.domain.bridge_runs import (
    STEPS_OF,
    Member,
    MemberState,
    MemberStep,
    Run,
    RunScope,
)
from trove_upgrade.domain.exceptions import ComputeUnavailable
from trove_upgrade.domain.inventory import Listed
from trove_upgrade.domain.network import NetworkUnavailable

#: Exit code: a member has failed, or was not worked on.
_FAILED = 1
_MOST_AT_ONCE = 64
_WELL = frozenset({MemberState.COMPLETED, MemberState.LEFT_OUT})


def add_commands(commands: Commands) -> None:
    """Add `reach` and `resume`."""
    reach = commands.add(
        'reach',
        'log in to old guests and leave them: nothing is changed there',
        description='Begins a run: opens SSH to each guest, logs in, and closes it again. So '
        'routes, accounts and host keys are known to be right before an agent is pushed. Exit code '
        '1: a guest was not reached; 3: something is still open.',
    )
    which = reach.add_mutually_exclusive_group(required=True)
    which.add_argument(
        '--instance', action='append', default=[], metavar='INSTANCE', help='id; several'
    )
    which.add_argument('--all', action='store_true', help='every instance of the inventory')
    reach.add_argument(
        '--dry-run', action='store_true', help='show what would be done for each, and do nothing'
    )
    _add_way(reach)
    reach.set_defaults(command=_reach)
    resume = commands.add(
        'resume',
        'go on with a run, where another process or host has left it',
        description='Works on the members of a run that have not ended and that no host holds.',
    )
    resume.add_argument('run', metavar='RUN', help='id of the run')
    _add_way(resume)
    resume.set_defaults(command=_resume)


def _add_way(parser: argparse.ArgumentParser) -> None:
    way.add_options(parser)
    parser.add_argument(
        '--at-once', type=_count, default=4, metavar='N', help='guests at a time (default: 4)'
    )


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= _MOST_AT_ONCE:
        raise argparse.ArgumentTypeError(f'not from 1 to {_MOST_AT_ONCE}: {text}')
    return count


def _reach(run: Context, arguments: argparse.Namespace) -> int:
    members = _chosen(run.inventory.take(), arguments.instance)
    with way.made(arguments) as ways:
        if arguments.dry_run:
            _show_plan(run, members, ways)
            return 0
        begun = run.repositories.bridge_runs.begin(members, RunScope.REACH)
        print_line(f'Run {begun.id}: {len(members)} instances.')
        return _work(run, begun, ways, arguments.at_once)


def _resume(run: Context, arguments: argparse.Namespace) -> int:
    found = run.repositories.bridge_runs.get(arguments.run)
    with way.made(arguments) as ways:
        return _work(run, found, ways, arguments.at_once)


def _chosen(listed: Sequence[Listed], ids: Sequence[str]) -> list[Listed]:
    if not ids:
        return list(listed)
    by_id = {one.instance_id: one for one in listed}
    unknown = [one for one in ids if one not in by_id]
    if unknown:
        raise UsageError(f'reach: the inventory has no instance {", ".join(unknown)}')
    return [by_id[one] for one in dict.fromkeys(ids)]


def _show_plan(run: Context, members: Sequence[Listed], ways: way.Ways) -> None:
    door = _door(run, ways)
    for listed in members:
        if listed.obstacle is not None:
            print_line(f'{listed.instance_id}: left out, {listed.obstacle}')
            continue
        print_line(f'{listed.instance_id}: {door.plan(listed)}')


def _work(run: Context, begun: Run, ways: way.Ways, count: int) -> int:
    """Work, show how each member is, and what of this run is open."""
    try:
        Crew(_runners(run, begun.scope, ways), count).work(begun.id)
    except Exception:  # the report comes first, then the error
        with contextlib.suppress(Exception):
            _report(run, begun.id)
        raise
    except BaseException:
        _report(run, begun.id)
        raise
    return _report(run, begun.id)


def _report(run: Context, run_id: str) -> int:
    runs = run.repositories.bridge_runs
    members = runs.members(run_id)
    show_members(runs.get(run_id), members)
    _tell_of_held(members)
    report = run.auditor.look().of_run(run_id)
    audit.show(report)
    if not report.is_clean:
        return audit.OPEN
    return 0 if all(member.state in _WELL for member in members) else _FAILED


def _tell_of_held(members: Sequence[Member]) -> None:
    """Print what this process could not claim."""
    until = [member.lease_until for member in members if member.lease_until is not None]
    if until:
        print_line(
            f'Held by other processes: {len(until)}. Where they were killed, resume the run after '
            f'{max(until):%Y-%m-%d %H:%M:%S} UTC.'
        )


def _runners(
    run: Context, scope: RunScope, ways: way.Ways
) -> Callable[[int, Callable[[], bool]], MemberRunner]:
    repositories = run.repositories
    door = _door(run, ways)
    steps = _steps(door, scope)

    def make(number: int, is_stopping: Callable[[], bool]) -> MemberRunner:
        return MemberRunner(
            runs=repositories.bridge_runs,
            openings=repositories.openings,
            door=door,
            steps=steps,
            remove=_nothing_was_pushed,
            clock=SystemClock(),
            owner=f'{socket.gethostname()}:{os.getpid()}:{number}',
            lease_seconds=run.conf[our_conf.GROUP].bridge_lease_seconds,
            tell=_tell,
            is_outage=_is_outage,
            is_stopping=is_stopping,
        )

    return make


def _door(run: Context, ways: way.Ways) -> Door:
    openings = run.repositories.openings
    return Door(
        network=run.cloud.network,
        openings=openings,
        opener=Opener(
            network=run.cloud.network,
            openings=openings,
            closer=run.closer,
            lease_seconds=run.conf[our_conf.GROUP].bridge_lease_seconds,
        ),
        closer=run.closer,
        chooser=ways.chooser,
        accounts=ways.accounts,
        log_in=functools.partial(
            open_shell,
            host_keys=PinnedHostKeys(run.repositories.host_keys),
            limits=ways.limits,
            clock=SystemClock(),
        ),
    )


def _steps(door: Door, scope: RunScope) -> dict[MemberStep, RunnableStep]:
    steps: dict[MemberStep, RunnableStep] = {
        MemberStep.OPEN: Open(door=door),
        MemberStep.REACH: Reach(door=door),
        MemberStep.CLOSE: Close(door=door),
    }
    return {step: steps[step] for step in steps if step in STEPS_OF[scope]}


def _nothing_was_pushed(member: Member, visit: Visit) -> None:
    """Remove nothing: no step of this scope pushes anything."""


def _is_outage(error: Exception) -> bool:
    return isinstance(
        error, (NetworkUnavailable, ComputeUnavailable, db_exc.DBError, sa.exc.SQLAlchemyError)
    )


def _tell(member: Member, message: str) -> None:
    print_line(f'{member.instance_id} {member.step}: {message}')
