# SPDX-License-Identifier: Apache-2.0
"""End of a command that has worked on a run: its members, its counts, and what of it is open.

The work is done by then.  What gives no answer is asked again a few times, and then told.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeVar

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.bridge.report import building
from trove_upgrade.bridge.report.lines import count_lines
from trove_upgrade.bridge.report.model import Openings, Report
from trove_upgrade.clock import SystemClock
from trove_upgrade.cmd.bridge import audit, runners
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.bridge.lines import Output
from trove_upgrade.cmd.bridge.report import FAILED, WELL, code_of, tell_of_held
from trove_upgrade.cmd.bridge.status import show_members
from trove_upgrade.db import faults
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.bridge_runs import Member, MemberState, stopped
from trove_upgrade.domain.pace import Turn
from trove_upgrade.domain.waits import Pause

#: Of a run with more members only those are shown at its end that are not well.
_ALL_SHOWN = 20
_Found = TypeVar('_Found')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Patience:
    """Waiting for a service that gives no answer."""

    pause: Pause = dataclasses.field(default_factory=SystemClock)
    tries: int = 4
    seconds: float = 5.0  #: between two tries


PATIENT = Patience()
#: After an interruption, or an outage that was waited for already.
AT_ONCE = Patience(tries=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Standing:
    members: Sequence[Member]
    turn: Turn
    report: Report


def end(run: Context, run_id: str, patience: Patience = PATIENT) -> int:
    """Show a run in short, as it is when this process has done its part; return the exit code."""
    output = Output()
    again = f'"trove-upgrade-bridge report {run_id}" looks again.'
    standing = asked(
        lambda: _look(run, run_id), f'Not known how the members are. {again}', output, patience
    )
    if standing is None:
        return FAILED
    output.attempt(lambda: _show(run_id, standing, output))
    found = asked(
        lambda: run.auditor.look().of_run(run_id),
        f'Not known whether something is open. {again}',
        output,
        patience,
    )
    if found is None:
        return FAILED
    output.attempt(lambda: audit.show(found))
    return code_of(standing.members, is_clean=found.is_clean)


def asked(
    look: Callable[[], _Found], unknown: str, output: Output, patience: Patience
) -> _Found | None:
    """Return what is found; None: it could not be looked at, which is told with `unknown`."""
    for tries_left in reversed(range(patience.tries)):
        try:
            return look()
        except (exceptions.TroveUpgradeError, db_exc.DBError, sa.exc.SQLAlchemyError) as error:
            told = faults.words(error)
            if tries_left == 0 or not runners.is_outage(error):
                output(f'{unknown} {told}')
                return None
            output(f'{told} Asked again in {patience.seconds:.0f} s.')
        patience.pause.sleep(patience.seconds)
    return None


def _look(run: Context, run_id: str) -> _Standing:
    runs = run.repositories.bridge_runs
    found, members, turn = runs.get(run_id), runs.members(run_id), runs.turn(run_id)
    report = building.build(found, members, turn, Openings(), SystemClock().now())
    return _Standing(members=members, turn=turn, report=report)


def _show(run_id: str, standing: _Standing, output: Output) -> None:
    members, report = standing.members, standing.report
    error = stopped(report.run, standing.turn)
    if error is not None:
        output(f'{error.code}: {error.message}')
    shown = members if len(members) <= _ALL_SHOWN else [one for one in members if _is_worth(one)]
    show_members(report.run, shown)
    if len(shown) < len(members):
        output(f'{len(members) - len(shown)} others: "trove-upgrade-bridge report {run_id}".')
    for line in count_lines(report):
        output(line)
    tell_of_held(members)


def _is_worth(member: Member) -> bool:
    """Return whether a member of a large run is shown at its end."""
    return member.state not in {*WELL, MemberState.PENDING}
