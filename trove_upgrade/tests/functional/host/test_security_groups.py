# SPDX-License-Identifier: Apache-2.0
"""Neutron's security groups at the ports of the lab's guests: real packets, no Neutron, and rules
that the test lays down.
"""

import contextlib
import pathlib
import subprocess
import sys
import tempfile
import time

from testtools import content

from lab.hypervisor.groups.rules import Direction, PortRules, Rule
from lab.hypervisor.host import LabHost
from lab.hypervisor.netns import connect_in, entry
from lab.servers import Network, Port
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host.port_rules import OUT, Rules, allowed, enforce
from trove_upgrade.tests.functional.waiting import Waiting

NETWORK = 'net-1'
#: A change has to be in force within a second; a busy machine may take longer to notice.
IN_FORCE_SECONDS = 10.0
#: An answer takes a millisecond: what has not come by then was dropped.
DROPPED_SECONDS = 0.5
SSH, DATABASE = 22, 3306
_SERVE = """
import socket, sys, threading
def serve(port):
    server = socket.create_server(('0.0.0.0', port))
    while True:
        one, peer = server.accept()
        threading.Thread(target=echo, args=(one,), daemon=True).start()
def echo(one):
    while data := one.recv(100):
        one.sendall(data)
for port in map(int, sys.argv[1:]):
    threading.Thread(target=serve, args=(port,), daemon=True).start()
answers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
answers.bind(('0.0.0.0', 53))
print('serving', flush=True)
while True:
    data, peer = answers.recvfrom(100)
    answers.sendto(data, peer)
"""
#: Not every machine has the program.
_PING = """
import socket, struct, sys
request = struct.pack('>BBHHH', 8, 0, 0, 7, 1)
total = sum(struct.unpack('>4H', request))
request = struct.pack('>BBHHH', 8, 0, ~total & 0xFFFF, 7, 1)
sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
sender.settimeout(float(sys.argv[2]))
sender.sendto(request, (sys.argv[1], 0))
while sender.recv(100)[20] != 0:
    pass
"""


