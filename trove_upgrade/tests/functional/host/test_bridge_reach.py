# SPDX-License-Identifier: Apache-2.0
"""The way to old guests, with real servers in real namespaces: two networks with one range of
addresses, one of them behind a network node.
"""

import argparse
import concurrent.futures
import contextlib
import hashlib
import os
import pathlib
import socket
import subprocess
import sys
import uuid
from pathlib import PurePosixPath

import fixtures

from trove_upgrade.bridge.preconditions.controllers import Controllers
from trove_upgrade.bridge.reach import errors, namespaces
from trove_upgrade.bridge.reach.choice import Chassis, RouteChooser, Routing
from trove_upgrade.bridge.reach.host_key import HostKey
from trove_upgrade.bridge.reach.keys import KeyFiles
from trove_upgrade.bridge.reach.known_hosts import KnownHosts
from trove_upgrade.bridge.reach.local_host import LocalHost
from trove_upgrade.bridge.reach.logins import Login, read_password
from trove_upgrade.bridge.reach.network_node import NetworkNode, NodeAddress
from trove_upgrade.bridge.reach.ports import Guest
from trove_upgrade.bridge.reach.session import Limits
from trove_upgrade.bridge.reach.shell import open_shell
from trove_upgrade.clock import SystemClock
from trove_upgrade.cmd.bridge import logins, way
from trove_upgrade.tests import base
from trove_upgrade.tests.fakes import MemoryHostKeys
from trove_upgrade.tests.functional.host import ssh_servers
from trove_upgrade.tests.functional.waiting import Waiting
from trove_upgrade.tests.unit.bridge.test_controllers import VERSION

LIMITS = Limits(
    connect_seconds=5,
    banner_seconds=10,
    exchange_seconds=20,
    login_seconds=20,
    channel_seconds=20,
)
SECONDS = 30


def read_key(path):
    return KeyFiles().read(path)


