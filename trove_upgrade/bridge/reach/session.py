# SPDX-License-Identifier: Apache-2.0
"""SSH connection over what a route has opened: the server's key first, then the login.

Each phase has a limit.  Algorithms are those of paramiko 5: key exchange mlkem768x25519-sha256,
curve25519-sha256@libssh.org, ECDH and Diffie-Hellman with SHA-2; host and user keys Ed25519, ECDSA
and RSA with SHA-2; RSA with SHA-1 where `Limits.sha1_rsa` is set (`old_servers`).  An OpenSSH 6 or
later offers some of each by default.
"""

import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator, Sequence

import paramiko

from trove_upgrade.bridge.reach import errors, old_servers, packets
from trove_upgrade.bridge.reach.host_key import HostKey
from trove_upgrade.bridge.reach.keys import agent_keys
from trove_upgrade.bridge.reach.logins import Login
from trove_upgrade.bridge.reach.ports import Connection, Monotonic

#: Bytes go this often where nothing is to be said: the relay and firewalls see a living bridge.
KEEPALIVE_SECONDS = 15
#: Name of paramiko's log.  What it would write there, our errors tell, or leave out on purpose.
_LOG = 'trove_upgrade.bridge.ssh'
_RSA = ('rsa-sha2-512', 'rsa-sha2-256')
_NO_HOST_KEY = 'no acceptable host key'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Seconds of each phase, and what is allowed."""

    connect_seconds: float = 15.0
    banner_seconds: float = 15.0  #: the server's version line
    exchange_seconds: float = 30.0  #: algorithms, keys and the server's proof
    login_seconds: float = 30.0  #: of each proof
    channel_seconds: float = 30.0  #: to begin a command
    sha1_rsa: bool = False  #: RSA with SHA-1, for guests of an OpenSSH before 7.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Peer:
    """Server that is connected to, in the words of messages."""

    server_id: str  #: of a guest; the name of a network node
    address: str
    port: int
    route: str  #: "through ... on ..."

    @property
    def where(self) -> dict[str, object]:
        """Return the facts of an error."""
        return {'address': self.address, 'port': self.port, 'route': self.route}


class Session:
    """Connection whose server has proved its key.  Closed by its owner."""

    def __init__(
        self, transport: paramiko.Transport, peer: Peer, limits: Limits, clock: Monotonic
    ) -> None:
        self.transport = transport
        self.peer = peer
        self.limits = limits
        self.clock = clock

    @classmethod
    def begin(
        cls,
        connection: Connection,
        peer: Peer,
        expected: Sequence[HostKey],
        *,
        limits: Limits,
        clock: Monotonic,
    ) -> 'Session':
        """Exchange keys.  Of a server with several keys, that of an expected type is asked for.

        The connection is the session's from now on, and is closed where this fails.

        :raises ServerSilent, ConnectionLost, NoCommonAlgorithm, HostKeyChanged:
        """
        kind = old_servers.OldServerTransport if limits.sha1_rsa else paramiko.Transport
        logging.getLogger(_LOG).setLevel(logging.CRITICAL + 1)
        try:
            transport = kind(connection, packetizer_class=packets.BoundedPacketizer)
        except BaseException:
            connection.close()
            raise
        session = cls(transport, peer, limits, clock)
        try:
            session._exchange(expected)
        except BaseException:
            session.close()
            raise
        return session

    @property
    def host_key(self) -> HostKey:
        """Return the key that the server has proved to have."""
        key = self.transport.get_remote_server_key()
        return HostKey(key.get_name(), key.asbytes())

    def log_in(self, login: Login) -> None:
        """Prove the account: keys, the agent's keys, the password.

        :raises LoginRefused, ServerSilent, ConnectionLost:
        """
        is_old = self.limits.sha1_rsa
        keys = [_for_old_servers(key) if is_old else key for key in login.keys]
        refusals: list[str] = []
        if self._took_key(login.user, keys, refusals):
            return
        if login.uses_agent and self._took_key_of_agent(login.user, refusals):
            return
        if login.password is not None and self._took(
            lambda: self.transport.auth_password(login.user, login.password), refusals
        ):
            return
        raise errors.LoginRefused(
            user=login.user,
            server_id=self.peer.server_id,
            route=self.peer.route,
            found='; '.join(dict.fromkeys(refusals)) or 'there is no key and no password for it',
        )

    def close(self) -> None:
        """End the connection, and wait for the thread that reads from it."""
        self.transport.close()
        self.transport.packetizer.complete_handshake()  # ends its timer, a thread of its own
        if self.transport.is_alive() and self.transport is not threading.current_thread():
            self.transport.join(5.0)

    def _exchange(self, expected: Sequence[HostKey]) -> None:
        transport, limits = self.transport, self.limits
        transport.set_log_channel(_LOG)
        transport.banner_timeout = limits.banner_seconds
        transport.handshake_timeout = limits.exchange_seconds
        transport.auth_timeout = limits.login_seconds
        if expected:
            transport.get_security_options().key_types = algorithms(expected, limits)
        done = threading.Event()
        transport.start_client(event=done)
        done.wait(limits.banner_seconds + limits.exchange_seconds + 1)
        if not (done.is_set() and transport.is_active()):
            raise self._failure(transport.get_exception(), expected)
        transport.set_keepalive(KEEPALIVE_SECONDS)
        if expected and self.host_key not in expected:
            raise self._changed(expected, self.host_key.fingerprint)

    def _failure(
        self, error: BaseException | None, expected: Sequence[HostKey]
    ) -> errors.ReachError:
        """Return our error for one of the exchange."""
        if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
            if expected and _NO_HOST_KEY in str(error):
                return self._changed(expected, 'of another type')
            return errors.NoCommonAlgorithm(**self.peer.where, found=str(error))
        if not self.transport.remote_version:
            if error is None or isinstance(error.__context__, TimeoutError):
                return self._timed_out('question for its version', self.limits.banner_seconds)
            return errors.ConnectionLost(**self.peer.where, found=f'before SSH began: {error}')
        if self.transport.packetizer.handshake_timed_out():
            return self._timed_out('key exchange', self.limits.exchange_seconds)
        found = 'the server ended it' if isinstance(error, EOFError) or not error else str(error)
        return errors.ConnectionLost(**self.peer.where, found=f'in the key exchange: {found}')

    def _took_key(self, user: str, keys: Sequence[paramiko.PKey], refusals: list[str]) -> bool:
        return any(self._took(prove, refusals) for key in keys for prove in self._by_key(user, key))

    def _took_key_of_agent(self, user: str, refusals: list[str]) -> bool:
        try:
            with agent_keys() as keys:
                return self._took_key(user, keys, refusals)
        except errors.LoginUnusable as error:  # it has gone since; the password may do
            refusals.append(error.message.rstrip('.'))
            return False

    def _by_key(self, user: str, key: paramiko.PKey) -> Iterator[Callable[[], list[str]]]:
        """Yield the proofs by one key: a second one by SHA-1 where that is allowed."""
        transport = self.transport

        def prove() -> list[str]:
            return list(transport.auth_publickey(user, key))

        yield prove
        if isinstance(transport, old_servers.OldServerTransport) and isinstance(
            key, old_servers.Sha1RSAKey
        ):
            transport.signs_with_sha1 = True
            yield prove
            transport.signs_with_sha1 = False

    def _took(self, prove: Callable[[], list[str]], refusals: list[str]) -> bool:
        """Return whether the server took a proof as the last that it needs."""
        began = self.clock.monotonic()
        try:
            needs = prove()
        except paramiko.BadAuthenticationType as error:
            refusals.append(f'it takes {", ".join(error.allowed_types)} only')
            return False
        except paramiko.AuthenticationException as error:
            if not self.transport.is_active():
                raise errors.ConnectionLost(**self.peer.where, found='at the login') from None
            if self.clock.monotonic() - began >= self.limits.login_seconds:
                raise self._timed_out('login', self.limits.login_seconds) from None
            refusals.append(str(error).rstrip('.'))
            return False
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise errors.ConnectionLost(
                **self.peer.where, found=f'at the login: {type(error).__name__}'
            ) from None
        if needs:
            refusals.append(f'it also asks for {", ".join(needs)}')
        return not needs

    def _changed(self, expected: Sequence[HostKey], found: str) -> errors.HostKeyChanged:
        pinned = ' or '.join(key.fingerprint for key in expected)
        return errors.HostKeyChanged(server_id=self.peer.server_id, pinned=pinned, found=found)

    def _timed_out(self, phase: str, seconds: float) -> errors.ServerSilent:
        return errors.ServerSilent(**self.peer.where, phase=phase, seconds=seconds)


def algorithms(expected: Sequence[HostKey], limits: Limits) -> tuple[str, ...]:
    """Return the algorithms by which the server shows a key of these types."""
    rsa = (*_RSA, old_servers.SSH_RSA) if limits.sha1_rsa else _RSA
    found: dict[str, None] = {}
    for key in expected:
        found |= dict.fromkeys(rsa if key.type == old_servers.SSH_RSA else (key.type,))
    return tuple(found)


def _for_old_servers(key: paramiko.PKey) -> paramiko.PKey:
    if isinstance(key, paramiko.RSAKey):
        return old_servers.Sha1RSAKey(key=key.private_key)
    return key
