# SPDX-License-Identifier: Apache-2.0
"""A port on the host's loopback that leads to a guest: for clients that cannot enter a network
namespace.
"""

import contextlib
import selectors
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator

from lab.settings import HOST

_CHUNK = 65536


class _Handler(socketserver.BaseRequestHandler):
    server: '_Server'

    def handle(self) -> None:
        try:
            guest = self.server.connect()
        except OSError:
            return  # the client sees its connection closed, as from a server that is down
        with guest:
            _pump(self.request, guest)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self.connect = connect
        super().__init__((HOST, 0), _Handler)


def _pump(one: socket.socket, other: socket.socket) -> None:
    """Copy both ways until either side ends."""
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in selector.select():
                try:
                    chunk = key.fileobj.recv(_CHUNK)  # type: ignore[union-attr]  # only sockets were registered
                    if not chunk:
                        return
                    key.data.sendall(chunk)
                except OSError:
                    return


@contextlib.contextmanager
def relay(connect: Callable[[], socket.socket]) -> Iterator[int]:
    """Listen on a free port of loopback for as long as the context lasts; `connect` makes each
    connection to the guest.
    """
    with _Server(connect) as server:
        thread = threading.Thread(
            target=server.serve_forever, kwargs={'poll_interval': 0.1}, daemon=True
        )
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