class ReachTestCase(Waiting, base.TestCase):
    def setUp(self):
        super().setUp()
        self.host_keys = MemoryHostKeys()
        self.local = LocalHost(sudo=False)

    def network(self, **options):
        network = self.useFixture(ssh_servers.Network(**options))
        network.guest.start()
        return network

    def route_to(self, network, *nodes, chassis=None):
        chooser = RouteChooser(Routing(), self.local, [Chassis(node, None) for node in nodes])
        return chooser.choose(network.id, chassis).route

    def login(self, network, **options):
        known = {'user': 'root', 'keys': (read_key(network.guest.login_key),)}
        return Login(**(known | options))

    def shell(self, network, login=None, *, route=None, server_id=None, limits=LIMITS):
        shell = open_shell(
            Guest(server_id=server_id or network.id, address=ssh_servers.GUEST_ADDRESS),
            route or self.route_to(network),
            login or self.login(network),
            self.host_keys,
            limits=limits,
            clock=SystemClock(),
        )
        self.addCleanup(shell.close)
        return shell

    def said(self, shell, *argv, **options):
        outcome = shell.run(argv, timeout_seconds=SECONDS, **options)
        self.assertEqual(0, outcome.exit_code, outcome.stderr)
        return outcome.stdout.decode().strip()

    def process(self, program, *words):
        """Another program, which holds a connection to a guest."""
        process = subprocess.Popen(
            [sys.executable, '-c', program, *map(str, words)], stdout=subprocess.PIPE
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(b'held\n', process.stdout.readline())
        return process


DIRECT = f"""
from trove_upgrade.bridge.reach.direct import DirectRoute
DirectRoute().connect({ssh_servers.GUEST_ADDRESS!r}, 22, {SECONDS})
"""
LOCAL_BRIDGE = f"""
import sys, time
from trove_upgrade.bridge.reach.local_host import LocalHost
from trove_upgrade.bridge.reach.namespaces import NamespaceRoute
route = NamespaceRoute('qdhcp-' + sys.argv[1], LocalHost(sudo=False))
held = route.connect({ssh_servers.GUEST_ADDRESS!r}, 22, 10)
print('held', flush=True)
time.sleep(600)
"""
NODE_BRIDGE = f"""
import pathlib, sys, time
from trove_upgrade.bridge.reach.keys import KeyFiles
from trove_upgrade.bridge.reach.known_hosts import KnownHosts
from trove_upgrade.bridge.reach.logins import Login
from trove_upgrade.bridge.reach.namespaces import NamespaceRoute
from trove_upgrade.bridge.reach.network_node import NetworkNode, NodeAddress
from trove_upgrade.bridge.reach.session import Limits
from trove_upgrade.clock import SystemClock
network_id, port, key, known_hosts = sys.argv[1:]
login = Login(user='root', keys=(KeyFiles().read(pathlib.Path(key)),))
address = NodeAddress(host='127.0.0.1', port=int(port), login=login)
node = NetworkNode(
    address, KnownHosts(pathlib.Path(known_hosts)), limits=Limits(), clock=SystemClock()
)
held = NamespaceRoute('qdhcp-' + network_id, node).connect({ssh_servers.GUEST_ADDRESS!r}, 22, 10)
print('held', flush=True)
time.sleep(600)
"""


class TestLocalNamespace(ReachTestCase):
    def test_a_program_runs_in_the_guest_and_the_rule_names_the_address_it_comes_from(self):
        network = self.network()
        route = self.route_to(network)
        shell = self.shell(network)

        outcome = shell.run(
            ('sh', '-c', 'cat; echo "$0 $SSH_CONNECTION" >&2; exit 7', "it's"),
            input=b'\0binary\n',
            timeout_seconds=SECONDS,
        )

        self.assertEqual((7, b'\0binary\n'), (outcome.exit_code, outcome.stdout))
        source = outcome.stderr.decode().split()[1]
        self.assertEqual("it's", outcome.stderr.decode().split()[0])
        self.assertEqual(ssh_servers.AGENT_ADDRESS, source)
        self.assertEqual(source, route.source_address(ssh_servers.GUEST_ADDRESS))

    def test_a_closed_port_times_out_and_the_error_names_the_address_to_let_in(self):
        network = self.network()
        route = self.route_to(network)
        self.assertTrue(route.reaches(ssh_servers.GUEST_ADDRESS, 22, 5).reached)
        network.drop(port=22)

        self.assertFalse(route.reaches(ssh_servers.GUEST_ADDRESS, 22, 0.5).reached)
        found = self.assertRaises(
            errors.TimedOut,
            self.shell,
            network,
            limits=Limits(connect_seconds=1),
        )

        self.assertEqual('REACH_TIMED_OUT', found.code)
        self.assertIn(network.namespace, found.message)
        self.assertIn(ssh_servers.AGENT_ADDRESS, found.message)

    def test_a_port_whose_rule_begins_to_count_late_is_tried_again_and_again(self):
        network = self.network()
        route = self.route_to(network)
        enter = namespaces.relay_command(network.namespace, ())[:4]
        for connect in (
            lambda: route.connect(ssh_servers.GUEST_ADDRESS, 22, SECONDS).close(),
            lambda: subprocess.run((*enter, sys.executable, '-c', DIRECT), check=True),
        ):
            network.drop(port=22)
            with concurrent.futures.ThreadPoolExecutor() as pool:
                coming = pool.submit(connect)
                self.wait_until(lambda: len(network.tries()) > 1, 'a second try')
                network.let_in()
                coming.result()

    def test_no_server_and_no_network_are_told_apart_from_a_closed_port(self):
        network = self.network()
        route = self.route_to(network)
        for address, port, words in (
            (ssh_servers.GUEST_ADDRESS, 9, 'refused'),
            ('192.0.2.1', 22, 'unreachable'),
        ):
            found = self.assertRaises(errors.ConnectionRefused, route.connect, address, port, 5)
            self.assertIn(words, found.message)
        self.assertRaises(errors.ConnectionRefused, route.source_address, '192.0.2.1')

    def test_a_network_of_both_versions_has_a_source_address_of_each(self):
        network = self.network()
        network.ip('-n', network.namespace, 'addr', 'add', 'fd83::2/64', 'dev', 'tap0', 'nodad')
        self.assertEqual('fd83::2', self.route_to(network).source_address('fd83::5'))

    def test_a_network_without_a_namespace_has_no_route(self):
        found = self.assertRaises(
            errors.NoRoute, self.route_to, ssh_servers.Network(), chassis='compute-1'
        )
        self.assertIn('there is no such namespace', found.message)

    def test_a_file_of_50_mb_arrives_whole_and_with_its_mode(self):
        network = self.network()
        source = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'bundle')
        block = os.urandom(1 << 20)
        source.write_bytes(block * 50)
        shell, seen = self.shell(network), []

        sent = shell.upload(
            source,
            '/run/files/a bundle',
            mode=0o640,
            timeout_seconds=120,
            progress=lambda done, size: seen.append((done, size)),
        )

        self.assertEqual(hashlib.sha256(block * 50).hexdigest(), sent)
        found = self.said(shell, 'sha256sum', '/run/files/a bundle').split()[0]
        self.assertEqual(sent, found)
        self.assertEqual('640', self.said(shell, 'stat', '-c', '%a', '/run/files/a bundle'))
        self.assertEqual((50 << 20, 50 << 20), seen[-1])
        self.assertEqual(sorted(seen), seen)

    def test_files_are_written_and_read_within_bounds(self):
        network = self.network()
        shell = self.shell(network)
        source = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'file')
        source.write_bytes(b'12345')
        shell.upload(source, '/run/files/x', mode=0o600, timeout_seconds=SECONDS)

        read = shell.read_file('/run/files/x', limit_bytes=5, timeout_seconds=SECONDS)

        self.assertEqual(b'12345', read)
        for path, limit in (('/run/files/x', 4), ('/run/files/none', 9)):
            self.assertRaises(
                errors.FileUnreadable,
                shell.read_file,
                path,
                limit_bytes=limit,
                timeout_seconds=SECONDS,
            )
        self.assertRaises(
            errors.UploadFailed,
            shell.upload,
            source,
            '/run/none/x',
            mode=0o600,
            timeout_seconds=SECONDS,
        )
        outcome = shell.run(
            ('sh', '-c', 'head -c 3000000 /dev/zero; echo end >&2'), timeout_seconds=SECONDS
        )
        self.assertEqual((1 << 20, True), (len(outcome.stdout), outcome.truncated))
        self.assertEqual(b'end\n', outcome.stderr)

    def test_a_command_that_hangs_and_one_that_leaves_a_daemon_behind(self):
        shell = self.shell(self.network())

        found = self.assertRaises(
            errors.CommandTimedOut, shell.run, ('sleep', '60'), timeout_seconds=0.5
        )
        outcome = shell.run(('sh', '-c', 'echo begun; sleep 60 &'), timeout_seconds=SECONDS)

        self.assertIn('sleep', found.message)
        self.assertEqual((0, b'begun\n'), (outcome.exit_code, outcome.stdout))

    def test_a_guest_that_dies_is_a_lost_connection(self):
        network = self.network()
        shell = self.shell(network)
        network.guest.stop()
        self.assertRaises(errors.ConnectionLost, shell.run, ('true',), timeout_seconds=SECONDS)

    def test_nothing_is_left_after_the_end(self):
        network = self.network()
        shell = self.shell(network)
        self.assertNotEqual([], network.relays())

        shell.close()

        self.assertEqual([], network.relays())

    def test_a_relay_that_hears_nothing_any_more_ends_by_itself(self):
        """As after the loss of the bridge's machine: its connection to a node stays for hours."""
        network = self.network()
        words = ('connect', ssh_servers.GUEST_ADDRESS, '22', '5', '0.5')
        stream = self.local.start(namespaces.relay_command(network.namespace, words))
        self.addCleanup(stream.close)
        self.wait_until(lambda: not network.relays(), 'the relay to end', 20)

    def test_sigkill_of_the_bridge_leaves_no_relay(self):
        network = self.network()
        bridge = self.process(LOCAL_BRIDGE, network.id)
        self.assertNotEqual([], network.relays())

        bridge.kill()

        self.wait_until(lambda: not network.relays(), 'the relay to end', 20)


