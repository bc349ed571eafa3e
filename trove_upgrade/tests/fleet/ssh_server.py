# SPDX-License-Identifier: Apache-2.0
"""SSH servers of a fleet in one process: each listens in the network namespace of its guest."""

import contextlib
import ctypes
import dataclasses
import itertools
import os
import selectors
import socket
import threading
from collections.abc import Callable, Iterator

import paramiko

from trove_upgrade.tests.fleet.guests import Fault
from trove_upgrade.tests.fleet.old_guest import OldGuest
from trove_upgrade.tests.fleet.trace import TraceWriter

PORT = 22
_CHUNK = 1 << 18
_CLONE_NEWNET = 0x40000000
_LOGIN_SECONDS = 60.0


def listening(guest_address: str, namespace: str, port: int = PORT) -> socket.socket:
    """Return a socket that listens in a network namespace, or in this one where the path is empty.

    A thread of its own enters the namespace, and ends there.
    """
    found: list[socket.socket | OSError] = []

    def work() -> None:
        try:
            if namespace:
                _enter(namespace)
            found.append(socket.create_server((guest_address, port), backlog=16))
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]


def _enter(namespace: str) -> None:
    descriptor = os.open(namespace, os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), namespace)
    finally:
        os.close(descriptor)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Host:
    """A guest with what its SSH server needs."""

    guest: OldGuest
    host_key: paramiko.PKey

    @property
    def instance_id(self) -> str:
        """Id of its instance."""
        return self.guest.guest.instance_id


class _Session(paramiko.ServerInterface):
    """One connection: the operator's key lets in, and each command is run in a thread."""

    def __init__(self, host: Host, authorized_key: bytes, number: int, trace: TraceWriter) -> None:
        self._host, self._authorized, self._number = host, authorized_key, number
        self._trace = trace

    def get_allowed_auths(self, username: str) -> str:
        return 'publickey'

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        is_refused = self._host.guest.guest.fault is Fault.LOGIN_REFUSED
        if username != 'root' or key.asbytes() != self._authorized or is_refused:
            return paramiko.AUTH_FAILED
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if kind == 'session':
            return paramiko.OPEN_SUCCEEDED
        return paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        work = threading.Thread(target=self._run, args=(channel, command.decode()), daemon=True)
        work.start()
        return True

    def _run(self, channel: paramiko.Channel, command: str) -> None:
        """Answer once the input has ended: its end comes after the client has seen the begin."""
        with contextlib.closing(channel), contextlib.suppress(OSError, EOFError):
            name, answer = self._host.guest.run(command, _chunks(channel))
            self._trace.note(
                self._host.instance_id,
                name,
                self._number,
                code=answer.code,
                holds=tuple(self._host.guest.holds),
            )
            channel.sendall(answer.out.encode())
            channel.sendall_stderr(answer.err.encode())
            channel.send_exit_status(answer.code)


def _chunks(channel: paramiko.Channel) -> Iterator[bytes]:
    while chunk := channel.recv(_CHUNK):
        yield chunk


class SshServers:
    """Accepts for all guests."""

    def __init__(self, authorized_key: bytes, trace: TraceWriter) -> None:
        self._authorized, self._trace = authorized_key, trace
        self._selector = selectors.DefaultSelector()
        self._numbers = itertools.count(1)
        self._ended = threading.Event()

    def add(self, host: Host, listener: socket.socket) -> None:
        """Accept connections to a guest."""
        self._selector.register(listener, selectors.EVENT_READ, host)

    def serve(self, is_over: Callable[[], bool]) -> None:
        """Accept until it is over."""
        while not is_over():
            for key, _ in self._selector.select(timeout=0.5):
                connection, _ = key.fileobj.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as sshd does
                work = threading.Thread(
                    target=self._session, args=(key.data, connection), daemon=True
                )
                work.start()

    def close(self) -> None:
        """Listen no more."""
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()

    def _session(self, host: Host, connection: socket.socket) -> None:
        number = next(self._numbers)
        self._trace.note(host.instance_id, 'begin', number)
        try:
            transport = paramiko.Transport(connection)
            transport.auth_timeout = _LOGIN_SECONDS
            transport.add_server_key(host.host_key)
            with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                transport.start_server(server=_Session(host, self._authorized, number, self._trace))
            transport.join()
        finally:
            connection.close()
            self._trace.note(host.instance_id, 'end', number)
