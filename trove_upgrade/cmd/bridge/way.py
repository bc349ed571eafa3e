# SPDX-License-Identifier: Apache-2.0
"""Options of the way to guests: routes, network nodes, controllers."""

import argparse
import contextlib
import dataclasses
import getpass
import os
import pathlib
from collections.abc import Iterator, Sequence

from trove_upgrade.bridge.preconditions.controller_hosts import RemoteController, ThisController
from trove_upgrade.bridge.preconditions.controllers import Controller
from trove_upgrade.bridge.reach.accounts import Accounts
from trove_upgrade.bridge.reach.choice import Chassis, RouteChooser, Routing
from trove_upgrade.bridge.reach.known_hosts import KnownHosts
from trove_upgrade.bridge.reach.local_host import LocalHost
from trove_upgrade.bridge.reach.logins import Login
from trove_upgrade.bridge.reach.network_node import NetworkNode, NodeAddress, log_in
from trove_upgrade.bridge.reach.session import Limits
from trove_upgrade.bridge.reach.shell import SshShell
from trove_upgrade.clock import SystemClock
from trove_upgrade.cmd.bridge import logins
from trove_upgrade.cmd.console.printing import UsageError

_SSH_PORT = 22
#: Neutron's agents let a new rule count when they come to it: on a busy host that takes a while.
_GUEST_SECONDS = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ways:
    """Routes and accounts that an operator has named."""

    chooser: RouteChooser
    accounts: Accounts
    limits: Limits
    proofs: logins.Proofs  #: what all keys are read by


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of routes and of accounts."""
    logins.add_options(parser)
    _add_routes(parser)


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
def controllers(
    arguments: argparse.Namespace, means: logins.Proofs
) -> Iterator[Sequence[Controller]]:
    """Yield the controllers that the options name; connections end with the block.

    :raises UsageError: one cannot be understood, or there is none, or no key for it.
    :raises LoginUnusable, LoginFileRefused: a key cannot be used.
    """
    if arguments.not_this_host and not arguments.controller:
        raise UsageError('--not-this-host wants --controller')
    remote = [_controller(text, arguments, means) for text in arguments.controller]
    here = () if arguments.not_this_host else (ThisController(),)
    try:
        yield (*here, *remote)
    finally:
        for one in remote:
            one.close()


def _controller(text: str, arguments: argparse.Namespace, means: logins.Proofs) -> RemoteController:
    user, host, port = _place('--controller', text, text)
    login = _own(user, '--controller', arguments.controller_key_file, means)
    address = NodeAddress(host=host, port=port, login=login)
    known_hosts = KnownHosts(pathlib.Path(arguments.known_hosts))

    def open_shell() -> SshShell:
        session = log_in(address, known_hosts, limits=Limits(), clock=SystemClock())
        return SshShell(session, login)

    return RemoteController(host if port == _SSH_PORT else f'{host}:{port}', open_shell)


@contextlib.contextmanager
def made(arguments: argparse.Namespace, ask: logins.Ask = getpass.getpass) -> Iterator[Ways]:
    """Yield what the options name; connections to network nodes end with the block.

    :raises UsageError: options contradict each other, or one cannot be understood.
    :raises LoginUnusable, LoginFileRefused: a file cannot be used.
    """
    means = logins.proofs(arguments, ask)
    accounts = logins.accounts(arguments, means, ask)
    limits = Limits(connect_seconds=_GUEST_SECONDS, sha1_rsa=arguments.allow_sha1_rsa)
    nodes = [
        NetworkNode(
            address,
            KnownHosts(pathlib.Path(arguments.known_hosts)),
            limits=Limits(),
            clock=SystemClock(),
        )
        for address in _node_addresses(arguments, means)
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
        yield Ways(chooser=chooser, accounts=accounts, limits=limits, proofs=means)
    finally:
        for node in nodes:
            node.close()


def _node_addresses(arguments: argparse.Namespace, means: logins.Proofs) -> Iterator[NodeAddress]:
    for text in arguments.node:
        place, _, chassis = text.partition('=')
        user, host, port = _place('--node', text, place)
        yield NodeAddress(
            host=host,
            port=port,
            login=_own(user, '--node', arguments.node_key_file, means),
            chassis=chassis or None,
        )


def _own(user: str, option: str, key_files: Sequence[str], means: logins.Proofs) -> Login:
    """Return the login of a host of the operator's own."""
    login = means.login(user, key_files)
    if not login.has_proof:
        raise UsageError(f'{option} wants {option}-key-file or --ssh-agent')
    return login


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
