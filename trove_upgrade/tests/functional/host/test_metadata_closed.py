# SPDX-License-Identifier: Apache-2.0
"""The script that closes the metadata address, with the real nft, in network namespaces of the
test's own.
"""

import pathlib
import subprocess
import sys

from trove_upgrade.tests import base

SCRIPT = pathlib.Path(__file__).parents[4] / 'etc/trove-upgrade/guest/lib/metadata-closed'
LIMIT_SECONDS = 60

#: A guest, a service beside it as in a cloud, and a container behind the guest: three namespaces,
#: with a cable between each two.
ENTER = r"""
set -eu
mount -t tmpfs none /run
ip netns add cloud
ip netns add box
ip link set lo up
ip link add eth0 type veth peer name guest netns cloud
ip link add box0 type veth peer name eth0 netns box
ip addr add 10.9.0.2/24 dev eth0
ip addr add 172.30.0.1/24 dev box0
ip link set eth0 up
ip link set box0 up
ip -n cloud addr add 10.9.0.1/24 dev guest
ip -n cloud addr add 169.254.169.254/32 dev guest
ip -n cloud link set guest up
ip -n cloud route add 172.30.0.0/24 via 10.9.0.2
ip -n box addr add 172.30.0.2/24 dev eth0
ip -n box link set eth0 up
ip -n box route add default via 172.30.0.1
ip route add default via 10.9.0.1
echo 1 > /proc/sys/net/ipv4/ip_forward
cat > /run/listen.py << 'END'
import socketserver, sys
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b'user data')
with socketserver.ThreadingTCPServer((sys.argv[1], 80), Handler) as server:
    print('listening', flush=True)
    server.serve_forever()
END
cat > /run/fetch.py << 'END'
import socket, sys
try:
    with socket.create_connection((sys.argv[1], 80), 5) as found:
        print(found.recv(100).decode())
except OSError:
    print('closed')
END
mkfifo /run/said
ip netns exec cloud "$PYTHON" -I /run/listen.py 169.254.169.254 > /run/said &
read -r _ < /run/said
fetch() { "$@" "$PYTHON" -I /run/fetch.py 169.254.169.254; }
as_server() { fetch setpriv --reuid=64321 --regid=64321 --clear-groups -- ; }
in_container() { fetch ip netns exec box; }
"""


class TestTheScript(base.TestCase):
    def run_in_a_guest(self, script):
        done = subprocess.run(
            [
                'unshare',
                '--net',
                '--mount',
                '--propagation',
                'private',
                '--pid',
                '--fork',
                '--kill-child',
                '--mount-proc',
                'sh',
                '-c',
                ENTER + script,
            ],
            env={
                'CLOSED': str(SCRIPT),
                'PYTHON': sys.executable,
                'PATH': '/usr/sbin:/usr/bin:/sbin:/bin',
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        )
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        return done.stdout.splitlines()

    def test_root_alone_fetches_user_data_afterwards(self):
        found = self.run_in_a_guest(
            'fetch env; as_server; in_container; sh "$CLOSED"; fetch env; as_server; in_container'
        )
        self.assertEqual(['user data'] * 3 + ['user data', 'closed', 'closed'], found)

    def test_a_second_run_and_a_flush_are_told_apart(self):
        found = self.run_in_a_guest(
            '! sh "$CLOSED" --check 2>&1; sh "$CLOSED"; sh "$CLOSED"; sh "$CLOSED" --check; nft '
            'add rule inet trove_upgrade_metadata output accept; sh "$CLOSED" --check; nft flush '
            'ruleset; ! sh "$CLOSED" --check 2>&1'
        )
        self.assertEqual(
            ['the metadata address is open: table inet trove_upgrade_metadata has no chain output']
            * 2,
            found,
        )

    def test_rules_that_lack_an_address_or_a_chain_count_as_open(self):
        found = self.run_in_a_guest(
            'sh "$CLOSED"; nft flush chain inet trove_upgrade_metadata forward; ! sh "$CLOSED" '
            '--check 2>&1; sh "$CLOSED"; nft delete chain inet trove_upgrade_metadata output; ! '
            'sh "$CLOSED" --check 2>&1'
        )
        self.assertIn('chain forward', found[0])
        self.assertIn('chain output', found[1])

    def test_an_image_without_nft_is_told(self):
        found = self.run_in_a_guest(
            'PATH=/nonexistent; ! /bin/sh "$CLOSED" 2>&1; ! /bin/sh "$CLOSED" --check 2>&1'
        )
        self.assertEqual(['the metadata address is open: nft is not installed'] * 2, found)
