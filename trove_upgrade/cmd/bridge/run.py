# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge reach`, `run` and `resume`."""

import argparse

from trove_upgrade.cmd.bridge import logins, smoke, way, work
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import UsageError
from trove_upgrade.domain.bridge_runs import MemberState, RunScope

#: States of members that a guest's login is still needed for.
_GOING = frozenset({MemberState.PENDING, MemberState.RUNNING})


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
    work.add_way(resume)
    work.add_bundle(resume, required=False)
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
    work.add_way(reach)
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
    work.add_way(run)
    work.add_bundle(run, required=True)
    smoke.add_options(run)
    run.set_defaults(command=_begin, scope=RunScope.AGENT)


def _begin(run: Context, arguments: argparse.Namespace) -> int:
    shape, bundle = smoke.shape_of(arguments), work.bundle_of(arguments)
    smoke.require(shape, is_upgrade=arguments.upgrade_to is not None)
    plan = _plan(run, arguments)
    with way.made(arguments) as ways:
        entered = [one.instance_id for one in plan.members if one.obstacle is None]
        logins.require(ways.accounts, entered)
        tools = work.Tools(ways=ways, at_once=arguments.at_once, bundle=bundle)
        if arguments.dry_run:
            work.show_plan(run, plan, tools)
            smoke.show_plan(plan.targets.values(), shape)
            return 0
        begun = work.begin(run, plan, tools)
        code = work.work(run, begun, tools)
    return max(code, smoke.make(run, begun.id, shape))


def _plan(run: Context, arguments: argparse.Namespace) -> work.Plan:
    members = work.chosen(run.inventory.take(), arguments.instance)
    if arguments.upgrade_to is None:
        return work.Plan(members=members, scope=arguments.scope)
    chosen, targets = run.targets.choose(members, arguments.upgrade_to)
    if not targets:
        raise UsageError(
            f'run: {arguments.upgrade_to} follows the version of none of these instances; "check" '
            'names what may follow'
        )
    return work.Plan(members=chosen, scope=RunScope.UPGRADE, targets=targets)


def _resume(run: Context, arguments: argparse.Namespace) -> int:
    shape, bundle = smoke.shape_of(arguments), work.bundle_of(arguments)
    found = run.repositories.bridge_runs.get(arguments.run)
    smoke.require(shape, is_upgrade=found.scope is RunScope.UPGRADE)
    members = run.repositories.bridge_runs.members(found.id)
    with way.made(arguments) as ways:
        logins.require(ways.accounts, [one.instance_id for one in members if one.state in _GOING])
        tools = work.Tools(ways=ways, at_once=arguments.at_once, bundle=bundle)
        code = work.work(run, found, tools)
    return max(code, smoke.make(run, found.id, shape))
