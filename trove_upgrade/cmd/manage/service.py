# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-manage service ...`: which processes of ours run, of which release."""
import argparse
from typing import Any

from trove_upgrade.cmd.manage.context import Context, print_table


def add_commands(commands: Any) -> None:
    """Add `service` and its subcommands."""
    parser = commands.add_parser('service', help='running services', description='Services that have registered.')
    nested = parser.add_subparsers(title='commands', metavar='COMMAND', required=True)
    listing = nested.add_parser('list', help='all that have not stopped cleanly')
    listing.set_defaults(command=_list)


def _list(run: Context, _arguments: argparse.Namespace) -> None:
    print_table(('host', 'binary', 'version', 'state', 'started', 'last seen'), [
        (one.host, one.binary, one.version, 'silent' if one.is_silent else 'alive', one.started_at.isoformat(timespec='seconds'),
         f'{one.silent_seconds:.0f} s ago')
        for one in run.repositories.services.list()])
