# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge forget-host-key`: the key of a server that has another one now."""

import argparse

from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import print_line


def add_commands(commands: Commands) -> None:
    """Add `forget-host-key`."""
    forget = commands.add(
        'forget-host-key',
        'forget the SSH host key of a server: the next one is taken at first sight',
        description='Forgets the SSH host key that was pinned for a server. First compare the '
        'fingerprint that the bridge was shown with the one on the console of the server.',
    )
    forget.add_argument('server', metavar='SERVER', help="Nova's id of the server")
    forget.set_defaults(command=_forget)


def _forget(run: Context, arguments: argparse.Namespace) -> None:
    if run.repositories.host_keys.forget(arguments.server):
        print_line(f'The host key of server {arguments.server} is forgotten.')
    else:
        print_line(f'Nothing to do: no host key is pinned for server {arguments.server}.')
