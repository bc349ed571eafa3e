# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge reach`, `run` and `resume`."""

import argparse
import dataclasses

from trove_upgrade.cmd.bridge import logins, pace, smoke, view, way, work
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import UsageError
from trove_upgrade.domain.bridge_runs import (
    AFTER_CLOSE,
    ENDED,
    Member,
    MemberStep,
    RunScope,
    first_step,
)


def add_commands(commands: Commands) -> None:
    """Add `reach`, `run` and `resume`."""
    _add_reach(commands)
    _add_run(commands)
    resume = commands.add(
        'resume',
        'go on with a run, where another process or host has left it',
        description='Works on the members of a run that have not ended and that no host holds.',
    )
    resume.add_argument('run', metavar='RUN', help='id of the run')
    way.add_options(resume)
    pace.add_changes(resume)
    view.add_options(resume)
    work.add_bundle(resume)
    smoke.add_options(resume)
    resume.set_defaults(command=_resume)


def _add_reach(commands: Commands) -> None:
    reach = commands.add(
        'reach',
        'log in to old guests and leave them: nothing is changed there',
        description='Begins a run: opens SSH to each guest, logs in, and closes it again. So '
        'routes, accounts and host keys are known to be right before an agent is pushed. Exit code '
        '1: a guest was not reached; 3: something is still open.',
    )
    work.add_which(reach)
    way.add_options(reach)
    pace.add_options(reach)
    view.add_options(reach)
    reach.set_defaults(command=_begin, scope=RunScope.REACH)
    reach.set_defaults(bundle=None, upgrade_to=None, smoke_create=False)


def _add_run(commands: Commands) -> None:
    run = commands.add(
        'run',
        'bring our agent into old guests, beside their own, and upgrade them',
        description='Begins a run: opens SSH to each guest, brings our agent in beside the old '
        'one, waits until it is heard, and closes SSH again. Neither the old agent nor the '
        'database is stopped; where something fails, all that was brought is removed. With '
        '--upgrade-to each is then upgraded and looked at. Exit code 1: a guest has failed; 3: '
        'something is still open.',
    )
    run.add_argument(
        '--upgrade-to',
        metavar='VERSION',
        help='name or id of the datastore version that each is upgraded to; without it the run '
        'ends when our agent is heard',
    )
    work.add_which(run)
    way.add_options(run)
    pace.add_options(run)
    view.add_options(run)
    work.add_bundle(run)
    smoke.add_options(run)
    run.set_defaults(command=_begin, scope=RunScope.AGENT)


def _begin(run: Context, arguments: argparse.Namespace) -> int:
    shape, bundle = smoke.shape_of(arguments), work.bundle_of(arguments)
    smoke.require(shape, is_upgrade=arguments.upgrade_to is not None)
    plan = _plan(run, arguments)
    waiting = [one for one in plan.members if one.obstacle is None]
    entered = [one for one in waiting if first_step(one) is MemberStep.OPEN]
    with way.made(arguments) as ways:
        logins.require(ways.accounts, [one.instance_id for one in entered])
        tools = work.Tools(ways=ways, bundle=bundle)
        push = work.push_for(run, tools, plan.scope, map(first_step, waiting))
        if arguments.dry_run:
            code = work.show_plan(run, plan, tools)
            smoke.show_plan(plan.targets.values(), shape)
            return code
        begun = work.begin(run, plan, tools)
        code = work.work(run, begun, tools, push, is_plain=arguments.plain)
    return max(code, smoke.make(run, begun.id, shape))


def _plan(run: Context, arguments: argparse.Namespace) -> work.Plan:
    members = work.chosen(run.inventory.take(), arguments.instance)
    plan = work.Plan(members=members, scope=arguments.scope, pace=pace.of(arguments))
    if arguments.upgrade_to is not None:
        chosen, targets = run.targets.choose(members, arguments.upgrade_to, arguments.instance)
        plan = dataclasses.replace(plan, members=chosen, scope=RunScope.UPGRADE, targets=targets)
    _require_members(plan, arguments)
    return plan


def _require_members(plan: work.Plan, arguments: argparse.Namespace) -> None:
    """Refuse instances that were named and cannot be tried."""
    left_out = [one for one in plan.members if one.obstacle is not None]
    if left_out and arguments.instance:
        found = ', '.join(f'{one.instance_id}: {one.obstacle}' for one in left_out)
        raise UsageError(f'nothing begins: {found}; "inventory" and "check" tell more')


def _resume(run: Context, arguments: argparse.Namespace) -> int:
    shape, bundle = smoke.shape_of(arguments), work.bundle_of(arguments)
    runs = run.repositories.bridge_runs
    found = runs.get(arguments.run)
    smoke.require(shape, is_upgrade=found.scope is RunScope.UPGRADE)
    going = [one for one in runs.members(found.id) if one.state not in ENDED]
    forward = [one for one in going if not one.is_undoing]
    with way.made(arguments) as ways:
        logins.require(ways.accounts, [one.instance_id for one in going if _is_entered(one)])
        tools = work.Tools(ways=ways, bundle=bundle)
        push = work.push_for(run, tools, found.scope, (one.step for one in forward))
        found = pace.change(run, found, arguments)
        code = work.work(run, found, tools, push, is_plain=arguments.plain)
    return max(code, smoke.make(run, found.id, shape))


def _is_entered(member: Member) -> bool:
    """Return whether the guest of a member that goes on has to be entered."""
    if not member.is_undoing:
        return member.step not in AFTER_CLOSE
    return member.facts.is_in_guest and not member.facts.is_handed_over
