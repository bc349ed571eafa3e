# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-manage upgrade explain`: where an upgrade stands, why, and what can be done."""

import argparse
import dataclasses
import datetime
import json
import socket
from typing import Any

from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import print_line, print_table
from trove_upgrade.cmd.manage.context import Context
from trove_upgrade.db import services
from trove_upgrade.domain import explanation
from trove_upgrade.domain.explanation import Explanation, HolderState
from trove_upgrade.domain.upgrades import Upgrade


def add_command(nested: Commands) -> None:
    """Add `explain` behind `upgrade`."""
    command = nested.add(
        'explain',
        'what it waits for, who holds it, what comes next and what can be done',
        description='Explains one upgrade: its timeline, what it waits for, which taskmanager '
        'holds its lease, what comes next and what an operator can do. Changes nothing.',
    )
    command.add_argument('upgrade', help='id of the upgrade')
    command.add_argument('--json', action='store_true', help='one object, for programs')
    command.set_defaults(command=_explain)


def _explain(run: Context, arguments: argparse.Namespace) -> None:
    repos = run.repositories
    found = repos.upgrades.get(arguments.upgrade)
    explained = explanation.explain(
        found,
        repos.outbox.history(found.id),
        _holder(run, found),
        repos.actions.verdicts(found),
        repos.upgrades.now(),
    )
    if arguments.json:
        print(json.dumps(_document(explained), default=_plain, indent=2, sort_keys=True))
        return
    _print(explained)


def _holder(run: Context, found: Upgrade) -> HolderState | None:
    """Return what is known of the process that the row names as its owner; None: it names none."""
    if found.owner is None:
        return None
    if services.has_ended(found.owner, socket.gethostname()):
        return HolderState.ENDED
    for one in run.repositories.services.list():
        if one.binary == services.TASKMANAGER and one.place == found.owner:
            return HolderState.SILENT if one.is_silent else HolderState.ALIVE
    return HolderState.UNLISTED


def _print(explained: Explanation) -> None:
    found = explained.upgrade
    print_line(
        f'Upgrade {found.id} of instance {found.instance_name} ({found.instance_id}): '
        f'{found.state} at {found.step}, attempt {found.attempt}.'
    )
    print()
    print_table(
        ('time', 'attempt', 'entry', 'seconds', 'runs', 'outcome', 'text'),
        [
            (
                entry.at.isoformat(timespec='seconds'),
                entry.attempt,
                entry.kind,
                entry.seconds,
                entry.runs,
                entry.outcome,
                entry.text,
            )
            for entry in explained.timeline
        ],
    )
    print()
    print_line(f'Waits for: {explained.waits_for}')
    print_line(f'Lease: {explained.lease.text}')
    print_line(f'Next: {explained.following}')
    for verdict in explained.verdicts:
        command = f' (trove-upgrade-manage upgrade {verdict.action} {found.id})'
        print_line(
            f'{verdict.action}: {"" if verdict.allowed else "no. "}{verdict.sentence}'
            f'{command if verdict.allowed else ""}'
        )


def _document(explained: Explanation) -> dict[str, Any]:
    found, lease = explained.upgrade, explained.lease
    return {
        'id': found.id,
        'instance_id': found.instance_id,
        'instance_name': found.instance_name,
        'project_id': found.project_id,
        'request_id': found.request_id,
        'state': found.state,
        'step': found.step,
        'attempt': found.attempt,
        'step_deadline': found.step_deadline,
        'next_run_at': found.next_run_at,
        'now': explained.now,
        'timeline': [dataclasses.asdict(entry) for entry in explained.timeline],
        'waits_for': explained.waits_for,
        'lease': dataclasses.asdict(lease),
        'next': explained.following,
        'actions': [
            {
                'action': verdict.action,
                'allowed': verdict.allowed,
                'reason_code': verdict.code,
                'reason': verdict.sentence,
            }
            for verdict in explained.verdicts
        ],
    }


def _plain(value: object) -> str:
    """Times as ISO 8601."""
    return value.isoformat() if isinstance(value, datetime.datetime) else str(value)
