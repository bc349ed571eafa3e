# SPDX-License-Identifier: Apache-2.0
"""`db sync`, `db expand`, `db migrate`, `db contract`, `db check`: what an upgrade of the control
plane runs, in its order.
"""

import argparse
import sys

from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import UsageError, print_line
from trove_upgrade.cmd.manage.context import Context
from trove_upgrade.cmd.manage.db import running
from trove_upgrade.db.migrations import gate
from trove_upgrade.db.migrations.chain import MAIN
from trove_upgrade.db.migrations.exit_codes import ExitCode
from trove_upgrade.db.migrations.position import Phase, Position


def add_commands(nested: Commands) -> None:
    """Add the phases."""
    sync = _add_sync(nested)
    expand = nested.add('expand', 'first: add what the new release needs; services go on')
    expand.set_defaults(command=_expand)
    migrate = nested.add(
        'migrate', 'second: move rows to where the new release reads them; services go on'
    )
    migrate.set_defaults(command=_migrate)
    contract = _add_contract(nested)
    for parser in (sync, expand, migrate, contract):
        running.add_options(parser)
    for parser in (sync, migrate):
        running.add_data_options(parser)
    check = nested.add(
        'check',
        'for scripts: what comes next, as the exit code: 0 nothing, 3 expand, 4 migrate, 5 '
        'contract',
    )
    check.set_defaults(command=_check)


def _add_sync(nested: Commands) -> argparse.ArgumentParser:
    sync = nested.add(
        'sync',
        'expand, migrate and contract; may be repeated',
        description='Puts a database under control and brings it to a version: expand, migrate, '
        'contract. Stops at the first that refuses, with its exit code; what was '
        'done stays done.',
    )
    sync.add_argument(
        'version',
        nargs='?',
        metavar='VERSION',
        help='a release (default: the newest); or a revision, whose branch is brought up to it '
        "with all that must come before; or both branches' as db version prints them, in quotes",
    )
    sync.add_argument(
        '--standalone',
        action='store_true',
        help="also make the tables of Trove's form, where no Trove makes them",
    )
    sync.set_defaults(command=_sync)
    return sync


def _add_contract(nested: Commands) -> argparse.ArgumentParser:
    contract = nested.add(
        'contract', 'third, when no older service runs: take away what only those needed'
    )
    contract.add_argument(
        '--force', action='store_true', help='do not ask whether older services run; needs --reason'
    )
    contract.add_argument('--reason', help='why that is safe; it is recorded')
    contract.set_defaults(command=_contract)
    return contract


def _sync(run: Context, arguments: argparse.Namespace) -> None:
    MAIN.goals(arguments.version)  # before anything is connected to
    with running.runner(run, arguments) as runner:
        _say_where(runner.sync(arguments.version, standalone=arguments.standalone))


def _expand(run: Context, arguments: argparse.Namespace) -> None:
    with running.runner(run, arguments) as runner:
        _say_where(runner.expand())


def _migrate(run: Context, arguments: argparse.Namespace) -> ExitCode:
    with running.runner(run, arguments) as runner:
        after = runner.migrate()
    _say_where(after)
    return ExitCode.MORE_ROWS if after.data else ExitCode.DONE


def _contract(run: Context, arguments: argparse.Namespace) -> None:
    if arguments.force and not (arguments.reason or '').strip():
        raise UsageError('db contract: --force needs --reason TEXT, which is recorded')
    if arguments.reason is not None and not arguments.force:
        raise UsageError('db contract: --reason belongs to --force')
    with running.runner(run, arguments) as runner:
        _say_where(runner.contract(reason=arguments.reason))


def _check(run: Context, _arguments: argparse.Namespace) -> ExitCode:
    now = running.plain_runner(run).position()
    print_line(f'{now.version}: {now.describe()}')
    if now.next is None:
        return ExitCode.DONE
    if now.next is Phase.CONTRACT:
        older = gate.older_services(
            run.repositories.services.list(), MAIN.releases()[-1], MAIN.releases()
        )
        if older:
            print_line(
                f'Older services are listed ({len(older)}): see trove-upgrade-manage service list.',
                sys.stderr,
            )
    print_line(f'Next: trove-upgrade-manage db {now.next}')
    return now.next.exit_code


def _say_where(now: Position) -> None:
    print_line(
        f'The database is at {now.version}.'
        + (f' Next: trove-upgrade-manage db {now.next}' if now.next else '')
    )
