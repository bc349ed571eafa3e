# SPDX-License-Identifier: Apache-2.0
"""The agent's client against servers that are the tenant's own programs: what they ask for is not given."""

import pathlib
import socket
import struct
import threading

import fixtures

from trove_upgrade.guestagent.datastores.mysql_family import connection
from trove_upgrade.tests.unit import base

PASSWORD = 'canary-of-root-5b7'
_CAPABILITIES = 0x000FF7FF & ~0x800  # of a server of today, without TLS
_OK = b'\x00\x00\x00\x02\x00\x00\x00'


class Rogue(fixtures.Fixture):
    """Listens on a Unix socket; after its greeting it sends `answers`, each after one packet of the client's."""

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
        with client:
            client.settimeout(10)
            low, high = struct.pack('<H', _CAPABILITIES & 0xFFFF), struct.pack('<H', _CAPABILITIES >> 16)
            greeting = b'\x0a11.8.6-MariaDB\x00\x01\x00\x00\x00' + b'12345678\x00' + low + b'\x2d\x02\x00' + high + b'\x15' + bytes(10)
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


class TestWhatAServerAsksFor(base.TestCase):
    def connect(self, rogue):
        return connection.open_session(connection.Credentials(str(rogue.path), 'root', PASSWORD), 1)

    def test_the_password_in_clear_is_not_sent(self):
        for plugin in (b'mysql_clear_password', b'dialog', b'mysql_old_password'):
            for initial in (b'mysql_native_password', plugin):
                rogue = self.useFixture(Rogue(switch(plugin, b'\x04Password: ' if plugin == b'dialog' else b'12345678\x00'), plugin=initial))
                error = self.assertRaises(connection.LoginRefused, self.connect, rogue)
                self.assertIn('clear text', error.message)
                self.assertNotIn(PASSWORD.encode(), rogue.got)

    def test_a_plugin_that_nobody_knows_or_can_name_is_no_answer(self):
        for plugin in (b'another', b'\xff\xfe'):
            rogue = self.useFixture(Rogue(switch(plugin)))
            self.assertRaises(connection.NoAnswer, self.connect, rogue)

    def test_a_file_of_the_agent_s_is_not_sent_whenever_it_is_asked_for(self):
        for answers in ((_OK, b'\xfb/etc/shadow'), (_OK, _OK, b'\xfb/etc/shadow'), (_OK, _OK, _OK, _OK, b'\xfb/etc/shadow')):
            rogue = self.useFixture(Rogue(*answers))
            error = self.assertRaises(connection.NoAnswer, self.connect, rogue)
            self.assertEqual('DATABASE_NOT_RUNNING', error.code)
            self.assertNotIn(b'root:', rogue.got)

    def test_nor_in_a_session_that_was_open(self):
        pinned = (_OK,) * (4 + len(connection.SESSION))
        rogue = self.useFixture(Rogue(*pinned, b'\xfb/etc/shadow'))
        session = self.connect(rogue)
        error = self.assertRaises(connection.SessionError, session.rows, 'SELECT 1')
        self.assertIn('a file of the agent', error.message)
        self.assertRaises(connection.SessionError, session.rows, 'SELECT 1')
        session.close()

    def test_a_server_that_does_not_keep_to_the_protocol_is_no_answer(self):
        for answer in (b'', b'\x01', b'\xfd\xff', b'\xfe', b'\x03abc'):
            rogue = self.useFixture(Rogue(answer))
            self.assertRaises(connection.NoAnswer, self.connect, rogue)
