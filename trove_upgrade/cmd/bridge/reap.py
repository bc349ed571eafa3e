# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge reap`: closes what is open, without waiting for a taskmanager."""

import argparse
import sys

from trove_upgrade.bridge.audit import Verdict
from trove_upgrade.bridge.reaper import Reaped
from trove_upgrade.cmd.bridge.audit import OPEN, show
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import UsageError, print_line
from trove_upgrade.domain.openings import OpeningState

#: Verdicts of groups that are removed when they are named and confirmed.
_UNKNOWN = frozenset({Verdict.UNRECORDED, Verdict.IMITATION})


def add_commands(commands: Commands) -> None:
    """Add `reap`."""
    reap = commands.add(
        'reap',
        'close what is open and held by no bridge',
        description='Closes every opening of this database whose lease is over, then shows what '
        'is open. A taskmanager does the same every bridge_reap_interval. Exit code 3: something '
        'is still open.',
    )
    which = reap.add_mutually_exclusive_group()
    which.add_argument(
        '--run', metavar='RUN', help='close those of this run, also where their lease holds'
    )
    which.add_argument(
        '--all', action='store_true', help='close all of this database, also where a lease holds'
    )
    which.add_argument(
        '--group',
        metavar='GROUP',
        help='remove this security group, which has the description of the bridge and no opening '
        'in this database, a tenant may have made it; wants --yes',
    )
    which.add_argument(
        '--gone',
        metavar='OPENING',
        help='write an opening closed whose project was deleted with all that it had',
    )
    reap.add_argument(
        '--yes',
        action='store_true',
        help='remove the group although another database or a tenant may have made it',
    )
    reap.set_defaults(command=_reap)


def _reap(run: Context, arguments: argparse.Namespace) -> int:
    openings = run.repositories.openings
    openings.require_table()
    if arguments.group and not _remove_group(run, arguments.group, is_confirmed=arguments.yes):
        return OPEN
    if arguments.gone:
        _write_closed(run, arguments.gone)
    if arguments.run:
        of_run = openings.of_run(arguments.run)
        if not of_run:
            run.repositories.bridge_runs.get(arguments.run)
        _tell(run.reaper.close_all([one for one in of_run if one.state is not OpeningState.CLOSED]))
    elif arguments.all:
        _tell(run.reaper.close_all(openings.not_closed()))
    _tell(run.reaper.pass_once())
    report = run.auditor.look()
    show(report)
    return 0 if report.is_clean else OPEN


def _write_closed(run: Context, opening_id: str) -> None:
    opening = run.repositories.openings.get(opening_id)
    if opening is None:
        raise UsageError(f'reap: this database has no opening {opening_id}')
    if run.cloud.network.sees_project(opening.project_id):
        raise UsageError(
            f'reap: project {opening.project_id} is there; without --gone the opening is closed'
        )
    run.repositories.openings.closed(opening_id, 'An operator told that its project was deleted.')
    print_line(f'Written closed: opening {opening_id}.')


def _tell(reaped: Reaped) -> None:
    for opening in reaped.closed:
        print_line(f'Closed: opening {opening.id} of instance {opening.instance_id}.')
    for opening, error in reaped.failed:
        print_line(f'Not closed: opening {opening.id}: {error.message}', sys.stderr)


def _remove_group(run: Context, group_id: str, *, is_confirmed: bool) -> bool:
    """Return whether it was removed."""
    found = {finding.group.id: finding for finding in run.auditor.look().findings}
    finding = found.get(group_id)
    if finding is None or finding.verdict not in _UNKNOWN:
        raise UsageError(
            f'reap: {group_id} is no group of the bridge that this database does not know; look '
            'at it with "audit"'
        )
    if not is_confirmed:
        print_line(
            f'Group {group_id} of project {finding.group.project_id} is called '
            f'"{finding.group.description}", which this database does not have: another one may '
            'hold it, or a tenant has made it. Nothing has been changed. The same command with '
            '--yes removes it.'
        )
        return False
    run.closer.remove(finding.group)
    print_line(f'Removed: group {group_id}.')
    return True
