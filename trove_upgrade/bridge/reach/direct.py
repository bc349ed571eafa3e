# SPDX-License-Identifier: Apache-2.0
"""Route to a network that is routed: this host connects by itself."""

import socket
import time

from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.reach.attempt import attempt
from trove_upgrade.bridge.reach.ports import Connection, Reachability
from trove_upgrade.bridge.reach.relay import TRY_SECONDS

#: Any port: no packet is sent.
_DISCARD = 9


class DirectRoute:
    """Implements Route."""

    @property
    def name(self) -> str:
        return 'directly from this host'

    @property
    def host(self) -> str:
        return socket.gethostname()

    def source_address(self, target: str) -> str:
        try:
            found = socket.getaddrinfo(target, _DISCARD, type=socket.SOCK_DGRAM)[0]
            with socket.socket(found[0], socket.SOCK_DGRAM) as probe:
                probe.connect(found[4])
                return str(probe.getsockname()[0])
        except OSError as error:
            raise errors.ConnectionRefused(
                address=target, port='any', route=self.name, found=error.strerror or error
            ) from error

    def connect(self, address: str, port: int, timeout_seconds: float) -> Connection:
        where = {'address': address, 'port': port, 'route': self.name}
        try:
            return _connected(address, port, timeout_seconds)
        except TimeoutError as error:
            raise errors.TimedOut(
                **where,
                phase='connection',
                seconds=timeout_seconds,
                source=self.source_address(address),
            ) from error
        except OSError as error:
            raise errors.ConnectionRefused(**where, found=error.strerror or error) from error

    def reaches(self, address: str, port: int, timeout_seconds: float) -> Reachability:
        return attempt(self.connect, address, port, timeout_seconds)


def _connected(address: str, port: int, seconds: float) -> socket.socket:
    """Try again and again, as the relay does."""
    deadline = time.monotonic() + seconds
    while True:
        left = deadline - time.monotonic()
        try:
            connection = socket.create_connection((address, port), max(0.1, min(left, TRY_SECONDS)))
        except TimeoutError:
            if left <= TRY_SECONDS:
                raise
        else:
            # words of SSH are small, and each waits for an answer
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