class TestHostKeys(ReachTestCase):
    def test_the_first_key_is_pinned_and_a_server_with_more_keys_still_shows_it(self):
        network = self.network(kinds=('ecdsa', 'rsa'))
        self.shell(network).close()
        pinned = self.host_keys.known(network.id)
        self.assertEqual(network.guest.host_keys()['ecdsa'], pinned)

        for kind in ('rsa', 'ecdsa'):
            self.host_keys.keys[network.id] = network.guest.host_keys()[kind]
            shell = self.shell(network)
            self.assertEqual(network.guest.host_keys()[kind], shell.host_key)

    def test_a_changed_key_gets_no_login(self):
        network = self.network()
        self.shell(network).close()
        pinned = network.guest.host_keys()['ed25519']
        fresh = self.useFixture(network.replace_guest())
        fresh.guest.start()

        found = self.assertRaises(errors.HostKeyChanged, self.shell, fresh)

        self.assertEqual('HOST_KEY_CHANGED', found.code)
        self.assertIn(pinned.fingerprint, found.message)
        self.assertIn(fresh.guest.host_keys()['ed25519'].fingerprint, found.message)
        self.assertEqual(pinned, self.host_keys.known(network.id))
        self.assertNotIn('Accepted', fresh.guest.log())

    def test_a_key_of_another_type_alone_has_changed_too(self):
        network = self.network()
        self.host_keys.keys[network.id] = HostKey('ecdsa-sha2-nistp256', b'other')
        self.assertRaises(errors.HostKeyChanged, self.shell, network)


