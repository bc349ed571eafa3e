# SPDX-License-Identifier: Apache-2.0
"""Bring the schema on, and show where it is."""
import argparse
from collections.abc import Sequence
from typing import Any

from trove_upgrade.cmd.manage.context import Context, print_table
from trove_upgrade.db.migrations.runner import MAIN, STANDALONE, BranchState, Runner


def add_commands(nested: Any) -> None:
    """Add what brings the schema on, and what shows where it is."""
    sync = nested.add_parser('sync', help='bring everything to its newest revision; may be repeated')
    sync.add_argument('--standalone', action='store_true', help="also make the tables of Trove's form, where no Trove makes them")
    sync.set_defaults(command=_sync)
    version = nested.add_parser('version', help="print the revisions that have been run, 'none' for an empty database")
    version.set_defaults(command=_version)
    upgrade = nested.add_parser('upgrade', help='bring one branch to a revision')
    upgrade.add_argument('revision', help='a revision, or expand@head, contract@head, standalone@head')
    upgrade.set_defaults(command=_upgrade)
    current = nested.add_parser('current', help='show how far each branch is')
    current.set_defaults(command=_current)


def _runner(run: Context) -> Runner:
    return Runner(run.repositories.database.engine)


def _sync(run: Context, arguments: argparse.Namespace) -> None:
    _show(_runner(run).sync(standalone=arguments.standalone))


def _version(run: Context, _arguments: argparse.Namespace) -> None:
    print(_runner(run).version())


def _upgrade(run: Context, arguments: argparse.Namespace) -> None:
    runner = _runner(run)
    runner.upgrade(arguments.revision, STANDALONE if 'standalone' in arguments.revision else MAIN)
    _show(runner.states())


def _current(run: Context, _arguments: argparse.Namespace) -> None:
    _show(_runner(run).states())


def _show(states: Sequence[BranchState]) -> None:
    print_table(('branch', 'revision', 'newest'), [(state.branch, state.current, 'yes' if state.at_head else f'no: {state.head}')
                                                   for state in states])
