# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-manage db remove`: our tables go, everything else stays."""

import argparse
import sys

from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import UsageError, print_line, print_table
from trove_upgrade.cmd.manage.context import Context
from trove_upgrade.cmd.manage.db import running
from trove_upgrade.db import errors
from trove_upgrade.db.migrations import removal
from trove_upgrade.db.migrations.data.progress import reporter


def add_commands(nested: Commands) -> None:
    """Add `remove` to the commands of `db`."""
    parser = nested.add(
        'remove',
        'drop our tables, and nothing of Trove; without --yes only say what would go',
        description='Drops the tables of trove-upgrade and their version table. Everything else '
        'in the database stays. Refuses while upgrades are not at their end, failed '
        'ones hold instances or guests, or services are listed. Without --yes '
        'nothing is changed.',
    )
    parser.add_argument(
        '--yes',
        action='store_true',
        help='do it; the rows cannot be brought back but from a backup',
    )
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='only say what would go, which is also what is done without --yes',
    )
    parser.add_argument(
        '--guests-released',
        action='store_true',
        help="in the guests of failed upgrades whose status was only reset, Trove's agent has "
        'been let go by hand',
    )
    running.add_options(parser)
    parser.set_defaults(command=_remove)


def _remove(run: Context, arguments: argparse.Namespace) -> None:
    if arguments.yes and arguments.dry_run:
        raise UsageError('db remove: --yes and --dry-run contradict each other')
    engine = run.repositories.database.engine
    if not arguments.yes:
        _show(removal.plan(engine, guests_released=arguments.guests_released))
        return
    with reporter(sys.stdout) as shown:
        found = removal.remove(
            engine,
            running.options_of(arguments),
            shown.waiting,
            guests_released=arguments.guests_released,
        )
    if found.tables:
        print_line(
            f'{len(found.tables)} tables of trove-upgrade have been dropped. Other tables in this '
            f'database: {found.others}; none was touched.'
        )
    else:
        print_line(
            'Nothing to do: no table of trove-upgrade is in this database. Other tables: '
            f'{found.others}.'
        )


def _show(found: removal.Plan) -> None:
    """Print what a removal would drop; change nothing.

    :raises RemovalRefused: it could not be done now; what would go has been printed.
    """
    if not found.tables:
        print_line(
            'Nothing to do: no table of trove-upgrade is in this database. Other tables: '
            f'{found.others}.'
        )
        return
    print_table(('would be dropped', 'rows'), found.tables)
    print()
    print_line(f'Other tables in this database: {found.others}; none would be touched.')
    for loss in found.losses:
        print_line(loss)
    if found.obstacles:
        raise errors.RemovalRefused(found='; '.join(found.obstacles))
    print('Nothing has been changed. The same command with --yes drops them.')