class TestLogins(ReachTestCase):
    def password_login(self):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'password')
        path.touch(mode=0o600)
        path.write_text(f'{ssh_servers.PASSWORD}\n')
        return Login(user=ssh_servers.USER, password=read_password(path))

    def test_a_password_logs_in_and_becomes_root_and_is_seen_nowhere(self):
        network = self.network(sudoers=f'{ssh_servers.USER} ALL=(ALL) ALL')
        shell = self.shell(network, self.password_login())
        seen = []

        outcome = shell.run(
            ('sh', '-c', 'id -un; cat; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ'),
            input=b'input\n',
            timeout_seconds=SECONDS,
            as_root=True,
        )
        for process in pathlib.Path('/proc').glob('[0-9]*'):
            for name in ('cmdline', 'environ'):
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    seen.append((process / name).read_bytes())

        self.assertEqual(b'root\ninput\n', outcome.stdout[:11])
        for text in (*seen, outcome.stdout, network.guest.log().encode()):
            self.assertNotIn(ssh_servers.PASSWORD.encode(), text)
        self.assertEqual(ssh_servers.USER, self.said(shell, 'id', '-un'))

    def test_sudo_that_needs_no_password_does_not_get_it(self):
        network = self.network(sudoers=f'{ssh_servers.USER} ALL=(ALL) NOPASSWD: ALL')
        for login in (
            self.password_login(),
            self.login(network, user=ssh_servers.USER),
        ):
            shell = self.shell(network, login)
            outcome = shell.run(('cat',), input=b'x' * 9, timeout_seconds=SECONDS, as_root=True)
            self.assertEqual((0, b'x' * 9), (outcome.exit_code, outcome.stdout))

    def test_who_may_not_become_root_is_told_and_so_is_a_wrong_password(self):
        network = self.network()
        shell = self.shell(network, self.login(network, user=ssh_servers.USER))
        found = self.assertRaises(
            errors.SudoRefused, shell.run, ('id',), timeout_seconds=SECONDS, as_root=True
        )
        self.assertIn('password is required', found.message)
        self.assertEqual('SUDO_REFUSED', found.code)

        wrong = self.login(network, user=ssh_servers.USER, password='wrong')
        shell = self.shell(network, wrong)
        found = self.assertRaises(
            errors.SudoRefused, shell.run, ('id',), timeout_seconds=SECONDS, as_root=True
        )
        self.assertNotIn('wrong', found.message)

    def test_a_refused_login_has_a_code_of_its_own(self):
        network = self.network()
        other = ssh_servers.make_key(network.guest.folder / 'other_key', 'ed25519')
        for login in (
            Login(user='root', keys=(read_key(other),)),
            Login(user=ssh_servers.USER, password='not this one'),
            Login(user=ssh_servers.USER),
        ):
            found = self.assertRaises(errors.LoginRefused, self.shell, network, login)
            self.assertEqual('LOGIN_REFUSED', found.code)
            self.assertNotIn('not this one', found.message)

    def test_the_operators_agent_is_asked_only_where_that_is_allowed(self):
        network = self.network()
        folder = self.useFixture(fixtures.TempDir()).path
        agent = subprocess.Popen(
            ('ssh-agent', '-D', '-a', f'{folder}/agent'), stdout=subprocess.DEVNULL
        )
        self.addCleanup(agent.wait)
        self.addCleanup(agent.kill)
        self.useFixture(fixtures.EnvironmentVariable('SSH_AUTH_SOCK', f'{folder}/agent'))
        self.wait_until(pathlib.Path(folder, 'agent').exists, 'the agent to listen', 10)
        subprocess.run(('ssh-add', '-q', network.guest.login_key), check=True)

        shell = self.shell(network, Login(user='root', uses_agent=True))
        self.assertEqual('root', self.said(shell, 'id', '-un'))
        self.assertRaises(errors.LoginRefused, self.shell, network, Login(user='root'))

    def test_a_server_that_asks_for_the_password_in_a_dialogue(self):
        network = self.network(dialogue=True)
        shell = self.shell(network, self.password_login())
        self.assertEqual(ssh_servers.USER, self.said(shell, 'id', '-un'))

    def test_a_server_with_the_algorithms_of_openssh_6_is_logged_in_to(self):
        network = self.network(kinds=('ecdsa',), extra=OPENSSH_6)
        self.assertEqual('root', self.said(self.shell(network), 'id', '-un'))

    def test_rsa_with_sha_1_is_used_only_where_it_is_allowed(self):
        """As an OpenSSH before 5.7 with its RSA host key, and a login by an RSA key."""
        network = self.useFixture(ssh_servers.Network(kinds=('rsa',), extra=OPENSSH_5))
        key = ssh_servers.make_key(network.guest.folder / 'rsa_key', 'rsa')
        network.guest.allow(key.with_suffix('.pub'))
        network.guest.start()
        login = Login(user='root', keys=(read_key(key),))
        self.assertRaises(errors.NoCommonAlgorithm, self.shell, network, login)

        allowed = Limits(connect_seconds=5, sha1_rsa=True)
        for _ in ('first sight', 'with the pinned key'):
            shell = self.shell(network, login, limits=allowed)
            self.assertEqual('root', self.said(shell, 'id', '-un'))


