# SPDX-License-Identifier: Apache-2.0
"""Servers that are none, and one that means harm: what they send lies ready in a socket."""

import socket
import threading

import paramiko

from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.reach.host_key import HostKey
from trove_upgrade.bridge.reach.packets import PACKET_BYTES, BoundedPacketizer
from trove_upgrade.bridge.reach.session import Limits, Peer, Session
from trove_upgrade.clock import SystemClock
from trove_upgrade.tests.unit import base
from trove_upgrade.waiting import wait_until

PEER = Peer(server_id='server-1', address='10.0.0.5', port=22, route='through a namespace')
VERSION = b'SSH-2.0-OpenSSH_6.6\r\n'


class TestServersThatAreNone(base.TestCase):
    def begin(self, content, *, ends, **limits):
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        self.addCleanup(ours.close)
        theirs.sendall(content)
        if ends:
            theirs.shutdown(socket.SHUT_WR)
        before = threading.active_count()
        try:
            Session.begin(
                ours,
                PEER,
                [HostKey('ssh-ed25519', b'')],
                limits=Limits(**limits),
                clock=SystemClock(),
            )
        finally:
            self.assertEqual(-1, ours.fileno(), 'the connection is closed')
            self.assertTrue(wait_until(lambda: threading.active_count() == before, 20))

    def test_one_that_never_answers_has_a_limit_for_its_version(self):
        found = self.assertRaises(
            errors.ServerSilent, self.begin, b'', ends=False, banner_seconds=0.2, exchange_seconds=5
        )
        self.assertIn('has taken the connection', found.message)
        self.assertIn('its version within 0.2 s', found.message)

    def test_one_that_stops_after_its_version_has_a_limit_for_the_keys(self):
        found = self.assertRaises(
            errors.ServerSilent, self.begin, VERSION, ends=False, exchange_seconds=0.3
        )
        self.assertIn('key exchange', found.message)
        self.assertIn('within 0.3 s', found.message)

    def test_one_that_ends_the_connection_is_lost(self):
        for content in (b'', b'220 smtp.example\r\n', VERSION):
            self.assertRaises(errors.ConnectionLost, self.begin, content, ends=True)

    def test_another_protocol_is_no_algorithm(self):
        self.assertRaises(errors.ReachError, self.begin, b'SSH-1.5-x\r\n', ends=True)

    def test_a_packet_of_two_gigabytes_is_not_waited_for(self):
        for length in (b'\x7f\xff\xff\xfc', b'\0\0\0\0', b'\xff' * 4):
            packet = VERSION + length + b'\0' * 4 + b'x' * 1000
            found = self.assertRaises(errors.ConnectionLost, self.begin, packet, ends=False)
            self.assertIn('in the key exchange', found.message)


class TestPackets(base.TestCase):
    def test_the_longest_one_of_openssh_is_read_and_no_longer_one(self):
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        self.addCleanup(ours.close)
        packets = BoundedPacketizer(ours)
        theirs.sendall(b'x' * 1000)
        self.assertEqual(b'x' * 1000, packets.read_all(1000))
        for size in (-1, PACKET_BYTES * 2, 1 << 32):
            self.assertRaises(paramiko.SSHException, packets.read_all, size)
