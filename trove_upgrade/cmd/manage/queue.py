# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-manage queue ...`.

What of ours is left at the brokers, with the credentials of transport_url, guest_transport_url and
nova_notifications_transport_url alone.
"""

import argparse
import socket
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from oslo_config import cfg

from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import print_line, print_table
from trove_upgrade.cmd.manage.context import Context
from trove_upgrade.domain import queue_errors

_BROKER_SECONDS = 5.0


def add_commands(commands: Commands) -> None:
    """Add `queue` and its subcommands."""
    nested = commands.add_group(
        'queue',
        'queues of the taskmanagers',
        description='Queues of the taskmanagers at the broker.',
    )
    for name, text, command in (
        ('list', 'those that are there, with their messages and consumers', _list),
        (
            'remove',
            'delete those without a consumer, with their messages, and the exchange',
            _remove,
        ),
    ):
        added = nested.add(name, text)
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


def _names(conf: cfg.ConfigOpts, hosts: list[str], at: Any) -> list[str]:
    """Return the names to look for there: where taskmanagers only hear Nova, of that alone."""
    queues, every = _queues(), sorted({socket.gethostname(), *hosts})
    if _has_our_exchange(conf, at):
        names: list[str] = queues.of_taskmanagers(conf, every)
        return names
    return [queues.of_nova(host) for host in every]


def _places(conf: cfg.ConfigOpts) -> Sequence[Any]:
    from trove_upgrade.rpc import place

    return place.of_queues(conf)


def _has_our_exchange(conf: cfg.ConfigOpts, at: Any) -> bool:
    from trove_upgrade.rpc import place

    return at in place.of_taskmanagers(conf)


def _list(run: Context, arguments: argparse.Namespace) -> None:
    queues, places = _queues(), _places(run.conf)
    found = [
        (at, one)
        for at in places
        for one in queues.find(run.conf, _names(run.conf, arguments.host, at), _BROKER_SECONDS, at)
    ]
    if len(places) > 1:
        print_table(
            ('at', 'queue', 'messages', 'consumers'),
            [(at.option, one.name, one.messages, one.consumers) for at, one in found],
        )
        return
    print_table(
        ('queue', 'messages', 'consumers'),
        [(one.name, one.messages, one.consumers) for _, one in found],
    )


def _remove(run: Context, arguments: argparse.Namespace) -> None:
    """Delete the taskmanagers' queues of this host and of those named, then the exchange.

    :raises QueuesInUse: a taskmanager listens; the others have been deleted.
    """
    places = _places(run.conf)
    left = []
    for at in places:
        if len(places) > 1:
            print_line(f'At {at.option}:')
        left += _remove_queues(run.conf, _names(run.conf, arguments.host, at), at)
    if left:
        raise queue_errors.QueuesInUse(
            found=', '.join(f'{one.name} ({one.consumers})' for one in left)
        )
    for at in places:
        if not _has_our_exchange(run.conf, at):
            continue
        if len(places) > 1:
            print_line(f'At {at.option}:')
        _remove_exchange(run.conf, at)


def _remove_queues(conf: cfg.ConfigOpts, names: list[str], at: Any) -> list[Any]:
    """Return those that are left, because a taskmanager listens."""
    queues = _queues()
    removed = queues.remove(conf, names, _BROKER_SECONDS, at)
    for gone in removed:
        print_line(f'Queue {gone.name} is deleted; messages in it: {gone.messages}.')
    left: list[Any] = queues.find(conf, names, _BROKER_SECONDS, at)
    for name in names:
        if name not in {one.name for one in (*removed, *left)}:
            print_line(f'Queue {name} is not there.')
    return left


def _remove_exchange(conf: cfg.ConfigOpts, at: Any) -> None:
    if _queues().remove_exchange(conf, _BROKER_SECONDS, at):
        print('The exchange is deleted.')
    else:
        print(
            'The exchange stays: other queues are bound to it, of guests with our agent or of '
            'taskmanagers of other hosts (--host). It goes when the last of them has gone and '
            'this is run again.'
        )
