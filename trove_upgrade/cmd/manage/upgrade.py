# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-manage upgrade ...`: look at upgrades, and take actions on them."""

import argparse
import dataclasses
import functools
import json
from collections.abc import Sequence
from typing import Any

from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import print_line, print_table
from trove_upgrade.cmd.manage import explain, numbers
from trove_upgrade.cmd.manage.context import Context
from trove_upgrade.db import progress_codec
from trove_upgrade.domain import admission, downtime, explanation, states
from trove_upgrade.domain.actions import Action
from trove_upgrade.domain.upgrades import Upgrade

_TOP = (
    'id',
    'instance_id',
    'instance_name',
    'project_id',
    'server_id',
    'state',
    'step',
    'attempt',
    'rebuild_attempt',
    'former_version_id',
    'target_version_id',
    'former_image_id',
    'target_image_id',
    'target_number',
    'generation',
    'owner',
    'lease_until',
    'next_run_at',
    'created_at',
    'updated_at',
    'ended_at',
    'error_code',
    'cause',
    'request_id',
    'user_id',
)

_ACTIONS = {
    Action.ABORT: 'give one up before its server is rebuilt: the former version serves',
    Action.PROCEED: 'let one go on that is HELD; a taskmanager takes it up within seconds',
    Action.RETRY: 'continue one that has FAILED; a taskmanager takes it up within seconds',
    Action.ROLLBACK: 'lead one that has FAILED back to the former image, if the new server was '
    'never started on the data',
}


def add_commands(commands: Commands) -> None:
    """Add `upgrade` and its subcommands."""
    nested = commands.add_group(
        'upgrade', 'upgrades of instances', description='Upgrades of instances.'
    )
    listing = nested.add('list', 'newest first')
    listing.add_argument('--project', help='only those of this project id')
    listing.add_argument('--instance', help='only those of this instance id')
    listing.add_argument(
        '--state', type=str.upper, choices=[str(state) for state in states.UpgradeState]
    )
    listing.add_argument(
        '--limit', type=numbers.rows, default=50, help='how many at most (default: %(default)s)'
    )
    listing.set_defaults(command=_list)
    show = nested.add('show', 'one upgrade with its steps')
    show.add_argument('upgrade', help='id of the upgrade')
    show.add_argument('--json', action='store_true', help='everything that the row holds, as JSON')
    show.set_defaults(command=_show)
    explain.add_command(nested)
    for action, what in _ACTIONS.items():
        taken = nested.add(str(action), what)
        taken.add_argument('upgrade', help='id of the upgrade')
        taken.set_defaults(command=functools.partial(_take, action))


def _list(run: Context, arguments: argparse.Namespace) -> None:
    page = run.repositories.upgrades.list(
        limit=arguments.limit,
        project_id=arguments.project,
        instance_id=arguments.instance,
        state=states.UpgradeState(arguments.state) if arguments.state else None,
    )
    print_table(
        ('id', 'instance', 'state', 'step', 'attempt', 'target', 'created', 'error code'),
        [
            (
                one.id,
                one.instance_id,
                one.state,
                one.step,
                one.attempt,
                one.target_number,
                one.created_at.isoformat(timespec='seconds'),
                one.error_code,
            )
            for one in page.items
        ],
    )
    _print_overdue(run, page.items)
    if page.next_marker:
        print_line(f'There are older ones; --limit {arguments.limit * 10} shows more.')


def _show(run: Context, arguments: argparse.Namespace) -> None:
    found = run.repositories.upgrades.get(arguments.upgrade)
    if arguments.json:
        print(
            json.dumps(
                _document(found),
                default=str,
                indent=2,
                sort_keys=True,
            )
        )
        return
    print_table(
        ('field', 'value'),
        [*((name, getattr(found, name)) for name in _TOP), *_outage(found), *_hold(found)],
    )
    if found.steps:
        print()
        _print_steps(found)
    _print_notes(found)
    _print_overdue(run, [found])
    if found.state is states.UpgradeState.FAILED:
        print()
        _print_possible(run, found, 'When the cause is mended', Action.RETRY)
        _print_possible(run, found, 'Back to the former image', Action.ROLLBACK)
    if found.state is states.UpgradeState.HELD:
        print()
        _print_possible(run, found, 'To let it go on', Action.PROCEED)
        _print_possible(run, found, 'To give it up', Action.ABORT)


