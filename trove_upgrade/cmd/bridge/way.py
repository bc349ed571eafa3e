# SPDX-License-Identifier: Apache-2.0
"""Options of the way to guests: routes, network nodes, accounts."""

import argparse
import contextlib
import dataclasses
import getpass
import os
import pathlib
from collections.abc import Iterator, Sequence

from trove_upgrade.bridge.preconditions.controller_hosts import RemoteController, ThisController
from trove_upgrade.bridge.preconditions.controllers import Controller
from trove_upgrade.bridge.reach.accounts import Accounts, read_accounts
from trove_upgrade.bridge.reach.choice import Chassis, RouteChooser, Routing
from trove_upgrade.bridge.reach.known_hosts import KnownHosts
from trove_upgrade.bridge.reach.local_host import LocalHost
from trove_upgrade.bridge.reach.logins import Login, ask_password, read_password
from trove_upgrade.bridge.reach.network_node import NetworkNode, NodeAddress, log_in
from trove_upgrade.bridge.reach.session import Limits
from trove_upgrade.bridge.reach.shell import SshShell
from trove_upgrade.clock import SystemClock
from trove_upgrade.cmd.console.printing import UsageError

_SSH_PORT = 22


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ways:
    """Routes and accounts that an operator has named."""

    chooser: RouteChooser
    accounts: Accounts
    limits: Limits


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of routes and of accounts."""
    _add_accounts(parser)
    _add_routes(parser)


def _add_accounts(parser: argparse.ArgumentParser) -> None:
    guests = parser.add_argument_group('accounts of guests')
    guests.add_argument('--user', default='root', help='account in the guests (default: root)')
    guests.add_argument(
        '--key-file', action='append', default=[], metavar='FILE', help='private key; several'
    )
    guests.add_argument(
        '--password-file', metavar='FILE', help='file of mode 600 with the password in its line'
    )
    guests.add_argument(
        '--ask-password', action='store_true', help='ask for the password on the terminal'
    )
    guests.add_argument(
        '--accounts',
        metavar='FILE',
        help='accounts of single instances: JSON, YAML or CSV, see the documentation',
    )


def _add_routes(parser: argparse.ArgumentParser) -> None:
    routes = parser.add_argument_group('routes')
    routes.add_argument(
        '--node',
        action='append',
        default=[],
        metavar='[USER@]HOST[:PORT][=CHASSIS]',
        help='network node with namespaces of networks, reached over SSH; several',
    )
    routes.add_argument(
        '--node-key-file', action='append', default=[], metavar='FILE', help='private key for nodes'
    )
    routes.add_argument(
        '--known-hosts',
        metavar='FILE',
        default=os.path.expanduser('~/.ssh/known_hosts'),  # noqa: PTH111 - shown as a default
        help='host keys of nodes and controllers (default: %(default)s)',
    )
    routes.add_argument(
        '--direct',
        action='append',
        default=[],
        metavar='NETWORK',
        help='id of a network that this host reaches without a namespace; several',
    )
    routes.add_argument('--chassis', help="Neutron's name of this host, where it uses OVN")
    routes.add_argument(
        '--no-local', action='store_true', help='do not look for namespaces on this host'
    )


def add_controllers(parser: argparse.ArgumentParser) -> None:
    """Add the options of controllers."""
    controllers = parser.add_argument_group('controllers')
    controllers.add_argument(
        '--controller',
        action='append',
        default=[],
        metavar='[USER@]HOST[:PORT]',
        help='controller whose templates are looked at, too, over SSH; several. Its host key is '
        'looked for in --known-hosts',
    )
    controllers.add_argument(
        '--controller-key-file',
        action='append',
        default=[],
        metavar='FILE',
        help='private key for controllers',
    )
    controllers.add_argument(
        '--not-this-host',
        action='store_true',
        help='look at the templates of the controllers that are named alone: this host is none',
    )


@contextlib.contextmanager
def controllers(arguments: argparse.Namespace) -> Iterator[Sequence[Controller]]:
    """Yield the controllers that the options name; connections end with the block.

    :raises UsageError: one cannot be understood, or there is none.
    """
    if arguments.not_this_host and not arguments.controller:
        raise UsageError('--not-this-host wants --controller')
    remote = [_controller(text, arguments) for text in arguments.controller]
    here = () if arguments.not_this_host else (ThisController(),)
    try:
        yield (*here, *remote)
    finally:
        for one in remote:
            one.close()


def _controller(text: str, arguments: argparse.Namespace) -> RemoteController:
    user, host, port = _place('--controller', text, text)
    login = Login(user=user, key_files=_paths(arguments.controller_key_file))
    address = NodeAddress(host=host, port=port, login=login)
    known_hosts = KnownHosts(pathlib.Path(arguments.known_hosts))

    def open_shell() -> SshShell:
        session = log_in(address, known_hosts, limits=Limits(), clock=SystemClock())
        return SshShell(session, login)

    return RemoteController(host if port == _SSH_PORT else f'{host}:{port}', open_shell)


@contextlib.contextmanager
def made(arguments: argparse.Namespace) -> Iterator[Ways]:
    """Yield what the options name; connections to network nodes end with the block.

    :raises UsageError: options contradict each other, or one cannot be understood.
    :raises LoginUnusable, LoginFileRefused: a file cannot be used.
    """
    accounts = _accounts(arguments)
    limits = Limits()
    nodes = [
        NetworkNode(
            address,
            KnownHosts(pathlib.Path(arguments.known_hosts)),
            limits=limits,
            clock=SystemClock(),
        )
        for address in _node_addresses(arguments)
    ]
    chooser = RouteChooser(
        Routing(
            local_namespaces=not arguments.no_local,
            local_chassis=arguments.chassis,
            direct_network_ids=frozenset(arguments.direct),
        ),
        LocalHost(sudo=os.geteuid() != 0),
        [Chassis(node, node.address.chassis) for node in nodes],
    )
    try:
        yield Ways(chooser=chooser, accounts=accounts, limits=limits)
    finally:
        for node in nodes:
            node.close()


def _accounts(arguments: argparse.Namespace) -> Accounts:
    if arguments.password_file and arguments.ask_password:
        raise UsageError('--password-file and --ask-password contradict each other')
    password = None
    if arguments.password_file:
        password = read_password(pathlib.Path(arguments.password_file))
    elif arguments.ask_password:
        password = ask_password(getpass.getpass, f'{arguments.user} in the guests')
    default = Login(user=arguments.user, key_files=_paths(arguments.key_file), password=password)
    if arguments.accounts is None:
        return Accounts(default)
    return read_accounts(pathlib.Path(arguments.accounts), default)


def _node_addresses(arguments: argparse.Namespace) -> Iterator[NodeAddress]:
    for text in arguments.node:
        place, _, chassis = text.partition('=')
        user, host, port = _place('--node', text, place)
        yield NodeAddress(
            host=host,
            port=port,
            login=Login(user=user, key_files=_paths(arguments.node_key_file)),
            chassis=chassis or None,
        )


def _place(option: str, text: str, place: str) -> tuple[str, str, int]:
    """Return account, host and port of a place that an option names."""
    user, at, rest = place.rpartition('@')
    host, colon, port = rest.rpartition(':')
    if not colon or rest.endswith(']'):
        host, port = rest, str(_SSH_PORT)
    host = host.removeprefix('[').removesuffix(']')
    if not host or not port.isdecimal() or (at and not user):
        form = '[USER@]HOST[:PORT]' + ('[=CHASSIS]' if option == '--node' else '')
        raise UsageError(f'{option} {text}: write it as {form}')
    return user or 'root', host, int(port)


def _paths(names: Sequence[str]) -> tuple[pathlib.Path, ...]:
    return tuple(pathlib.Path(name) for name in names)
