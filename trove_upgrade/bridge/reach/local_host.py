# SPDX-License-Identifier: Apache-2.0
"""Namespaces of this host: the relay is a process of ours."""

import contextlib
import pathlib
import socket
import subprocess
from collections.abc import Sequence

from trove_upgrade.bridge.reach import errors, namespaces

_END_SECONDS = 2.0
_COMPLAINT_BYTES = 4096


class ProcessStream:
    """Implements Relayed.  The process has one end of a pair of sockets as its streams, so that it
    sees the end of its input when this program ends, SIGKILL included.
    """

    def __init__(self, stream: socket.socket, process: 'subprocess.Popen[bytes]') -> None:
        self._stream = stream
        self._process = process

    def send(self, data: bytes, /) -> int:
        return self._stream.send(data)

    def recv(self, size: int, /) -> bytes:
        return self._stream.recv(size)

    @property
    def _closed(self) -> bool:
        return self._stream.fileno() < 0  # paramiko asks for it by the name that sockets have

    def settimeout(self, seconds: float | None, /) -> None:
        self._stream.settimeout(seconds)

    def complaint(self) -> str:
        """Return what the process has written before its end."""
        self._end()
        if self._process.stderr is None or self._process.stderr.closed:
            return ''
        return self._process.stderr.read(_COMPLAINT_BYTES).decode(errors='replace').strip()

    def close(self) -> None:
        self._end()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)  # also wakes a thread that waits in recv
        self._stream.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(PermissionError):  # sudo's: it ends with its input
                self._process.kill()
                self._process.wait()


class LocalHost:
    """Implements Place."""

    def __init__(self, *, sudo: bool) -> None:
        self._before = ('sudo', '-n', '--') if sudo else ()

    @property
    def name(self) -> str:
        return 'on this host'

    @property
    def host(self) -> str:
        return socket.gethostname()

    def has(self, namespace: str) -> bool:
        return pathlib.Path(namespaces.path_of(namespace)).exists()

    def start(self, argv: Sequence[str]) -> ProcessStream:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = subprocess.Popen(
                    (*self._before, *argv),
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.PIPE,
                    env={'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C'},
                    start_new_session=True,  # Ctrl-C is the bridge's: it still closes the ports
                )
        except OSError as error:
            ours.close()
            raise errors.RelayFailed(route=self.name, found=str(error)) from error
        return ProcessStream(ours, process)
