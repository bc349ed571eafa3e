# SPDX-License-Identifier: Apache-2.0
"""Report as CSV, one line per instance.

Names are tenants': a cell that a spreadsheet would take for a formula begins with an apostrophe.
"""

import csv
import io

from trove_upgrade.bridge.report.model import InstancePart, Report
from trove_upgrade.domain.bridge_runs import STEPS
from trove_upgrade.domain.pace import WAITS
from trove_upgrade.domain.printable import printable

#: A cell that begins with one of these is a formula to some spreadsheet, also in its full width.
_FORMULA = ('=', '+', '-', '@', '\uff1d', '\uff0b', '\uff0d', '\uff20')
_COLUMNS = (
    'instance_id',
    'name',
    'project_id',
    'server_id',
    'state',
    'outcome',
    'wave',
    'node',
    'hypervisor',
    'route',
    'step',
    'code',
    'cause',
    'waits_as',
    'remedy',
    'left_to_operator',
    'upgrade_id',
    'target_version_id',
    'begun_at',
    'ended_at',
    'seconds',
)
COLUMNS = (*_COLUMNS, *(f'seconds_{step}' for step in STEPS))


def table(report: Report) -> str:
    """Return the text of the file."""
    sink = io.StringIO()
    writer = csv.writer(sink, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(value) for value in _row(one)] for one in report.instances)
    return sink.getvalue()


def _row(one: InstancePart) -> tuple[object, ...]:
    member, times = one.member, one.steps_seconds
    return (
        member.instance_id,
        member.name,
        member.project_id,
        member.server_id,
        member.state,
        one.outcome,
        member.wave,
        member.hosts.node,
        member.hosts.hypervisor,
        member.facts.route,
        member.step,
        member.error_code,
        one.cause,
        None if one.wait is None else WAITS[one.wait],
        one.left.remedy,
        one.left.text,
        member.facts.upgrade_id,
        member.facts.target_version_id,
        None if not one.steps else one.steps[0].started_at.isoformat(),
        None if member.ended_at is None else member.ended_at.isoformat(),
        _rounded(one.seconds),
        *(_rounded(times.get(str(step))) for step in STEPS),
    )


def _rounded(seconds: float | None) -> str | None:
    return None if seconds is None else f'{seconds:.1f}'


def _cell(value: object) -> str:
    """Return one line of text that is no formula."""
    text = '' if value is None else printable(str(value))
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