class SecurityGroupsTest(Waiting, base.TestCase):
    def setUp(self):
        super().setUp()
        directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.host = LabHost.open(directory, security_groups=True)
        self.addCleanup(self.host.guests.clean_all)
        self.host.fabric.ensure(Network(NETWORK, '10.0.0.1', 24))
        self.rules = Rules()
        self.one, self.two = self.plug('one', 7), self.plug('two', 8)
        for guest in ('one', 'two'):
            self.serve(guest)

    def plug(self, guest, number):
        port = Port(
            network_id=NETWORK,
            mac=f'fa:16:3e:00:00:{number:02}',
            address=f'10.0.0.{number}',
            prefix_length=24,
            gateway='10.0.0.1',
        )
        self.host.fabric.attach(guest, [port])
        return port

    def serve(self, guest):
        argv = [*entry(self.host.fabric.guest_namespace(guest)), sys.executable, '-c', _SERVE]
        process = subprocess.Popen(
            [*argv, str(SSH), str(DATABASE)], stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual('serving\n', process.stdout.readline())

    def set_rules(self, port, *rules):
        self.rules.of_port[NETWORK, port.mac] = PortRules(rules=rules)

    def connect(self, port, number=SSH, guest=None):
        """A connection from the network's own end, or from a guest."""
        fabric = self.host.fabric
        name = fabric.guest_namespace(guest) if guest else fabric.network_namespace(NETWORK)
        found = connect_in(
            pathlib.Path('/run/netns', name), (port.address, number), DROPPED_SECONDS
        )
        self.addCleanup(found.close)
        return found

    def passes(self, port, number=SSH, guest=None):
        """Whether a connection is made; a refused one would be an error of this test."""
        with contextlib.suppress(TimeoutError):
            self.connect(port, number, guest).close()
            return True
        return False

    def echoes(self, connection):
        connection.settimeout(DROPPED_SECONDS)
        connection.sendall(b'there')
        with contextlib.suppress(TimeoutError):
            return connection.recv(100) == b'there'
        return False

    def wait_in_force(self, port, **how):
        self.wait_until(lambda: self.passes(port, **how), 'the rule', IN_FORCE_SECONDS)

    def wait_closed(self, port, **how):
        self.wait_until(lambda: not self.passes(port, **how), 'the closing', IN_FORCE_SECONDS)

    def test_nothing_comes_in_before_the_first_rules_are_known(self):
        self.assertFalse(self.passes(self.one))
        self.assertFalse(self.passes(self.one, guest='two'))

    def test_a_rule_opens_its_port_for_its_source_and_no_other(self):
        self.set_rules(self.one, OUT, allowed(SSH, '10.0.0.1/32'))
        self.set_rules(self.two, OUT)
        enforce(self, self.host, self.rules)

        self.wait_in_force(self.one)
        self.assertFalse(self.passes(self.one, number=DATABASE))
        self.assertFalse(self.passes(self.one, guest='two'))

    def test_a_change_is_in_force_within_a_second_and_closing_ends_what_was_open(self):
        self.set_rules(self.one, OUT)
        enforce(self, self.host, self.rules)
        self.wait_until(lambda: self.rules.reads > 1, 'the first rules')

        self.set_rules(self.one, OUT, allowed(SSH))
        opened = time.monotonic()
        self.wait_in_force(self.one)
        self.tell('open', opened)
        connection = self.connect(self.one)
        self.assertTrue(self.echoes(connection))

        self.set_rules(self.one, OUT)
        closed = time.monotonic()
        self.wait_closed(self.one)
        self.tell('closed', closed)
        self.assertFalse(self.echoes(connection))

    def tell(self, what, since):
        seconds = time.monotonic() - since
        self.addDetail(what, content.text_content(f'{seconds:.2f} s'))

    def test_answers_to_what_a_guest_begins_come_back(self):
        self.set_rules(self.one, OUT)
        self.set_rules(self.two, OUT, allowed(DATABASE, '10.0.0.7'))
        enforce(self, self.host, self.rules)
        self.wait_in_force(self.two, number=DATABASE, guest='one')

        connection = self.connect(self.two, DATABASE, guest='one')

        self.assertTrue(self.echoes(connection))
        self.assertFalse(self.passes(self.one, number=DATABASE, guest='two'))

    def test_a_guest_without_a_rule_outwards_answers_and_begins_nothing(self):
        self.set_rules(self.one, allowed(SSH))
        self.set_rules(self.two, OUT, allowed(SSH))
        enforce(self, self.host, self.rules)
        self.wait_in_force(self.one)

        self.assertTrue(self.echoes(self.connect(self.one)))
        self.assertFalse(self.passes(self.two, guest='one'))

    def test_datagrams_have_answers_too(self):
        self.set_rules(self.one, OUT, allowed(53, protocol='udp'))
        self.set_rules(self.two, OUT)
        enforce(self, self.host, self.rules)
        self.wait_until(lambda: self.asks('two', self.one), 'the rule', IN_FORCE_SECONDS)

        self.assertFalse(self.asks('one', self.two))

    def asks(self, guest, port):
        script = (
            'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); '
            f's.settimeout({DROPPED_SECONDS}); s.sendto(b"x", ("{port.address}", 53)); s.recv(10)'
        )
        argv = [*entry(self.host.fabric.guest_namespace(guest)), sys.executable, '-c', script]
        return subprocess.run(argv, stderr=subprocess.DEVNULL, check=False).returncode == 0

    def test_pings_pass_where_they_may(self):
        ping = Rule(direction=Direction.INGRESS, protocol='icmp')
        self.set_rules(self.one, OUT, ping)
        self.set_rules(self.two, OUT)
        enforce(self, self.host, self.rules)

        def pings(address):
            argv = [sys.executable, '-c', _PING, address, str(DROPPED_SECONDS)]
            return self.host.fabric.run_in(NETWORK, argv, check=False).returncode == 0

        self.wait_until(lambda: pings(self.one.address), 'the rule', IN_FORCE_SECONDS)
        self.assertFalse(pings(self.two.address))

    def test_what_a_guest_reaches_at_its_gateway_comes_back(self):
        self.set_rules(self.one, OUT)
        enforce(self, self.host, self.rules)
        fetch = (
            "import urllib.error, urllib.request as r\ntry: r.urlopen('http://169.254.169.254/', "
            'timeout=0.5)\nexcept urllib.error.HTTPError: print("answered")'
        )
        inside = entry(self.host.fabric.guest_namespace('one'))

        def answered():
            done = subprocess.run(
                [*inside, sys.executable, '-c', fetch],
                capture_output=True,
                text=True,
                check=False,
            )
            return 'answered' in done.stdout

        self.wait_until(answered, 'the metadata service', IN_FORCE_SECONDS)

    def test_a_port_without_port_security_is_open(self):
        self.rules.of_port[NETWORK, self.one.mac] = PortRules(open=True)
        enforce(self, self.host, self.rules)

        self.wait_in_force(self.one, number=DATABASE, guest=None)

    def test_rules_stay_while_neutron_does_not_answer(self):
        self.set_rules(self.one, OUT, allowed(SSH))
        enforce(self, self.host, self.rules)
        self.wait_in_force(self.one)

        self.rules.broken = True
        seen = self.rules.reads
        self.wait_until(lambda: self.rules.reads > seen + 1, 'two more looks')

        self.assertTrue(self.passes(self.one))
        self.assertFalse(self.passes(self.one, number=DATABASE))

    def test_a_network_that_is_made_anew_gets_its_rules_again(self):
        self.set_rules(self.one, OUT, allowed(SSH))
        enforce(self, self.host, self.rules)
        self.wait_in_force(self.one)

        self.host.fabric.detach('one')
        self.host.fabric.detach('two')
        self.host.fabric.remove(NETWORK)
        self.host.fabric.ensure(Network(NETWORK, '10.0.0.1', 24))
        self.plug('one', 7)
        self.serve('one')

        self.wait_in_force(self.one)
        self.assertFalse(self.passes(self.one, number=DATABASE))

    def test_a_cloud_without_them_lets_all_through(self):
        directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.host = LabHost.open(directory)
        self.addCleanup(self.host.guests.clean_all)
        self.host.fabric.ensure(Network(NETWORK, '10.0.0.1', 24))
        port = self.plug('one', 7)
        self.serve('one')

        self.assertTrue(self.passes(port))
