# SPDX-License-Identifier: Apache-2.0
"""Tenant networks with an old guest in each, and a network node: real sshd, sudo and namespaces.

A guest is a network namespace of its own, the cable to its network's namespace, and an sshd with
accounts of its own: its /etc/passwd is bound over the machine's in a private mount namespace.  The
network node is an sshd on loopback whose `ip netns` shows its own namespaces alone.
"""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import uuid

import fixtures

from trove_upgrade.bridge.reach.host_key import HostKey
from trove_upgrade.waiting import wait_until

#: The same in every network.
GUEST_ADDRESS, AGENT_ADDRESS = '10.83.0.5', '10.83.0.2'
USER, PASSWORD = 'oldtrove', 'only for this test: %s \'"$HOME'
_SECONDS = 30

_SERVER = r"""
set -eu
mount -t tmpfs -o mode=755 none /run
mkdir -m 755 /run/sshd /run/netns /run/sudo
read -r _
cp -r "$FILES" /run/files
chmod 755 /run/files
chmod 600 /run/files/*key /run/files/shadow
chmod 440 /run/files/sudoers
for name in passwd shadow group sudoers; do
    touch "/etc/$name"
    mount --bind "/run/files/$name" "/etc/$name"
done
exec /usr/sbin/sshd -D -e -f /run/files/sshd_config
"""
_CONFIG = """
Port {port}
ListenAddress {address}
UsePAM {dialogue}
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication {password}
KbdInteractiveAuthentication {dialogue}
AuthorizedKeysFile /run/files/authorized_keys
PidFile none
"""