def _print_possible(run: Context, found: Upgrade, when: str, action: Action) -> None:
    [told] = [each for each in run.repositories.actions.verdicts(found) if each.action is action]
    command = f'trove-upgrade-manage upgrade {action} {found.id}'
    print_line(f'{when}: {command if told.allowed else f"no. {told.sentence}"}')


def _hold(found: Upgrade) -> list[tuple[str, object]]:
    """Rows of what its user has chosen, and of the hold."""
    choices, hold = found.progress.choices, found.progress.hold
    return [
        ('on_failure', choices.on_failure),
        ('hold', choices.hold),
        ('not_before', choices.not_before),
        ('held_since', hold.since),
        ('held_until', hold.until),
        ('hold_over_at', hold.over_at),
        ('hold_kept_by', hold.kept_by),
    ]


def _outage(found: Upgrade) -> list[tuple[str, object]]:
    """Rows of what a client felt of it."""
    parts = downtime.of(found)
    shown = (
        None
        if parts is None
        else ', '.join(
            f'{name} {"unknown" if seconds is None else f"{seconds:.1f}"}'
            for name, seconds in dataclasses.asdict(parts).items()
        )
    )
    return [
        ('opened_at', found.progress.restore.opened_at),
        ('downtime_seconds', found.progress.restore.downtime_seconds),
        ('downtime', shown),
        ('rollback_possible_until', admission.rollback_possible_until(found)),
    ]


def _document(found: Upgrade) -> dict[str, Any]:
    """All that the row holds, under the names of its columns."""
    fields = dataclasses.asdict(found)
    del fields['progress']
    data = progress_codec.encode(found.progress)
    return {**fields, 'data': data, **found.notes.to_answer()}


def _print_overdue(run: Context, shown: Sequence[Upgrade]) -> None:
    """One line if taskmanagers leave some of them alone."""
    now = run.repositories.upgrades.now()
    seconds = [
        overdue
        for overdue in (one.overdue_seconds(now) for one in shown)
        if overdue > explanation.OVERDUE_SECONDS
    ]
    if seconds:
        of_them = 'it' if len(shown) == 1 else f'{len(seconds)} of them'
        print_line(
            f'No taskmanager has worked on {of_them} for {max(seconds):.0f} s; see '
            'trove-upgrade-manage service list.'
        )


def _print_steps(found: Upgrade) -> None:
    print_table(
        ('attempt', 'step', 'started', 'seconds', 'runs', 'outcome', 'message'),
        [
            (
                run.attempt,
                run.step,
                run.started_at.isoformat(timespec='seconds'),
                f'{(run.ended_at - run.started_at).total_seconds():.1f}' if run.ended_at else None,
                run.runs,
                run.outcome,
                run.message,
            )
            for run in found.steps
        ],
    )


def _print_notes(found: Upgrade) -> None:
    for title, some in (('Warnings', found.notes.warnings), ('Remarks', found.notes.remarks)):
        if some:
            print()
            print_line(f'{title}:')
            print_table(
                ('step', 'code', 'message'), [(note.step, note.code, note.message) for note in some]
            )
    if found.notes.settings_changed:
        print('\nSettings that changed:')
        print_table(
            ('setting', 'before', 'after'),
            [(change.name, change.before, change.after) for change in found.notes.settings_changed],
        )


def _take(action: Action, run: Context, arguments: argparse.Namespace) -> None:
    """Take an action, as the API does."""
    taken = run.repositories.actions.take(action, arguments.upgrade)
    found = taken.upgrade
    back = f', back to image {found.former_image_id}' if found.is_rolling_back else ''
    goes_on = found.state is states.UpgradeState.RUNNING
    follows = ' A taskmanager takes it up within seconds.' if goes_on and taken.is_new else ''
    again = '' if taken.is_new else f' Nothing was changed: {action} was asked for before.'
    print_line(
        f'Upgrade {found.id} of instance {found.instance_id}: {found.state} at {found.step}, '
        f'attempt {found.attempt}{back}.{follows}{again}'
    )
