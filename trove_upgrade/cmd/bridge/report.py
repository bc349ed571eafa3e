# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge report`: everything that a run has done, and what of it is open."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence

from trove_upgrade.bridge import audit as bridge_audit
from trove_upgrade.bridge.report import building
from trove_upgrade.bridge.report.document import document
from trove_upgrade.bridge.report.lines import lines
from trove_upgrade.bridge.report.model import Openings, Report
from trove_upgrade.bridge.report.page import page
from trove_upgrade.bridge.report.table import table
from trove_upgrade.clock import SystemClock
from trove_upgrade.cmd.bridge import audit, outputs
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import UsageError, print_line
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.bridge_runs import Member, MemberState

#: Exit code: a member has failed, or was not worked on.
FAILED = 1
#: States of a member that is well.
WELL = frozenset({MemberState.COMPLETED, MemberState.LEFT_OUT})


def add_commands(commands: Commands) -> None:
    """Add `report`."""
    report = commands.add(
        'report',
        'show everything that a run has done, and what of it is open',
        description='Shows each member of a run with its steps, how long they took, what was found '
        'after its upgrade, and what is left to the operator; then what of the run is open at '
        'Neutron. Exit code 1: a member has failed or has not ended; 3: something is open.',
    )
    report.add_argument('run', metavar='RUN', help='id of the run')
    report.add_argument('--json', action='store_true', help='an object, for programs')
    report.add_argument(
        '--html',
        metavar='FILE',
        help='write a page that needs no other file, for any browser; "-": to stdout',
    )
    report.add_argument(
        '--csv', metavar='FILE', help='write a table of the instances; "-": to stdout'
    )
    report.set_defaults(command=_report)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Made:
    report: Report
    members: Sequence[Member]
    found: bridge_audit.Report | None  #: None: Neutron or Nova gave no answer
    error: exceptions.TroveUpgradeError | None


def _report(run: Context, arguments: argparse.Namespace) -> int:
    _require_one_on_stdout(arguments)
    made = _made(run, arguments.run)
    if arguments.html is not None:
        outputs.write(arguments.html, page(made.report))
    if arguments.csv is not None:
        outputs.write(arguments.csv, table(made.report))
    if arguments.json:
        print(json.dumps(_as_json(made), indent=2))
    elif arguments.html is None and arguments.csv is None:
        _show(made)
    for path in (arguments.html, arguments.csv):
        if path not in {None, outputs.STDOUT}:
            print_line(f'Written: {path}', sys.stderr)
    if made.error is not None:  # the report comes first
        raise made.error
    return code_of(made.members, is_clean=made.found is not None and made.found.is_clean)


def _require_one_on_stdout(arguments: argparse.Namespace) -> None:
    wanted = [arguments.json, *(path == outputs.STDOUT for path in (arguments.html, arguments.csv))]
    if sum(wanted) > 1:
        raise UsageError('one of --json, --html - and --csv - can have stdout')


def _made(run: Context, run_id: str) -> _Made:
    runs = run.repositories.bridge_runs
    found = runs.get(run_id)
    members, turn = runs.members(found.id), runs.turn(found.id)
    audited, error = None, None
    try:
        audited = run.auditor.look().of_run(found.id)
        openings = building.openings_of(audited)
    except exceptions.TroveUpgradeError as raised:
        error, openings = raised, Openings(why_unknown=raised.message)
    report = building.build(found, members, turn, openings, SystemClock().now())
    return _Made(report=report, members=members, found=audited, error=error)


def _as_json(made: _Made) -> dict[str, object]:
    found = None if made.found is None else audit.as_json(made.found)
    return {**document(made.report), 'audit': found}


def _show(made: _Made) -> None:
    for line in lines(made.report):
        print_line(line)
    tell_of_held(made.members)
    if made.found is not None:
        audit.show(made.found)


def code_of(members: Sequence[Member], *, is_clean: bool) -> int:
    """Return the exit code of a run."""
    if not is_clean:
        return audit.OPEN
    return 0 if all(member.state in WELL for member in members) else FAILED


def tell_of_held(members: Sequence[Member]) -> None:
    """Print what this process could not claim."""
    until = [member.lease_until for member in members if member.lease_until is not None]
    if until:
        print_line(
            f'Held by other processes: {len(until)}. Where they were killed, resume the run after '
            f'{max(until):%Y-%m-%d %H:%M:%S} UTC.'
        )