#: What OpenSSH 6.6 offers by default, as far as today's sshd still can.
OPENSSH_6 = """
KexAlgorithms curve25519-sha256@libssh.org,ecdh-sha2-nistp256,diffie-hellman-group14-sha1
Ciphers aes128-ctr,aes192-ctr,aes256-ctr
MACs hmac-sha2-256,hmac-sha1
HostKeyAlgorithms ecdsa-sha2-nistp256,ssh-rsa
PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256,ssh-rsa
"""
#: And OpenSSH 5.3: no elliptic curves.
OPENSSH_5 = """
KexAlgorithms diffie-hellman-group-exchange-sha256,diffie-hellman-group14-sha1
Ciphers aes128-ctr,aes128-cbc,3des-cbc
MACs hmac-sha1
HostKeyAlgorithms ssh-rsa
PubkeyAcceptedAlgorithms ssh-rsa
"""


class TestNetworkNode(ReachTestCase):
    def node(self, *, known=True, login=None, **options):
        """A network node, as a server and as the bridge sees it."""
        port = ssh_servers.free_port()
        server = ssh_servers.SshServer(address='127.0.0.1', port=port, own_network=False, **options)
        self.useFixture(server)
        server.start()
        record = server.folder / 'known_hosts'
        keys = [key.text for key in server.host_keys().values()] if known else []
        record.write_text(''.join(f'[127.0.0.1]:{port} {key}\n' for key in keys))
        node = NetworkNode(
            NodeAddress(
                host='127.0.0.1',
                port=port,
                login=login or Login(user='root', keys=(read_key(server.login_key),)),
            ),
            KnownHosts(record),
            limits=LIMITS,
            clock=SystemClock(),
        )
        self.addCleanup(node.close)
        return server, node

    def test_two_networks_with_one_range_are_two_guests_one_of_them_behind_the_node(self):
        server, node = self.node()
        here, there = self.network(), self.network(node=server)
        shells = {
            network: self.shell(network, route=self.route_to(network, node))
            for network in (here, there)
        }
        route = self.route_to(there, node)

        self.assertIn('on 127.0.0.1', route.name)
        self.assertEqual(ssh_servers.AGENT_ADDRESS, route.source_address(ssh_servers.GUEST_ADDRESS))
        for network, shell in shells.items():
            self.assertEqual(network.guest.host_keys()['ed25519'], shell.host_key)
            self.assertEqual('root', self.said(shell, 'id', '-un'))
        self.assertNotEqual(shells[here].host_key, shells[there].host_key)

        self.assertNotEqual([], there.relays())
        shells[there].close()
        self.wait_until(lambda: not there.relays(), 'the relay to end', 10)

    def test_a_node_has_the_name_that_it_calls_itself(self):
        _, node = self.node()
        self.assertEqual(socket.gethostname(), node.host)
        self.assertEqual('127.0.0.1', node.address.host)

    def test_more_guests_than_one_connection_of_the_node_may_carry(self):
        server, node = self.node(extra='MaxSessions 1\n')
        network = self.network(node=server)
        shells = [self.shell(network, route=self.route_to(network, node)) for _ in range(2)]
        for shell in shells:
            self.assertEqual('root', self.said(shell, 'id', '-un'))

    def test_a_guest_on_the_chassis_of_its_own_is_reached_by_the_metadata_agent(self):
        server, node = self.node()
        network = self.network(node=server, agent='ovnmeta')
        chooser = RouteChooser(Routing(), self.local, [Chassis(node, 'compute-1')])
        route = chooser.choose(network.id, 'compute-1').route

        self.assertEqual('root', self.said(self.shell(network, route=route), 'id', '-un'))
        found = self.assertRaises(errors.NoRoute, chooser.choose, network.id, 'compute-2')
        self.assertIn('the guest is on compute-2, not on compute-1', found.message)

    def test_sigkill_of_the_bridge_leaves_no_relay_on_the_node(self):
        server, _ = self.node()
        network = self.network(node=server)
        bridge = self.process(
            NODE_BRIDGE,
            network.id,
            server.port,
            server.login_key,
            server.folder / 'known_hosts',
        )
        self.assertNotEqual([], network.relays())

        bridge.kill()

        self.wait_until(lambda: not network.relays(), 'the relay to end', 20)

    def test_a_login_of_the_node_that_is_not_root_enters_by_sudo(self):
        server, node = self.node(
            sudoers=f'{ssh_servers.USER} ALL=(ALL) ALL',
            login=Login(user=ssh_servers.USER, password=ssh_servers.PASSWORD),
        )
        network = self.network(node=server)
        shell = self.shell(network, route=self.route_to(network, node))
        self.assertEqual('root', self.said(shell, 'id', '-un'))

    def test_a_closed_port_behind_the_node_times_out(self):
        server, node = self.node()
        network = self.network(node=server)
        network.drop(port=22)
        found = self.assertRaises(
            errors.TimedOut,
            self.shell,
            network,
            route=self.route_to(network, node),
            limits=Limits(connect_seconds=1),
        )
        self.assertIn('on 127.0.0.1', found.message)
        self.wait_until(lambda: not network.relays(), 'the relay to end', 10)

    def test_a_node_is_not_trusted_at_first_sight(self):
        server, node = self.node(known=False)
        found = self.assertRaises(errors.NodeKeyUnknown, node.has, f'qdhcp-{uuid.uuid4()}')
        self.assertIn('ssh-keyscan', found.message)
        self.assertNotIn('Connection', server.log())

        network = ssh_servers.Network()
        found = self.assertRaises(errors.NoRoute, self.route_to, network, node)
        self.assertIn('ssh-keyscan', found.message)

    def test_a_node_with_another_key_is_refused(self):
        server, node = self.node()
        other = ssh_servers.make_key(server.folder / 'other_key', 'ed25519')
        kind, key, _ = other.with_suffix('.pub').read_text().split()
        record = server.folder / 'known_hosts'
        record.write_text(f'[127.0.0.1]:{server.port} {kind} {key}\n')
        self.assertRaises(errors.HostKeyChanged, node.has, f'qdhcp-{uuid.uuid4()}')


