# SPDX-License-Identifier: Apache-2.0
"""`--smoke-create`: makes and deletes one new instance of each version that a run has led to."""

import argparse
from collections.abc import Iterable, Sequence
from typing import Protocol

from trove_upgrade.bridge.smoke import Shape, Smoked, SmokeTest
from trove_upgrade.clock import SystemClock
from trove_upgrade.cmd.bridge import closing
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.bridge.lines import Output
from trove_upgrade.cmd.bridge.report import FAILED
from trove_upgrade.cmd.console.printing import UsageError, print_line
from trove_upgrade.domain.bridge_runs import MemberState
from trove_upgrade.domain.exceptions import TroveUpgradeError
from trove_upgrade.domain.ports import Clock
from trove_upgrade.domain.waits import Pause


class Time(Clock, Pause, Protocol):
    """Clock, and waiting by it."""


_TIME = SystemClock()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the option, and those of the new instances."""
    smoke = parser.add_argument_group('new instances')
    smoke.add_argument(
        '--smoke-create',
        action='store_true',
        help='with --upgrade-to: afterwards make one new instance of each version that a member '
        'has come to, wait until it serves, and delete it; in the project of the login',
    )
    smoke.add_argument('--smoke-flavor', metavar='FLAVOR', help='id of its flavor')
    smoke.add_argument('--smoke-volume', type=int, metavar='GB', help='size of its volume')
    smoke.add_argument('--smoke-network', metavar='NETWORK', help='id of its network')


def shape_of(arguments: argparse.Namespace) -> Shape | None:
    """Return what the new instances are to be like; None: none is to be made.

    :raises UsageError: no flavor was named.
    """
    if not arguments.smoke_create:
        return None
    if arguments.smoke_flavor is None:
        raise UsageError('--smoke-create wants --smoke-flavor')
    return Shape(
        flavor_id=arguments.smoke_flavor,
        volume_size_gb=arguments.smoke_volume,
        network_id=arguments.smoke_network,
    )


def show_plan(version_ids: Iterable[str], shape: Shape | None) -> None:
    """Print what would be made."""
    if shape is not None:
        for version_id in sorted(set(version_ids)):
            print_line(f'Would make and delete one new instance of version {version_id}.')


def require(shape: Shape | None, *, is_upgrade: bool) -> None:
    """Refuse new instances where the run leads to no version.

    :raises UsageError: it does not.
    """
    if shape is not None and not is_upgrade:
        raise UsageError('--smoke-create wants a run with --upgrade-to: this one leads to none')


def make(run: Context, run_id: str, shape: Shape | None, time: Time = _TIME) -> int:
    """Make one of each version that a member has come to, whatever became of the others, and first
    delete what an earlier process has left; return the exit code.
    """
    if shape is None:
        return 0
    output = Output()
    test = SmokeTest(service=run.cloud.databases, clock=time, pause=time, tell=output)
    is_failed = not _cleared(test, run_id, output)
    versions = closing.asked(
        lambda: _versions(run, run_id),
        'Not known which versions the members have come to: no new instance is made.',
        output,
        closing.Patience(pause=time),
    )
    if versions is None:
        return FAILED
    if not versions:
        output('No member has come to its version: no new instance is made.')
    for version_id in versions:
        result = test.create(run_id, version_id, shape)
        output(_told(result))
        is_failed = is_failed or result.is_failure
    return FAILED if is_failed else 0


def _cleared(test: SmokeTest, run_id: str, output: Output) -> bool:
    """Return whether nothing of an earlier process is there any more."""
    try:
        left = test.delete_left(run_id)
    except TroveUpgradeError as error:
        output(f'Not looked for new instances that an earlier process left: {error.message}')
        return False
    for one in left:
        output(one.message)
    return not left


def _versions(run: Context, run_id: str) -> Sequence[str]:
    return sorted(
        {
            member.facts.target_version_id
            for member in run.repositories.bridge_runs.members(run_id)
            if member.state is MemberState.COMPLETED and member.facts.target_version_id is not None
        }
    )


def _told(result: Smoked) -> str:
    return (
        f'New instance of version {result.version_id}: {result.outcome} after '
        f'{result.seconds:.0f} s. {result.message}'
    )
