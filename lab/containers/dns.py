# SPDX-License-Identifier: Apache-2.0
"""A name server that knows no name and says so at once, for networks of guests.

A database that looks up the name of each client waits for seconds where no name server answers: so
does its stop.  It is a program of the standard library alone, started by its path in a network's
namespace, and returns once it answers:

    python -I dns.py --address 10.0.0.1 --pid-file /path/dns.pid

Source: RFC 1035, 4.1.1 (header) and 4.2.2 (two bytes of length before each message over TCP).
"""

import argparse
import os
import pathlib
import signal
import socketserver
import struct
import sys
import threading

PORT = 53
_HEADER = struct.Struct('!6H')
_LENGTH = struct.Struct('!H')
_ANSWER, _OPCODE, _RECURSION_DESIRED, _RECURSION_AVAILABLE = 0x8000, 0x7800, 0x0100, 0x0080
_FORMAT_ERROR, _NO_SUCH_NAME, _NOT_IMPLEMENTED = 1, 3, 4


def answer(query: bytes) -> bytes:
    """Answer NXDOMAIN to every question; empty where the message is no query and so gets no
    answer.
    """
    if len(query) < _HEADER.size:
        return b''
    number, flags, questions, *_rest = _HEADER.unpack_from(query)
    if flags & _ANSWER:
        return b''
    kept = _ANSWER | (flags & (_OPCODE | _RECURSION_DESIRED)) | _RECURSION_AVAILABLE
    if flags & _OPCODE:
        return _HEADER.pack(number, kept | _NOT_IMPLEMENTED, 0, 0, 0, 0)
    end = _end_of_question(query)
    if questions != 1 or end is None:
        return _HEADER.pack(number, kept | _FORMAT_ERROR, 0, 0, 0, 0)
    return _HEADER.pack(number, kept | _NO_SUCH_NAME, 1, 0, 0, 0) + query[_HEADER.size : end]


def _end_of_question(query: bytes) -> int | None:
    """Return where the first question ends: labels, then type and class."""
    at = _HEADER.size
    while at < len(query) and query[at]:
        if query[at] > 63:  # a pointer has no place in a first question
            return None
        at += 1 + query[at]
    end = at + 5
    return end if end <= len(query) else None


class _Datagram(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        query, reply = self.request
        if message := answer(query):
            reply.sendto(message, self.client_address)


class _Stream(socketserver.StreamRequestHandler):
    timeout = 10

    def handle(self) -> None:
        while len(head := self.rfile.read(_LENGTH.size)) == _LENGTH.size:
            message = answer(self.rfile.read(_LENGTH.unpack(head)[0]))
            if not message:
                return
            self.wfile.write(_LENGTH.pack(len(message)) + message)


class DatagramServer(socketserver.UDPServer):
    """Server that answers over UDP."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, _Datagram)


class StreamServer(socketserver.ThreadingTCPServer):
    """Server that answers over TCP, in threads."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, _Stream)


def _become_daemon(pid_file: pathlib.Path) -> None:
    """The caller's process returns; the one that goes on has left its session and its terminal, and
    stands in the file.
    """
    child = os.fork()
    if child:
        fresh = pid_file.with_suffix('.new')
        fresh.write_text(f'{child}\n', 'utf-8')
        fresh.rename(pid_file)
        os._exit(0)
    os.setsid()
    os.chdir('/')
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)


def main(argv: list[str]) -> None:
    """Bind both sockets, then go on in the background until a signal ends it."""
    parser = argparse.ArgumentParser(description='A name server that knows no name.')
    parser.add_argument('--address', required=True)
    parser.add_argument('--port', type=int, default=PORT)
    parser.add_argument('--pid-file', type=pathlib.Path, required=True)
    wanted = parser.parse_args(argv)
    place = (wanted.address, wanted.port)
    with DatagramServer(place) as datagrams, StreamServer(place) as streams:
        _become_daemon(wanted.pid_file)
        # both are ignored where a background job of a shell has started the lab
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        threading.Thread(target=streams.serve_forever, daemon=True).start()
        datagrams.serve_forever()


if __name__ == '__main__':
    main(sys.argv[1:])
