# SPDX-License-Identifier: Apache-2.0
"""Single revisions: what there is, what has been run, and running or recording some of them
(Neutron's commands).
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import UsageError, print_line, print_table
from trove_upgrade.cmd.manage.context import Context
from trove_upgrade.cmd.manage.db import running
from trove_upgrade.db import errors, schema_runs
from trove_upgrade.db.migrations import offline, tree
from trove_upgrade.db.migrations.chain import BRANCHES, MAIN, Chain, release_of
from trove_upgrade.db.migrations.exit_codes import ExitCode
from trove_upgrade.db.migrations.recording import DIALECTS

_HEADS = frozenset({'head', 'heads'})


def add_commands(nested: Commands) -> None:
    """Add the commands that show or mark revisions."""
    version = nested.add(
        'version', "print the revisions that have been run, 'none' for an empty database"
    )
    version.set_defaults(command=_version)
    current = nested.add('current', 'show how far each branch is')
    current.add_argument(
        '--verbose', action='store_true', help='with what is left, and the last runs'
    )
    current.set_defaults(command=_current)
    for name, command, text in (
        ('history', _history, 'every revision, newest first'),
        ('heads', _heads, 'the newest revision of each branch'),
        ('branches', _branches, 'where each branch begins'),
    ):
        listing = nested.add(name, text)
        listing.add_argument(
            '--verbose', action='store_true', help='with all that a revision says of itself'
        )
        listing.set_defaults(command=command)
    show = nested.add('show', 'one revision: what it says of itself, and where it stands')
    show.add_argument('revision', metavar='REV')
    show.set_defaults(command=_show)
    _add_changing(nested)
    pending = nested.add(
        'has_offline_migrations',
        'is a contract left, for which older services must stop? 0 no, 5 yes',
    )
    pending.set_defaults(command=_has_offline_migrations)
    check = nested.add(
        'check_migration',
        'for developers: branches, labels, HEAD files, and a check test for each revision',
    )
    check.set_defaults(command=_check_migration)


def _add_changing(nested: Commands) -> None:
    upgrade = nested.add(
        'upgrade',
        'run revisions, or print their SQL',
        description='Runs revisions in the order expand, contract, under the same rules as "db '
        'expand" and "db contract".',
    )
    upgrade.add_argument(
        'target',
        nargs='?',
        metavar='REV|RELEASE|head|heads|+N',
        help='how far (default: heads); with --sql also FROM:TO, each a revision or a release',
    )
    side = upgrade.add_mutually_exclusive_group()
    side.add_argument('--expand', action='store_true', help='only the expand branch')
    side.add_argument('--contract', action='store_true', help='only the contract branch')
    upgrade.add_argument(
        '--sql',
        action='store_true',
        help='print the statements instead of running them; nothing is connected to',
    )
    upgrade.add_argument(
        '--dialect',
        choices=DIALECTS,
        help='with --sql: for which server (default: that of [database] connection)',
    )
    running.add_options(upgrade)
    upgrade.set_defaults(command=_upgrade)
    stamp = nested.add('stamp', 'record revisions as run, without running them')
    stamp.add_argument(
        'revisions', nargs='+', metavar='REV', help="one of each branch that is meant, or 'heads'"
    )
    running.add_options(stamp)
    stamp.set_defaults(command=_stamp)
    downgrade = nested.add('downgrade', 'refused: a schema never goes back')
    downgrade.add_argument('target', nargs='?', default='an older version', metavar='REV')
    downgrade.set_defaults(command=_downgrade)


def _version(run: Context, _arguments: argparse.Namespace) -> None:
    print_line(running.plain_runner(run).version())


def _current(run: Context, arguments: argparse.Namespace) -> None:
    runner = running.plain_runner(run)
    now = runner.position(data=arguments.verbose)
    print_table(
        ('branch', 'revision', 'newest'),
        [
            (branch, revision, f'no: {one.pending[branch][-1]}' if one.pending[branch] else 'yes')
            for one in (now, runner.standalone())
            if one is not None
            for branch, revision in one.current.items()
        ],
    )
    if not arguments.verbose:
        return
    print()
    print_line(
        f'{now.describe()}' + (f'; next: trove-upgrade-manage db {now.next}' if now.next else '')
    )
    runs = schema_runs.SchemaRuns(run.repositories.database.engine).list()
    if runs:
        print()
        print_table(
            ('started', 'ended', 'command', 'by', 'from', 'to', 'outcome', 'forced because'),
            [
                (
                    one.started_at.isoformat(timespec='seconds'),
                    one.ended_at and one.ended_at.isoformat(timespec='seconds'),
                    one.command,
                    one.holder,
                    one.from_version,
                    one.to_version,
                    one.outcome,
                    one.reason,
                )
                for one in runs
            ],
        )


def _history(_run: Context, arguments: argparse.Namespace) -> None:
    for branch in BRANCHES:
        _list(list(reversed(MAIN.revisions(branch))), verbose=arguments.verbose)


def _heads(_run: Context, arguments: argparse.Namespace) -> None:
    _list([MAIN.revisions(branch)[-1] for branch in BRANCHES], verbose=arguments.verbose)


def _branches(_run: Context, arguments: argparse.Namespace) -> None:
    _list([MAIN.revisions(branch)[0] for branch in BRANCHES], verbose=arguments.verbose)


def _list(revisions: Sequence[Any], *, verbose: bool) -> None:
    for one in revisions:
        if verbose:
            print(one.log_entry)
        else:
            print_line(
                f'{one.down_revision or "<base>"} -> {one.revision} '
                f'({", ".join(sorted(one.branch_labels))}){" (head)" if one.is_head else ""}, '
                f'{one.doc}'
            )


def _show(_run: Context, arguments: argparse.Namespace) -> None:
    print(tree.revision(MAIN, arguments.revision).log_entry)


def _upgrade(run: Context, arguments: argparse.Namespace) -> None:
    target, chain, branches = _aim(arguments)
    if arguments.sql:
        _print_sql(run, arguments, chain, branches, target)
        return
    with running.runner(run, arguments) as runner:
        if chain is not MAIN:
            runner.upgrade_standalone()
        for branch in branches if chain is MAIN else ():
            (runner.expand if branch == 'expand' else runner.contract)(target)
    _current(run, argparse.Namespace(verbose=False))


def _aim(arguments: argparse.Namespace) -> tuple[str | None, Chain, tuple[str, ...]]:
    """Return how far, in which chain, which branches.

    :raises UsageError: the arguments contradict each other.
    """
    named: str | None = arguments.target
    chosen = tuple(branch for branch in BRANCHES if getattr(arguments, branch))
    if named is not None and '@' in named:
        return _head_of_label(named, chosen)
    if named is None or named in _HEADS:
        return None, MAIN, chosen or BRANCHES
    if named.startswith('+'):
        if not named[1:].isdigit() or not chosen:
            raise UsageError(
                'db upgrade: +N is a number of revisions of one branch: name it with --expand or '
                '--contract'
            )
        return named, MAIN, chosen
    if ':' in named:
        if not arguments.sql:
            raise UsageError(
                'db upgrade: FROM:TO is for --sql; without it the database itself says where it is'
            )
        return _range(named, chosen)
    if named in MAIN.releases():
        return named, MAIN, chosen or BRANCHES
    branch = _branch_of(named)
    if chosen and chosen != (branch,):
        raise UsageError(f'db upgrade: {named} is of the {branch} branch')
    return named, MAIN, (branch,)


def _head_of_label(named: str, chosen: tuple[str, ...]) -> tuple[None, Chain, tuple[str, ...]]:
    """The head of LABEL@head.

    :raises UsageError: there is no such label, or a branch is named beside it.
    """
    label, _, rest = named.partition('@')
    if rest not in _HEADS or chosen or label not in (*BRANCHES, 'standalone'):
        raise UsageError(
            f'db upgrade: {named!r} is none of expand@head, contract@head, standalone@head'
        )
    return None, tree.STANDALONE if label == 'standalone' else MAIN, (label,)


def _range(named: str, chosen: tuple[str, ...]) -> tuple[str, Chain, tuple[str, ...]]:
    """Parse FROM:TO: both ends, and the branches, which is one where either end is a revision.

    :raises UsageError: they are of different branches, or FROM comes after TO.
    :raises RevisionUnknown: one is no revision and no release.
    """
    start, _, end = named.partition(':')
    end = '' if end in _HEADS else end
    revisions = [one for one in (start, end) if one and one not in MAIN.releases()]
    branches = {_branch_of(one): one for one in revisions}
    if len(branches) > 1:
        found = ', '.join(f'{one} of {branch}' for branch, one in branches.items())
        raise UsageError(
            f'db upgrade: FROM and TO are of different branches: {found}; print one branch after '
            'the other'
        )
    for branch, revision in branches.items():
        if chosen not in {(), (branch,)}:
            raise UsageError(f'db upgrade: {revision} is of the {branch} branch')
    aimed = tuple(branches) or chosen or BRANCHES
    for branch in aimed:
        known = [one.revision for one in MAIN.revisions(branch)]
        if (
            start
            and end
            and len(MAIN.upto(branch, known, start)) > len(MAIN.upto(branch, known, end))
        ):
            raise UsageError(
                f'db upgrade: {start} comes after {end}; FROM:TO is from the older to the newer'
            )
    return f'{start}:{end}', MAIN, aimed


def _branch_of(revision: str) -> str:
    return next(one for one in BRANCHES if one in tree.revision(MAIN, revision).branch_labels)


def _print_sql(
    run: Context,
    arguments: argparse.Namespace,
    chain: Chain,
    branches: Sequence[str],
    target: str | None,
) -> None:
    sys.stdout.write(offline.sql(chain, branches, target, arguments.dialect or run.dialect()))


def _stamp(run: Context, arguments: argparse.Namespace) -> None:
    MAIN.heads_of(arguments.revisions)  # before anything is connected to
    with running.runner(run, arguments) as runner:
        runner.stamp(arguments.revisions)
    _current(run, argparse.Namespace(verbose=False))


def _downgrade(_run: Context, arguments: argparse.Namespace) -> None:
    raise errors.DowngradeRefused(target=arguments.target)


def _has_offline_migrations(run: Context, _arguments: argparse.Namespace) -> ExitCode:
    pending = running.plain_runner(run).position(data=False).pending['contract']
    if not pending:
        print('No contract is left: nothing needs services to stop.')
        return ExitCode.DONE
    print_line(
        f'{", ".join(pending)} must be run when no service older than {release_of(pending[-1])} '
        'runs any more.'
    )
    return ExitCode.CONTRACT_NEXT


def _check_migration(_run: Context, _arguments: argparse.Namespace) -> ExitCode:
    found = tree.faults(MAIN) + tree.faults(tree.STANDALONE)
    for fault in found:
        print(fault)
    if found:
        return ExitCode.ERROR
    print('Branches, labels, HEAD files and check tests are right.')
    return ExitCode.DONE
