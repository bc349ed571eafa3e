# SPDX-License-Identifier: Apache-2.0
"""Program that runs inside a network's namespace and carries bytes between its standard streams and
a TCP connection.

Its text is given to `python3 -c`, here and on a network node, so no file is needed there.  It works
with the standard library of Python 3.6 and later.  The first line of its output tells how the
connection went; bytes follow.  It ends with its input, and when no byte has come for the time that
its caller gives: the bridge's keepalive counts as bytes.

connect ADDRESS PORT CONNECT_SECONDS IDLE_SECONDS
source ADDRESS
"""

import errno
import os
import select
import socket
import sys
import threading
import time

#: A try to connect lasts so long: three packets are sent in it.
TRY_SECONDS = 4.0
_CHUNK = 65536


def answer(*words: str) -> None:
    """Write the first line."""
    os.write(1, (' '.join(['trove-upgrade-relay', *words]) + '\n').encode())


def opened(address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """Return a socket that has begun to connect to a numeric address."""
    found = socket.getaddrinfo(address, port, type=kind, flags=socket.AI_NUMERICHOST)[0]
    connection = socket.socket(found[0], kind)
    connection.setblocking(False)
    code = connection.connect_ex(found[4])
    if code not in {0, errno.EINPROGRESS}:
        raise OSError(code, os.strerror(code))
    return connection


def connected(address: str, port: int, seconds: float) -> socket.socket:
    """Return a connection; the end of the input ends the wait for it.

    A try without an answer is followed by a new one: a rule may begin to count at any moment, and
    the kernel's own repetitions come ever more seldom.
    """
    deadline = time.monotonic() + seconds
    while True:
        left = deadline - time.monotonic()
        connection = opened(address, port, socket.SOCK_STREAM)
        come = select.select([0], [connection], [], max(0.0, min(left, TRY_SECONDS)))
        if come[0]:  # nothing is sent before the first line: this is the end
            sys.exit(0)
        if come[1]:
            break
        connection.close()
        if left <= TRY_SECONDS:
            raise TimeoutError('timed out')
    code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
    connection.setblocking(True)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class Relay:
    """Two threads, one for each direction: a side that does not read does not hold up the other."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.moved_at = time.monotonic()

    def to_guest(self) -> None:
        """Carry the input; its end is the end of all."""
        try:
            while True:
                chunk = os.read(0, _CHUNK)
                if not chunk:
                    break
                self.moved_at = time.monotonic()
                self.connection.sendall(chunk)
        except OSError:
            pass
        os._exit(0)

    def from_guest(self) -> None:
        """Carry the guest's bytes; their end is the end of all."""
        try:
            while True:
                chunk = self.connection.recv(_CHUNK)
                if not chunk:
                    break
                self.moved_at = time.monotonic()
                while chunk:
                    chunk = chunk[os.write(1, chunk) :]
        except OSError:
            pass
        os._exit(0)

    def watch(self, idle_seconds: float) -> None:
        """Return when no byte has come for so long."""
        while True:
            left = self.moved_at + idle_seconds - time.monotonic()
            if left <= 0:
                return
            time.sleep(left)


def main(*argv: str) -> None:
    """Run one of the two modes."""
    try:
        if argv[0] == 'source':
            answer('source', opened(argv[1], 9, socket.SOCK_DGRAM).getsockname()[0])
            return
        connection = connected(argv[1], int(argv[2]), float(argv[3]))
    except TimeoutError:
        answer('silent')
        return
    except OSError as error:
        answer('refused', error.strerror or str(error))
        return
    answer('connected')
    relay = Relay(connection)
    for carry in (relay.to_guest, relay.from_guest):
        threading.Thread(target=carry, daemon=True).start()
    relay.watch(float(argv[4]))
    os._exit(1)


if __name__ == '__main__':
    main(*sys.argv[1:])
