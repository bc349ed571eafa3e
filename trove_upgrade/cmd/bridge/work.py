# SPDX-License-Identifier: Apache-2.0
"""Work on a run from this process: its crew, its steps, and the report at its end."""

import argparse
import contextlib
import dataclasses
import functools
import os
import pathlib
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade import conf as our_conf
from trove_upgrade.bridge.bundle import archive
from trove_upgrade.bridge.crew import Crew
from trove_upgrade.bridge.host_keys import PinnedHostKeys
from trove_upgrade.bridge.opener import Opener
from trove_upgrade.bridge.pusher import Pusher
from trove_upgrade.bridge.reach.shell import open_shell
from trove_upgrade.bridge.runner import MemberRunner
from trove_upgrade.bridge.steps.prove import Prove
from trove_upgrade.bridge.steps.push import Push
from trove_upgrade.bridge.steps.step import RunnableStep
from trove_upgrade.bridge.steps.upgrade import UpgradeMember
from trove_upgrade.bridge.steps.verify import Verify
from trove_upgrade.bridge.steps.way_in import Close, Open, Reach
from trove_upgrade.bridge.visit import Door, Visit
from trove_upgrade.clock import SystemClock
from trove_upgrade.cmd.bridge import report, way
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.console.printing import UsageError, print_line
from trove_upgrade.db import guest_security
from trove_upgrade.db.errors import GuestKeysUnset
from trove_upgrade.domain.bridge_runs import (
    STEPS_OF,
    Member,
    MemberStep,
    Run,
    RunScope,
)
from trove_upgrade.domain.database_service import DatabaseServiceUnavailable
from trove_upgrade.domain.exceptions import ComputeUnavailable
from trove_upgrade.domain.inventory import Listed
from trove_upgrade.domain.network import NetworkUnavailable

