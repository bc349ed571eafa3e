# SPDX-License-Identifier: Apache-2.0
"""A database server that is an attacker's program.  Source: MySQL's client/server protocol,
connection phase.
"""

import pathlib
import socket
import struct
import threading

import fixtures

_CAPABILITIES = 0x000FF7FF & ~0x800  # of a server of today, without TLS
OK = b'\x00\x00\x00\x02\x00\x00\x00'


class Rogue(fixtures.Fixture):
    """Listens on a Unix socket; after its greeting it sends `answers`, each after one packet of the
    client's.
    """

    def __init__(self, *answers, plugin=b'mysql_native_password'):
        super().__init__()
        self.answers = answers
        self.plugin = plugin
        self.got = b''

    def _setUp(self):
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 's')
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        self.addCleanup(self.end)

    def end(self):
        self.thread.join(10)
        self.listener.close()

    def serve(self):
        client, _ = self.listener.accept()
        self.listener.close()
        with client:
            client.settimeout(10)
            low, high = (
                struct.pack('<H', _CAPABILITIES & 0xFFFF),
                struct.pack('<H', _CAPABILITIES >> 16),
            )
            greeting = (
                b'\x0a11.8.6-MariaDB\x00\x01\x00\x00\x0012345678\x00'
                + low
                + b'\x2d\x02\x00'
                + high
                + b'\x15'
                + bytes(10)
            )
            number = self.send(client, greeting + b'901234567890\x00' + self.plugin + b'\x00', 0)
            for answer in self.answers:
                number = self.receive(client)
                if number is None:
                    return
                self.send(client, answer, number + 1)
            while self.receive(client) is not None:
                pass

    def send(self, client, payload, number):
        client.sendall(struct.pack('<I', len(payload))[:3] + bytes([number]) + payload)
        return number

    def receive(self, client):
        try:
            head = client.recv(4)
            if len(head) < 4:
                return None
            length = int.from_bytes(head[:3], 'little')
            while length:
                found = client.recv(length)
                self.got += found
                length -= len(found)
        except OSError:
            return None
        return head[3]


def switch(plugin, data=b'12345678901234567890\x00'):
    return b'\xfe' + plugin + b'\x00' + data