class SshServer(fixtures.Fixture):
    """One sshd; `start` begins it once its cable is plugged in."""

    def __init__(
        self,
        *,
        address,
        port=22,
        own_network,
        kinds=('ed25519',),
        extra='',
        sudoers='',
        dialogue=False,
    ):
        super().__init__()
        self.dialogue = dialogue  #: asks for the password as PAM wants, and in no other way
        self.address, self.port, self.kinds = address, port, kinds
        self.own_network, self.extra, self.sudoers = own_network, extra, sudoers

    def _setUp(self):
        self.folder = pathlib.Path(
            tempfile.mkdtemp(prefix='tu-ssh-', dir=os.environ.get('TROVE_UPGRADE_TMP', '/tmp'))
        )
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.files = self.folder / 'files'
        self.files.mkdir()
        for kind in self.kinds:
            make_key(self.files / f'{kind}_host_key', kind)
        self.login_key = make_key(self.folder / 'login_key', 'ecdsa')
        self._write_files()
        self._spawn()

    def host_keys(self):
        """Its keys by their kinds."""
        return {
            kind: HostKey.from_text((self.files / f'{kind}_host_key.pub').read_text())
            for kind in self.kinds
        }

    def allow(self, public_key):
        """Let a key log in; before `start`."""
        with (self.files / 'authorized_keys').open('a') as sink:
            sink.write(public_key.read_text())

    def start(self):
        self.process.stdin.write(b'\n')
        self.process.stdin.flush()
        listening = wait_until(
            lambda: 'Server listening' in self.log() or self.process.poll() is not None, _SECONDS
        )
        if not listening or self.process.poll() is not None:
            raise AssertionError(f'sshd does not listen:\n{self.log()}')

    def log(self):
        return (self.folder / 'log').read_text()

    def stop(self):
        """As a crash does: nothing of it is left."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(_SECONDS)
        self.process.stdin.close()

    def _write_files(self):
        keys = ''.join(f'HostKey /run/files/{kind}_host_key\n' for kind in self.kinds)
        config = _CONFIG.format(
            port=self.port,
            address=self.address,
            dialogue='yes' if self.dialogue else 'no',
            password='no' if self.dialogue else 'yes',
        )
        (self.files / 'sshd_config').write_text(config + keys + self.extra)
        self.allow(self.folder / 'login_key.pub')
        crypt = subprocess.run(
            ('openssl', 'passwd', '-6', '-stdin'),
            input=PASSWORD,
            text=True,
            capture_output=True,
            check=True,
        ).stdout.strip()
        for name, line in (
            ('passwd', f'{USER}:x:1999:1999::/tmp:/bin/sh\n'),
            ('group', f'{USER}:x:1999:\n'),
            ('shadow', f'{USER}:{crypt}:19000:0:99999:7:::\n'),
        ):
            (self.files / name).write_text(pathlib.Path('/etc', name).read_text() + line)
        (self.files / 'sudoers').write_text(f'root ALL=(ALL) ALL\n{self.sudoers}\n')

    def _spawn(self):
        apart = ('--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child')
        # iproute2 looks into /proc for its own namespace, also where the test enters the node's
        own = ('--net', '--mount-proc') if self.own_network else ()
        with (self.folder / 'log').open('wb') as log:
            self.process = subprocess.Popen(
                (
                    *('setpriv', '--pdeathsig', 'KILL'),
                    *('unshare', *own, *apart),
                    *('sh', '-c', _SERVER),
                ),
                env={'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'FILES': str(self.files)},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        self.addCleanup(self.stop)
        path = pathlib.Path(f'/proc/{self.process.pid}/task/{self.process.pid}/children')
        [child] = wait_until(lambda: path.read_text().split(), _SECONDS)
        self.pid = int(child)


def make_key(path, kind):
    size = ('-b', '2048') if kind == 'rsa' else ()  # longer ones take seconds to find
    subprocess.run(
        ('ssh-keygen', '-q', '-t', kind, *size, '-N', '', '-C', 'test', '-f', str(path)), check=True
    )
    return path


class Network(fixtures.Fixture):
    """Tenant network: the namespace of its DHCP agent, and one guest."""

    def __init__(self, node=None, agent='qdhcp', **guest):
        super().__init__()
        self.id = str(uuid.uuid4())
        self.namespace = f'{agent}-{self.id}'
        self.node = node  #: the namespace is on this server; None: on the machine
        self.guest = SshServer(address=GUEST_ADDRESS, own_network=True, **guest)

    def _setUp(self):
        self.ip('netns', 'add', self.namespace)
        self.addCleanup(self.remove)
        self.useFixture(self.guest)
        # the address is the guest's before its sshd starts: it listens on that one alone
        peer = ('peer', 'name', 'eth0', 'netns', str(self.guest.pid))
        self.ip('-n', self.namespace, 'link', 'add', 'tap0', 'type', 'veth', *peer)
        agent = ('-n', self.namespace)
        self.ip(*agent, 'addr', 'add', f'{AGENT_ADDRESS}/24', 'dev', 'tap0')
        self.ip(*agent, 'link', 'set', 'tap0', 'up')
        self.in_guest('ip', 'addr', 'add', f'{GUEST_ADDRESS}/24', 'dev', 'eth0')
        for name in ('lo', 'eth0'):
            self.in_guest('ip', 'link', 'set', name, 'up')

    def ip(self, *words, check=True):
        enter = ('nsenter', '--mount', '--target', str(self.node.pid)) if self.node else ()
        return subprocess.run((*enter, 'ip', *words), check=check, stdout=subprocess.PIPE).stdout

    def remove(self):
        self.ip('netns', 'delete', self.namespace, check=False)  # another guest's may be gone

    def in_guest(self, *argv, **options):
        enter = ('nsenter', '--net', '--target', str(self.guest.pid))
        return subprocess.run((*enter, *argv), check=True, **options)

    def replace_guest(self, **guest):
        """Another server at the same address, as after a rebuild; the cable goes with the first."""
        self.guest.stop()
        self.remove()
        fresh = Network(self.node, **guest)
        fresh.id, fresh.namespace = self.id, self.namespace
        return fresh

    def relays(self):
        """Ids of the processes in the agent's namespace: it has none of its own."""
        return self.ip('netns', 'pids', self.namespace).split()

    def drop(self, *, port):
        """As a security group that does not let the port in."""
        rules = (
            'add table inet closed\n'
            'add set inet closed tries { type inet_service; flags dynamic; size 1000; }\n'
            'add chain inet closed input { type filter hook input priority 0; }\n'
            f'add rule inet closed input tcp dport {port} add @tries {{ tcp sport }} drop\n'
        )
        self.in_guest('nft', '-f', '-', input=rules.encode())

    def tries(self):
        """Return the ports that have tried to connect since `drop`."""
        words = ('nft', '-j', 'list', 'set', 'inet', 'closed', 'tries')
        shown = self.in_guest(*words, capture_output=True).stdout
        [found] = [one['set'] for one in json.loads(shown)['nftables'] if 'set' in one]
        return found.get('elem', [])

    def let_in(self):
        """Take back what `drop` has done."""
        self.in_guest('nft', 'delete', 'table', 'inet', 'closed')


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as probe:
        return probe.getsockname()[1]
