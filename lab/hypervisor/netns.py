# SPDX-License-Identifier: Apache-2.0
"""Network namespaces as iproute2 keeps them, and a connection from inside one."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from pathlib import Path

from lab import errors

NETNS_DIR = Path('/run/netns')
_CLONE_NEWNET = 0x40000000


def entry(namespace: str) -> tuple[str, ...]:
    """The beginning of a command that runs a program of the host in this network namespace."""
    return ('nsenter', f'--net={NETNS_DIR / namespace}', '--')


def connect_in(namespace: Path, address: tuple[str, int], timeout_seconds: float) -> socket.socket:
    """A TCP connection made inside the network namespace that this path names; see
    `NetworkFabric.connect`.
    """
    result: list[socket.socket | OSError] = []

    def work() -> None:
        try:
            descriptor = os.open(namespace, os.O_RDONLY)
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(descriptor, _CLONE_NEWNET) != 0:
                    code = ctypes.get_errno()
                    raise OSError(code, os.strerror(code), str(namespace))
            finally:
                os.close(descriptor)
            result.append(socket.create_connection(address, timeout_seconds))
        except OSError as error:
            result.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout_seconds + 5)
    if not result:
        raise errors.TimedOut(
            f'a connection to {address[0]}:{address[1]}', timeout_seconds, 'Is the guest running?'
        )
    if isinstance(result[0], OSError):
        raise result[0]
    return result[0]
