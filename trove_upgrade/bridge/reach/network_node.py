# SPDX-License-Identifier: Apache-2.0
"""Network node behind SSH: its namespaces are entered by a relay on an exec channel."""

import dataclasses
import threading
from collections.abc import Sequence

import paramiko

from trove_upgrade.bridge.reach import commands, errors, namespaces
from trove_upgrade.bridge.reach.direct import DirectRoute
from trove_upgrade.bridge.reach.known_hosts import KnownHosts
from trove_upgrade.bridge.reach.logins import Login
from trove_upgrade.bridge.reach.ports import Monotonic, Outcome, Route
from trove_upgrade.bridge.reach.session import Limits, Peer, Session
from trove_upgrade.bridge.reach.shell import SshShell

_LOOK_SECONDS = 30.0
#: Time for which a node that could not be reached is not tried again.
_DOWN_SECONDS = 10.0
_COMPLAINT_BYTES = 4096


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeAddress:
    """Network node or controller, as the operator has configured it."""

    host: str  #: name or address that this host reaches, and that the file of host keys has
    login: Login
    port: int = 22
    #: Nova's and Neutron's name of the host: guests of this chassis are reached by `ovnmeta`
    chassis: str | None = None


class ChannelStream:
    """Implements Relayed over a channel of the node's connection."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def send(self, data: bytes, /) -> int:
        return int(self._channel.send(data))

    def recv(self, size: int, /) -> bytes:
        return bytes(self._channel.recv(size))

    @property
    def _closed(self) -> bool:
        return bool(self._channel.closed)  # paramiko asks for it by the name that sockets have

    def settimeout(self, seconds: float | None, /) -> None:
        self._channel.settimeout(seconds)

    def complaint(self) -> str:
        """Return what the program has written until its end."""
        try:
            found = self._channel.recv_stderr(_COMPLAINT_BYTES)
        except TimeoutError:
            return ''
        return bytes(found).decode(errors='replace').strip()

    def close(self) -> None:
        self._channel.close()


class NetworkNode:
    """Implements Place.  A connection carries all that goes through the node, up to the sessions
    that its server allows on one; then there is a further connection.  The first is made when it is
    needed, and all are closed with the node.
    """

    def __init__(
        self,
        address: NodeAddress,
        known_hosts: KnownHosts,
        *,
        limits: Limits,
        clock: Monotonic,
        route: Route | None = None,
    ) -> None:
        self.address = address
        self._known_hosts = known_hosts
        # a node is the operator's own: what old guests need is not for it
        self._limits = dataclasses.replace(limits, sha1_rsa=False)
        self._clock = clock
        self._route = route or DirectRoute()
        self._lock = threading.Lock()
        self._sessions: list[Session] = []
        self._host: str | None = None
        self._failed: tuple[float, errors.ReachError] | None = None

    @property
    def name(self) -> str:
        return f'on {self.address.host}'

    @property
    def host(self) -> str:
        """Return its own name, which is the same on each host that reaches it by another.

        :raises ReachError: it cannot be asked.
        """
        if self._host is None:
            name = self._look(('uname', '-n')).stdout.decode('utf-8', 'replace').strip()
            self._host = name or self.address.host
        return self._host

    def has(self, namespace: str) -> bool:
        return self._look(('test', '-e', namespaces.path_of(namespace))).exit_code == 0

    def start(self, argv: Sequence[str]) -> ChannelStream:
        session, login = self._session(), self.address.login
        try:
            channel = commands.start(session, login, argv, as_root=True)
        except errors.NoSession:
            session = self._session(besides=session)
            channel = commands.start(session, login, argv, as_root=True)
        return ChannelStream(channel)

    def close(self) -> None:
        """End the connections, and with them every relay on the node."""
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.close()

    def _look(self, argv: Sequence[str]) -> Outcome:
        session = self._session()
        try:
            return self._look_in(session, argv)
        except errors.NoSession:
            return self._look_in(self._session(besides=session), argv)

    def _look_in(self, session: Session, argv: Sequence[str]) -> Outcome:
        return SshShell(session, self.address.login).run(argv, timeout_seconds=_LOOK_SECONDS)

    def _session(self, besides: Session | None = None) -> Session:
        """Return the newest connection, or a newer one than one that is full."""
        with self._lock:
            self._sessions = [one for one in self._sessions if one.transport.is_active()]
            if not self._sessions or self._sessions[-1] is besides:
                self._sessions.append(self._connected())
            return self._sessions[-1]

    def _connected(self) -> Session:
        """Connect.  A node that has just failed is not tried for each guest and network anew: one
        that swallows packets would hold up all of them.
        """
        if self._failed is not None and self._clock.monotonic() - self._failed[0] < _DOWN_SECONDS:
            raise self._failed[1]
        try:
            session = self._connect()
        except errors.ReachError as error:
            self._failed = (self._clock.monotonic(), error)
            raise
        self._failed = None
        return session

    def _connect(self) -> Session:
        return log_in(
            self.address,
            self._known_hosts,
            limits=self._limits,
            clock=self._clock,
            route=self._route,
        )


def log_in(
    host: NodeAddress,
    known_hosts: KnownHosts,
    *,
    limits: Limits,
    clock: Monotonic,
    route: Route | None = None,
) -> Session:
    """Return a session on a host of the operator's own, whose key the file must have.

    :raises ReachError:
    """
    route = route or DirectRoute()
    expected = known_hosts.keys_of(host.host, host.port)
    peer = Peer(server_id=host.host, address=host.host, port=host.port, route=route.name)
    connection = route.connect(host.host, host.port, limits.connect_seconds)
    session = Session.begin(connection, peer, expected, limits=limits, clock=clock)
    try:
        session.log_in(host.login)
    except BaseException:
        session.close()
        raise
    return session
