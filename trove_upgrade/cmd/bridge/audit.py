# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge audit`: what is open, as Neutron has it."""

import argparse
import json
from collections.abc import Iterator
from typing import Any

from trove_upgrade.bridge.audit import HARMLESS, Finding, Report, Verdict
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import print_line, print_table
from trove_upgrade.domain.openings import Opening

#: Exit code: something that is ours, or may be, is open.
OPEN = 3


def add_commands(commands: Commands) -> None:
    """Add `audit`."""
    audit = commands.add(
        'audit',
        'show what is open at Neutron in the name of the bridge',
        description='Shows every security group of the bridge at Neutron, and every opening of '
        'this database that is not closed. Changes nothing. Exit code 3: something is open in the '
        'name of the bridge, or not closed yet; what tenants have imitated is shown and is none.',
    )
    audit.add_argument('--json', action='store_true', help='an object, for programs')
    audit.set_defaults(command=_audit)


def _audit(run: Context, arguments: argparse.Namespace) -> int:
    run.repositories.openings.require_table()
    report = run.auditor.look()
    if arguments.json:
        print(json.dumps(as_json(report), indent=2, default=str))
    else:
        show(report)
    return 0 if report.is_clean else OPEN


def show(report: Report) -> None:
    """Print what is open, and a last line that tells whether anything is."""
    rows = [*map(_of_finding, report.findings), *map(_of_row, report.without_group)]
    if rows:
        header = ('state', 'group', 'opening', 'run', 'instance', 'ports', 'source', 'lease until')
        print_table(header, rows)
    for finding in report.findings:
        for remark in finding.remarks:
            print_line(f'Group {finding.group.id}: {remark}.')
    foreign = sum(finding.verdict is Verdict.FOREIGN for finding in report.findings)
    if foreign:
        print_line(
            f"Groups of the bridge's name that another client made, left as they are: {foreign}."
        )
    imitations = sum(finding.verdict is Verdict.IMITATION for finding in report.findings)
    if imitations:
        print_line(
            "Groups with the bridge's description that no opening of this database and no guest "
            f'has, left as they are: {imitations}. Any tenant can make one.'
        )
    is_open = len(rows) - sum(finding.verdict in HARMLESS for finding in report.findings)
    print_line('Nothing is open.' if report.is_clean else f'Open, or not closed yet: {is_open}.')


def _of_finding(finding: Finding) -> tuple[object, ...]:
    opening = finding.opening
    return (
        finding.verdict,
        finding.group.id,
        opening and opening.id,
        opening and opening.run_id,
        opening and opening.instance_id,
        ' '.join(finding.port_ids) or None,
        opening.source if opening else ' '.join(_sources(finding)) or None,
        opening and opening.lease_until.isoformat(timespec='seconds'),
    )


def _of_row(opening: Opening) -> tuple[object, ...]:
    return (
        f'{opening.state} without a group',
        None,
        opening.id,
        opening.run_id,
        opening.instance_id,
        opening.port_id,
        opening.source,
        opening.lease_until.isoformat(timespec='seconds'),
    )


def _sources(finding: Finding) -> Iterator[str]:
    for rule in finding.group.rules:
        if rule.direction == 'ingress':
            yield rule.source or 'any'


def as_json(report: Report) -> dict[str, Any]:
    """Return a report for programs."""
    return {
        'clean': report.is_clean,
        'groups': [
            {
                'verdict': str(finding.verdict),
                'group_id': finding.group.id,
                'project_id': finding.group.project_id,
                'description': finding.group.description,
                'port_ids': list(finding.port_ids),
                'sources': list(_sources(finding)),
                'remarks': list(finding.remarks),
                'opening': None if finding.opening is None else _as_json(finding.opening),
            }
            for finding in report.findings
        ],
        'openings_without_group': [_as_json(opening) for opening in report.without_group],
    }


def _as_json(opening: Opening) -> dict[str, Any]:
    return {
        'id': opening.id,
        'run_id': opening.run_id,
        'instance_id': opening.instance_id,
        'port_id': opening.port_id,
        'network_id': opening.network_id,
        'source': opening.source,
        'state': str(opening.state),
        'created_at': opening.created_at.isoformat(),
        'lease_until': opening.lease_until.isoformat(),
    }
