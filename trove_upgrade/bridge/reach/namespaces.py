# SPDX-License-Identifier: Apache-2.0
"""Route through a namespace of the tenant network, wherever that is, and the talk with the relay
that runs in it.
"""

import dataclasses
import pathlib
import re
from collections.abc import Sequence
from typing import Protocol

from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.reach.attempt import attempt
from trove_upgrade.bridge.reach.ports import Connection, Monotonic, Reachability
from trove_upgrade.clock import SystemClock

#: Names that Neutron's DHCP agent and its OVN metadata agent give, and no others.
_NAMESPACE = re.compile(
    r'(?:qdhcp|ovnmeta)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'
)
#: Beginning of the relay's first line, after what a login shell may have printed.
_WORD = b'trove-upgrade-relay '
#: Bytes that are looked at for it.
_NOISE_BYTES = 8192
#: A relay without bytes for so long has lost its bridge.  The keepalive comes much more often.
IDLE_SECONDS = 120
#: A relay is given so long to start, more than its own wait for the guest.
_START_SECONDS = 15.0
#: As iproute2 calls it; a link leads to /run where there is one.
_DIRECTORY = pathlib.PurePosixPath('/var/run/netns')


def dhcp_namespace(network_id: str) -> str:
    """Return the name of the namespace of Neutron's DHCP agent.

    :raises NamespaceRefused: the id is none.
    """
    return checked(f'qdhcp-{network_id}')


def metadata_namespace(network_id: str) -> str:
    """Return the name of the namespace of the OVN metadata agent, which reaches the guests on its
    own chassis alone.

    :raises NamespaceRefused: the id is none.
    """
    return checked(f'ovnmeta-{network_id}')


def checked(namespace: str) -> str:
    """Return the name of a namespace that may be entered.

    :raises NamespaceRefused: no agent of Neutron gives such a name.
    """
    if _NAMESPACE.fullmatch(namespace) is None:
        raise errors.NamespaceRefused(namespace=repr(namespace))
    return namespace


def path_of(namespace: str) -> str:
    """Return the path of a namespace that iproute2 has mounted."""
    return str(_DIRECTORY / checked(namespace))


def relay_command(namespace: str, words: Sequence[str]) -> tuple[str, ...]:
    """Return the command, for root, that runs the relay in a namespace."""
    program = pathlib.Path(__file__).with_name('relay.py').read_text()
    entered = ('ip', 'netns', 'exec', checked(namespace))
    return (*entered, 'python3', '-I', '-S', '-c', program, *words)


class Relayed(Connection, Protocol):
    """Standard streams of a program that a place has started."""

    def complaint(self) -> str:
        """Return what the program has written to its error stream, for a message."""


class Place(Protocol):
    """Host that has namespaces of tenant networks."""

    @property
    def name(self) -> str:
        """Return it in words: "on this host", "on node-1"."""

    @property
    def host(self) -> str:
        """Return the host's own name.

        :raises ReachError: the host cannot be asked.
        """

    def has(self, namespace: str) -> bool:
        """Return whether the host has a namespace of the name.

        :raises ReachError: the host cannot be asked.
        """

    def start(self, argv: Sequence[str]) -> Relayed:
        """Run a program as root; its end is that of the connection, in both directions.

        :raises ReachError: it cannot be started.
        """


@dataclasses.dataclass(frozen=True)
class NamespaceRoute:
    """Implements Route.  Networks with equal address ranges have a namespace each."""

    namespace: str
    place: Place
    clock: Monotonic = dataclasses.field(default_factory=SystemClock, compare=False)

    def __post_init__(self) -> None:
        checked(self.namespace)

    @property
    def name(self) -> str:
        return f'through {self.namespace} {self.place.name}'

    @property
    def host(self) -> str:
        return self.place.host

    def source_address(self, target: str) -> str:
        stream, word, rest = self._ask(('source', target), _START_SECONDS)
        stream.close()
        if word != 'source':
            raise errors.ConnectionRefused(address=target, port='any', route=self.name, found=rest)
        return rest

    def connect(self, address: str, port: int, timeout_seconds: float) -> Connection:
        words = ('connect', address, str(port), f'{timeout_seconds:.1f}', str(IDLE_SECONDS))
        stream, word, rest = self._ask(words, timeout_seconds + _START_SECONDS)
        if word == 'connected':
            return stream
        stream.close()
        where = {'address': address, 'port': port, 'route': self.name}
        if word == 'silent':
            raise errors.TimedOut(
                **where,
                phase='connection',
                seconds=timeout_seconds,
                source=self.source_address(address),
            )
        raise errors.ConnectionRefused(**where, found=rest)

    def reaches(self, address: str, port: int, timeout_seconds: float) -> Reachability:
        return attempt(self.connect, address, port, timeout_seconds)

    def _ask(self, words: Sequence[str], seconds: float) -> tuple[Relayed, str, str]:
        stream = self.place.start(relay_command(self.namespace, words))
        try:
            line = _first_line(stream, self.clock, seconds)
        except OSError as error:
            stream.close()
            raise errors.RelayFailed(route=self.name, found=str(error)) from error
        except BaseException:
            stream.close()
            raise
        if line is None:
            complaint = stream.complaint() or 'the relay ended without a word'
            stream.close()
            raise errors.RelayFailed(route=self.name, found=complaint)
        word, _, rest = line.partition(' ')
        return stream, word, rest


def _first_line(stream: Connection, clock: Monotonic, seconds: float) -> str | None:
    """Return the relay's line without its beginning; None: the stream has ended before it.

    Read byte by byte: what follows is the guest's.
    """
    deadline = clock.monotonic() + seconds
    line, seen = b'', 0
    while seen < _NOISE_BYTES:
        left = deadline - clock.monotonic()
        if left <= 0:
            raise TimeoutError('the relay did not answer in time')
        stream.settimeout(left)
        byte = stream.recv(1)
        if not byte:
            return None
        seen += 1
        if byte != b'\n':
            line += byte
        elif line.startswith(_WORD):
            return line.removeprefix(_WORD).decode(errors='replace').strip()
        else:
            line = b''
    raise ConnectionError(f'no line of the relay among the first {_NOISE_BYTES} bytes')
