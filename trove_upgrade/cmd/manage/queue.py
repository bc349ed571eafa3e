# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-manage queue ...`.

What of ours is left at the broker, with the credentials of transport_url alone.
"""

import argparse
import socket
from types import ModuleType
from typing import Any

from oslo_config import cfg

from trove_upgrade.cmd.manage.context import Context, print_line, print_table
from trove_upgrade.domain import exceptions

_BROKER_SECONDS = 5.0


def add_commands(commands: Any) -> None:
    """Add `queue` and its subcommands."""
    parser = commands.add_parser(
        'queue',
        help='queues of the taskmanagers',
        description='Queues of the taskmanagers at the broker.',
    )
    nested = parser.add_subparsers(title='commands', metavar='COMMAND', required=True)
    for name, text, command in (
        ('list', 'those that are there, with their messages and consumers', _list),
        (
            'remove',
            'delete those without a consumer, with their messages, and the exchange',
            _remove,
        ),
    ):
        added = nested.add_parser(name, help=text)
        added.add_argument(
            '--host',
            action='append',
            default=[],
            help='a host that has run a taskmanager (may be repeated; this one always counts)',
        )
        added.set_defaults(command=command)


def _queues() -> ModuleType:
    """Import them: no other command needs a broker, and oslo.messaging wants the threads chosen."""
    from trove_upgrade.wsgi import threads

    threads.choose()
    from trove_upgrade.rpc import queues

    return queues


def _names(conf: cfg.ConfigOpts, hosts: list[str]) -> list[str]:
    names: list[str] = _queues().of_taskmanagers(conf, sorted({socket.gethostname(), *hosts}))
    return names


def _list(run: Context, arguments: argparse.Namespace) -> None:
    found = _queues().find(run.conf, _names(run.conf, arguments.host), _BROKER_SECONDS)
    print_table(
        ('queue', 'messages', 'consumers'),
        [(one.name, one.messages, one.consumers) for one in found],
    )


def _remove(run: Context, arguments: argparse.Namespace) -> None:
    """:raises QueuesInUse: a taskmanager listens; the others have been deleted."""
    queues, names = _queues(), _names(run.conf, arguments.host)
    removed = queues.remove(run.conf, names, _BROKER_SECONDS)
    for gone in removed:
        print_line(f'Queue {gone.name} is deleted; messages in it: {gone.messages}.')
    left = queues.find(run.conf, names, _BROKER_SECONDS)
    for name in names:
        if name not in {one.name for one in (*removed, *left)}:
            print_line(f'Queue {name} is not there.')
    if left:
        raise exceptions.QueuesInUse(
            found=', '.join(f'{one.name} ({one.consumers})' for one in left)
        )
    if queues.remove_exchange(run.conf, _BROKER_SECONDS):
        print('The exchange is deleted.')
    else:
        print(
            'The exchange stays: other queues are bound to it, of guests with our agent or of '
            'taskmanagers of other hosts (--host). It goes when the last of them has gone and this is '
            'run again.'
        )