_MOST_AT_ONCE = 64
_PROVE_SECONDS = 180.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Members of a run that is to begin, and how far it leads."""

    members: Sequence[Listed]
    scope: RunScope
    #: of an instance, the id of its next version
    targets: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tools:
    """Means that the operator gave for a run."""

    ways: way.Ways
    at_once: int
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


def add_way(parser: argparse.ArgumentParser) -> None:
    """Add the options of the way to guests."""
    way.add_options(parser)
    parser.add_argument(
        '--at-once', type=_count, default=4, metavar='N', help='guests at a time (default: 4)'
    )


def add_bundle(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the options of the bundle."""
    parser.add_argument(
        '--bundle',
        metavar='FILE',
        required=required,
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

    :raises UsageError, GuestKeysUnset: something that it needs was not given.
    :raises InstanceInOtherRun: a member is in one that has not ended.
    """
    _require(run, plan.scope, tools)
    begun = run.repositories.bridge_runs.begin(plan.members, plan.scope, plan.targets)
    print_line(f'Run {begun.id}: {len(plan.members)} instances.')
    return begun


def show_plan(run: Context, plan: Plan, tools: Tools) -> None:
    """Print every action that would be taken, for each instance."""
    door = _door(run, tools.ways)
    for listed in plan.members:
        if listed.obstacle is not None:
            print_line(f'{listed.instance_id}: left out, {listed.obstacle}')
            continue
        print_line(f'{listed.instance_id}: {door.plan(listed)}')
        for action in _actions(plan, listed, tools):
            print_line(f'{listed.instance_id}: {action}')


def _actions(plan: Plan, listed: Listed, tools: Tools) -> Iterator[str]:
    if tools.bundle is not None:
        digest = tools.bundle.sha256
        yield f'would push the bundle {digest[:12]} beside the old agent, with a new key'
        yield f'would wait {_PROVE_SECONDS:.0f} s at most for its sealed heartbeat, else remove it'
    yield 'would close the port again'
    target = plan.targets.get(listed.instance_id)
    if target is not None:
        yield f'would upgrade {listed.datastore} {listed.version} to version {target}'
        yield 'would look at it by the API: version, status, groups, backups, a user, rows'


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= _MOST_AT_ONCE:
        raise argparse.ArgumentTypeError(f'not from 1 to {_MOST_AT_ONCE}: {text}')
    return count


def _require(run: Context, scope: RunScope, tools: Tools) -> None:
    if MemberStep.PUSH not in STEPS_OF[scope]:
        return
    if tools.bundle is None:
        raise UsageError('this run brings an agent in: name its archive with --bundle')
    if guest_security.wrapping_of(run.conf) is None:
        raise GuestKeysUnset(service='trove-upgrade-bridge')


def work(run: Context, begun: Run, tools: Tools) -> int:
    """Work, show how each member is, and what of this run is open; return the exit code."""
    _require(run, begun.scope, tools)
    try:
        Crew(_runners(run, begun.scope, tools), tools.at_once).work(begun.id)
    except BaseException:  # the report comes first, then the error
        with contextlib.suppress(Exception):
            report.end(run, begun.id)
        raise
    return report.end(run, begun.id)


def _runners(
    run: Context, scope: RunScope, tools: Tools
) -> Callable[[int, Callable[[], bool]], MemberRunner]:
    repositories = run.repositories
    door = _door(run, tools.ways)
    push = None if tools.bundle is None else _push(run, door, tools.bundle)

    def make(number: int, is_stopping: Callable[[], bool]) -> MemberRunner:
        steps = _steps(run, door, push, is_stopping)
        return MemberRunner(
            runs=repositories.bridge_runs,
            openings=repositories.openings,
            door=door,
            steps={step: steps[step] for step in steps if step in STEPS_OF[scope]},
            remove=_nothing_was_pushed if push is None else push.remove,
            clock=SystemClock(),
            owner=f'{socket.gethostname()}:{os.getpid()}:{number}',
            lease_seconds=run.conf[our_conf.GROUP].bridge_lease_seconds,
            tell=_tell,
            is_outage=_is_outage,
            pause=SystemClock(),
            is_stopping=is_stopping,
        )

    return make


def _push(run: Context, door: Door, bundle: archive.Bundle) -> Push:
    instances = run.repositories.instances
    path = run.conf[our_conf.GROUP].guest_config_file
    text = pathlib.Path(path).read_text(encoding='utf-8') if path else ''
    return Push(
        door=door,
        pusher=Pusher(bundle=bundle, operators_text=text),
        keys=run.repositories.guest_keys,
        agents=run.repositories.guests,
        manager_of=lambda instance_id: (
            instances.get(instance_id, with_details=False).version.manager
        ),
    )


def _door(run: Context, ways: way.Ways) -> Door:
    openings = run.repositories.openings
    return Door(
        server_ports=run.server_ports,
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


def _steps(
    run: Context, door: Door, push: Push | None, is_stopping: Callable[[], bool]
) -> dict[MemberStep, RunnableStep]:
    steps: dict[MemberStep, RunnableStep] = {
        MemberStep.OPEN: Open(door=door),
        MemberStep.REACH: Reach(door=door),
        MemberStep.PROVE: Prove(
            heard=run.repositories.guests,
            clock=SystemClock(),
            pause=SystemClock(),
            wait_seconds=_PROVE_SECONDS,
        ),
        MemberStep.CLOSE: Close(door=door),
        MemberStep.UPGRADE: UpgradeMember(
            api=run.cloud.databases,
            upgrades=run.repositories.upgrades,
            server_ports=run.server_ports,
            pause=SystemClock(),
            tell=_tell,
            is_stopping=is_stopping,
        ),
        MemberStep.VERIFY: Verify(verifier=run.verifier, is_stopping=is_stopping),
    }
    return steps if push is None else {**steps, MemberStep.PUSH: push}


def _nothing_was_pushed(member: Member, visit: Visit) -> None:
    """Remove nothing: no step of this scope pushes anything."""


def _is_outage(error: Exception) -> bool:
    return isinstance(
        error,
        (
            NetworkUnavailable,
            ComputeUnavailable,
            DatabaseServiceUnavailable,
            db_exc.DBError,
            sa.exc.SQLAlchemyError,
        ),
    )


def _tell(member: Member, message: str) -> None:
    print_line(f'{member.instance_id} {member.step}: {message}')
