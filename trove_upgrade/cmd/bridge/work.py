# SPDX-License-Identifier: Apache-2.0
"""Work on a run from this process: its crew, its steps, and the report at its end."""

import argparse
import contextlib
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from trove_upgrade.bridge.bundle import archive
from trove_upgrade.bridge.crew import Crew, Pauses
from trove_upgrade.bridge.outages import Outages
from trove_upgrade.bridge.steps.push import Push
from trove_upgrade.bridge.visit import Door, NoWayIn
from trove_upgrade.clock import SystemClock
from trove_upgrade.cmd.bridge import closing, report, runners, view, way
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.bridge.lines import Output
from trove_upgrade.cmd.console.printing import UsageError, print_line
from trove_upgrade.db import guest_security
from trove_upgrade.db.errors import GuestKeysUnset
from trove_upgrade.domain.bridge_runs import MemberStep, Run, RunPlan, RunScope, first_step
from trove_upgrade.domain.inventory import Listed
from trove_upgrade.domain.pace import Hosts, Pace

#: An outage of Neutron, Nova, Trove or the database is waited for so long.
OUTAGE_SECONDS = 600.0
#: A member at one of these may have to be pushed to.
_BEFORE_PROVEN = frozenset({MemberStep.OPEN, MemberStep.REACH, MemberStep.PUSH})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Members of a run that is to begin, and how far it leads."""

    members: Sequence[Listed]
    scope: RunScope
    pace: Pace
    #: of an instance, the id of its next version
    targets: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tools:
    """Means that the operator gave for a run."""

    ways: way.Ways
    bundle: archive.Bundle | None = None  #: None: nothing is pushed


def add_which(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose instances."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        '--instance', action='append', default=[], metavar='INSTANCE', help='id; several'
    )
    which.add_argument('--all', action='store_true', help='every instance of the inventory')
    parser.add_argument(
        '--dry-run', action='store_true', help='show what would be done for each, and do nothing'
    )


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """Add the options of the bundle."""
    parser.add_argument(
        '--bundle',
        metavar='FILE',
        help='archive of "make bundle", with its .sha256, and its .sig where --public-key is given',
    )
    parser.add_argument(
        '--public-key', metavar='FILE', help='PEM of the key that the bundle must be signed by'
    )


def bundle_of(arguments: argparse.Namespace) -> archive.Bundle | None:
    """Return the bundle that was named, checked.

    :raises BundleInvalid: it cannot be used.
    """
    if arguments.bundle is None:
        return None
    key = arguments.public_key
    return archive.check(pathlib.Path(arguments.bundle), None if key is None else pathlib.Path(key))


def chosen(listed: Sequence[Listed], ids: Sequence[str]) -> list[Listed]:
    """Return the instances of these ids; without any, all.

    :raises UsageError: the inventory does not have one.
    """
    if not ids:
        return list(listed)
    by_id = {one.instance_id: one for one in listed}
    unknown = [one for one in ids if one not in by_id]
    if unknown:
        raise UsageError(f'the inventory has no instance {", ".join(unknown)}')
    return [by_id[one] for one in dict.fromkeys(ids)]


def begin(run: Context, plan: Plan, tools: Tools) -> Run:
    """Begin a run.

    :raises InstanceInOtherRun: a member is in one that has not ended.
    """
    waiting = [one for one in plan.members if one.obstacle is None]
    entered = [one for one in waiting if first_step(one) is MemberStep.OPEN]
    nodes = runners.door_of(run, tools.ways).nodes(entered)
    loaded = {
        one.instance_id: Hosts(node=nodes.get(one.instance_id), hypervisor=one.hypervisor)
        for one in waiting
    }
    decided = RunPlan(targets=plan.targets, pace=plan.pace, loaded=loaded)
    begun = run.repositories.bridge_runs.begin(plan.members, plan.scope, decided)
    Output()(f'Run {begun.id}: {len(plan.members)} instances.')
    return begun


def push_for(
    run: Context, tools: Tools, scope: RunScope, members: Iterable[MemberStep]
) -> Push | None:
    """Return the step that pushes, None where none of the members, each at its step, needs it.

    :raises UsageError, GuestKeysUnset, GuestConfigFileUnreadable: what it needs is not there.
    """
    if scope is RunScope.REACH or not any(step in _BEFORE_PROVEN for step in members):
        return None
    if tools.bundle is None:
        raise UsageError('this run brings an agent in: name its archive with --bundle')
    if guest_security.wrapping_of(run.conf) is None:
        raise GuestKeysUnset(service='trove-upgrade-bridge')
    return runners.push_of(run, tools.ways, tools.bundle)


def show_plan(run: Context, plan: Plan, tools: Tools) -> int:
    """Print every action that would be taken, for each instance; return the exit code."""
    door, code = runners.door_of(run, tools.ways), 0
    for listed in plan.members:
        if listed.obstacle is not None:
            print_line(f'{listed.instance_id}: left out, {listed.obstacle}')
            continue
        try:
            actions = list(_actions(plan, listed, door, tools))
        except NoWayIn as error:
            actions, code = [error.message], report.FAILED
        for action in actions:
            print_line(f'{listed.instance_id}: {action}')
    return code


def _actions(plan: Plan, listed: Listed, door: Door, tools: Tools) -> Iterator[str]:
    if first_step(listed) is MemberStep.OPEN:
        yield door.plan(listed)
        if tools.bundle is not None:
            digest = tools.bundle.sha256
            yield f'would push the bundle {digest[:12]} beside the old agent, with a new key'
            seconds = f'{runners.PROVE_SECONDS:.0f}'
            yield f'would wait {seconds} s at most for its sealed heartbeat, else remove it'
        yield 'would close the port again'
    target = plan.targets.get(listed.instance_id)
    if target is not None:
        yield f'would upgrade {listed.datastore} {listed.version} to version {target}'
        yield 'would look at it by the API: version, status, groups, backups, a user, rows'


def work(run: Context, begun: Run, tools: Tools, push: Push | None, *, is_plain: bool) -> int:
    """Work, show how each member is, and what of this run is open; return the exit code."""
    outages = Outages(SystemClock(), OUTAGE_SECONDS)
    shown = view.of(run, begun.id, is_plain=is_plain)
    crew = Crew(
        runners.make(run, begun.scope, tools.ways, push, outages, shown.tell),
        begun.pace.limits.at_once,
        outages=outages,
        pauses=Pauses(pause=SystemClock()),
        watcher=shown,
    )
    try:
        with shown:
            crew.work(begun.id)
    except BaseException as error:  # the report comes first, then the error
        with contextlib.suppress(Exception):
            closing.end(run, begun.id, closing.AT_ONCE)
            if isinstance(error, Exception):  # an interruption was told when it came
                print_line(f'"trove-upgrade-bridge resume {begun.id}" goes on with the run.')
        raise
    return closing.end(run, begun.id)
