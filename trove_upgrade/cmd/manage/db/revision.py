# SPDX-License-Identifier: Apache-2.0
"""Begin a change of the schema: for developers of trove-upgrade, in a checkout of it."""

import argparse
import sys
from collections.abc import Sequence

import sqlalchemy as sa

from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.manage.context import Context
from trove_upgrade.db import models
from trove_upgrade.db.migrations.chain import BRANCHES, MAIN
from trove_upgrade.schema_tools import autogenerate


def add_commands(nested: Commands) -> None:
    """Add `revision` to the commands of `db`."""
    parser = nested.add(
        'revision',
        'write new revisions (for developers)',
        description='Writes an empty revision into each branch, or what has changed in the '
        'models, and prints each file.',
    )
    parser.add_argument('-m', '--message', required=True, help='what changes, in a few words')
    parser.add_argument(
        '--autogenerate',
        action='store_true',
        help='compare the models with the connected database, and divide what is different '
        'between the branches',
    )
    branch = parser.add_mutually_exclusive_group()
    for name in BRANCHES:
        branch.add_argument(
            f'--{name}',
            dest='branches',
            action='store_const',
            const=(name,),
            default=BRANCHES,
            help=f'only in branch {name}',
        )
    parser.add_argument(
        '--release',
        metavar='NAME',
        help='release that it belongs to (default: the newest); a new one gets a revision in each '
        'branch',
    )
    parser.set_defaults(command=_revise)


def _revise(run: Context, arguments: argparse.Namespace) -> None:
    revise(run, arguments, autogenerate.Tree.of(MAIN), models.METADATA)


def revise(
    run: Context, arguments: argparse.Namespace, tree: autogenerate.Tree, metadata: sa.MetaData
) -> None:
    """Write into `tree`.  Without --autogenerate, no database is needed."""
    branches: Sequence[str] = arguments.branches
    if not arguments.autogenerate:
        _show(
            autogenerate.write_empty(
                tree, arguments.message, release=arguments.release, branches=branches
            )
        )
        return
    with run.repositories.database.read() as connection:
        _show(
            autogenerate.autogenerate(
                tree,
                connection,
                metadata,
                arguments.message,
                release=arguments.release,
                branches=branches,
            )
        )


def _show(written: autogenerate.Written) -> None:
    for warning in written.warnings:
        print(f'WARNING {warning}', file=sys.stderr)
    if not written.files:
        print('Nothing to do: the database is as the models say.')
    for path in written.files:
        print(path)
    for line in written.to_do:
        print(line)