class TestController(ReachTestCase):
    """A controller's templates, listed and copied over a real sshd, with sudo."""

    def check(self, server, *words, known=True):
        """Return what `check` finds of the templates there."""
        record = server.folder / 'known_hosts'
        keys = [key.text for key in server.host_keys().values()] if known else []
        record.write_text(''.join(f'[127.0.0.1]:{server.port} {key}\n' for key in keys))
        parser = argparse.ArgumentParser()
        way.add_options(parser)
        way.add_controllers(parser)
        arguments = parser.parse_args(
            [
                *('--controller', f'{ssh_servers.USER}@127.0.0.1:{server.port}'),
                *('--controller-key-file', str(server.login_key), '--not-this-host'),
                *('--known-hosts', str(record)),
            ]
        )
        with way.controllers(arguments, logins.proofs(arguments)) as controllers:
            looked = Controllers(
                controllers=controllers, directories=(PurePosixPath(server.folder / 'templates'),)
            )
            return list(looked.look([VERSION], is_fixing='fix' in words))

    def controller(self, **options):
        server = ssh_servers.SshServer(
            address='127.0.0.1', port=ssh_servers.free_port(), own_network=False, **options
        )
        self.useFixture(server)
        server.start()
        template = server.folder / 'templates/mariadb/10.11-ga/config.template'
        template.parent.mkdir(parents=True)
        template.write_text('text')
        (server.folder / 'templates').chmod(0o700)  # of root, and the login is another's
        return server

    def test_the_copy_is_proposed_made_and_taken_by_an_account_that_sudo_lets_read(self):
        server = self.controller(sudoers=f'{ssh_servers.USER} ALL=(ALL) NOPASSWD: ALL\n')
        [found] = self.check(server)
        self.assertEqual('BRIDGE_TEMPLATE_MISSING', found.code)
        self.assertIn(f'on 127.0.0.1:{server.port}', found.name)
        [found] = self.check(server, 'fix')
        self.assertEqual('ok', found.outcome, found)
        target = server.folder / 'templates/mariadb/10.11.14/config.template'
        self.assertEqual('text', target.read_text())
        [found] = self.check(server)
        self.assertIn(f'Trove takes {target}', found.message)

    def test_one_that_does_not_let_the_account_become_root_is_unknown(self):
        [found] = self.check(self.controller())
        self.assertEqual(('unknown', 'SUDO_REFUSED'), (found.outcome, found.code))

    def test_one_whose_key_is_not_known_gets_no_login(self):
        server = self.controller()
        [found] = self.check(server, known=False)
        self.assertEqual('NODE_KEY_UNKNOWN', found.code)
        self.assertNotIn('Accepted', server.log())
