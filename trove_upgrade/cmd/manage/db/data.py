# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-manage db data ...`: rows that must follow the schema, in batches while services
serve.
"""

import argparse
import functools
import json
import sys
from collections.abc import Sequence
from typing import Any

from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import UsageError, print_line, print_table
from trove_upgrade.cmd.manage import numbers
from trove_upgrade.cmd.manage.context import Context
from trove_upgrade.db.migrations import position
from trove_upgrade.db.migrations.chain import MAIN, Chain
from trove_upgrade.db.migrations.data import progress, runs, states
from trove_upgrade.db.migrations.data.migration import DataMigration
from trove_upgrade.db.migrations.exit_codes import ExitCode


def add_commands(nested: Commands, chain: Chain = MAIN) -> None:
    """Add `data` and its subcommands."""
    commands = nested.add_group(
        'data',
        'rows that must follow the schema',
        description='Data migrations, between expand and contract.',
    )
    listing = commands.add('list', 'each data migration, and how far it is; rows are counted')
    listing.add_argument(
        '--json', action='store_true', help='as JSON, with the time of each change'
    )
    listing.set_defaults(command=functools.partial(_list, chain))
    _add_run(commands, chain)


def _add_run(commands: Commands, chain: Chain) -> None:
    run = commands.add(
        'run',
        'run them, or one, to the end; one that was killed carries on, and several may run at once',
        description='Exit code 9 where rows are left, 3 where "db expand" comes first.',
    )
    run.add_argument(
        'name', nargs='?', metavar='NAME', help='only this one (default: all, in order)'
    )
    run.add_argument(
        '--max-count', type=numbers.rows, metavar='N', help='look at no more than N rows, then end'
    )
    run.add_argument(
        '--batch-size',
        type=numbers.rows,
        default=runs.BATCH_SIZE,
        metavar='N',
        help='rows per transaction; a service that wants one of them waits for its end (default: '
        '%(default)s)',
    )
    run.add_argument(
        '--sleep',
        type=numbers.seconds,
        default=0.0,
        metavar='S',
        help='seconds to rest after each batch (default: %(default)s)',
    )
    run.set_defaults(command=functools.partial(_run, chain))


def _done_revisions(run: Context, chain: Chain) -> frozenset[str]:
    with run.repositories.database.read() as connection:
        return position.done_revisions(connection, chain)


def _list(chain: Chain, run: Context, arguments: argparse.Namespace) -> None:
    found = runs.DataRuns(run.repositories.database.engine).states(
        chain.data, _done_revisions(run, chain)
    )
    if arguments.json:
        print(json.dumps([_as_json(state) for state in found], indent=2))
        return
    print_table(
        ('name', 'release', 'state', 'rows left', 'done', 'rows/s', 'updated'),
        [
            (
                state.name,
                state.release,
                state.standing,
                state.rows_left,
                state.row.done if state.row else 0,
                f'{state.row.rate:.1f}' if state.row and state.row.rate is not None else None,
                state.row.updated_at.isoformat(timespec='seconds') if state.row else None,
            )
            for state in found
        ],
    )


def _as_json(state: states.State) -> dict[str, Any]:
    row = state.row
    return {
        'name': state.name,
        'release': state.release,
        'state': str(state.standing),
        'rows_left': state.rows_left,
        'found': row.found if row else 0,
        'done': row.done if row else 0,
        'cursor': row.cursor if row else '',
        'rate': row.rate if row else None,
        'started_at': row.started_at.isoformat() if row else None,
        'updated_at': row.updated_at.isoformat() if row else None,
        'completed_at': row.completed_at.isoformat() if row and row.completed_at else None,
    }


def _run(chain: Chain, run: Context, arguments: argparse.Namespace) -> ExitCode:
    chosen = _wanted(chain, arguments.name)
    done_revisions = _done_revisions(run, chain)
    for migration in chosen:
        if not states.may_run(migration, done_revisions):
            print_line(f'{migration.name}: not needed any more, {migration.before} has been run')
    with progress.reporter(sys.stdout) as reporter:
        ended = runs.DataRuns(run.repositories.database.engine).run_all(
            chosen,
            done_revisions,
            max_count=arguments.max_count,
            batch_size=arguments.batch_size,
            sleep=arguments.sleep,
            progress=reporter.progress,
            waiting=reporter.waiting,
        )
    unfinished = [one for one in ended if not one.finished]
    for one in unfinished:
        print_line(
            f'{one.name}: {one.rows_left} rows are left; '
            f'{_advice(one, bounded=arguments.max_count is not None)}'
        )
    return ExitCode.MORE_ROWS if unfinished else ExitCode.DONE


def _wanted(chain: Chain, name: str | None) -> Sequence[DataMigration]:
    chosen = [migration for migration in chain.data if name in {None, migration.name}]
    if name is not None and not chosen:
        known = ', '.join(migration.name for migration in chain.data) or 'none'
        raise UsageError(
            f'db data run: there is no data migration {name!r}; those that there are: {known}'
        )
    return chosen


def _advice(ended: runs.Progress, *, bounded: bool) -> str:
    if bounded:
        return 'run the same command again'
    if not ended.done_now:
        return 'none of them could be changed; look at the rows, and run the same command again'
    return (
        'services of the release before go on writing such rows; run the same command again '
        'when they have stopped'
    )
