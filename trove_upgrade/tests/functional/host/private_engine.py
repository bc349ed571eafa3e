# SPDX-License-Identifier: Apache-2.0
"""A private docker engine for tests: own network, mounts and processes, its state and its socket
below a temporary directory.

For callers::

    engine = self.useFixture(Engine())
    # the lab's container images, built on first use
    engine.load(Images().archive(recipes.MARIADB_10_11))
    engine.run(['run', '--detach', '--name', 'database', ...])
    engine.socket                                       # for a client of the API

Paths in `--volume` are the host's.  Published ports are in the engine's network alone:
`engine.connect(('127.0.0.1', 3306))`.
"""

import functools
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

import fixtures

from lab.commands import HostCommands
from lab.containers import builder
from lab.hypervisor.netns import connect_in
from lab.layout import Layout
from trove_upgrade.waiting import wait_until

DEADLINE_SECONDS = 60
#: Root file systems of containers need a real file system below them, which a temporary directory
#: may not have.
PLACE = '/var/tmp'
_INSIDE = """set -eu
ip link set lo up
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/lock
echo 1 > /proc/sys/net/ipv4/ip_forward
exec "$@"
"""


class Images:
    """The lab's container images, from the user's cache: asked for before a test case replaces
    HOME.
    """

    def __init__(self, layout=None):
        self._builder = builder.ContainerBuilder(
            (layout or Layout.from_environ()).images_cache, HostCommands(), print
        )

    def image(self, recipe):
        return self._builder.build(recipe)

    def archive(self, recipe, references=()):
        return self._builder.archive(self.image(recipe), references)


class Engine(fixtures.Fixture):
    """The engine runs as long as the fixture is used; nothing of it stays."""

    def __init__(self, images=(), insecure_registries=(), namespace=None):
        """`namespace` is the path of a network namespace to be in; otherwise it gets one with
        nothing but loopback.
        """
        super().__init__()
        self._images = images
        self._insecure = insecure_registries
        self._namespace = namespace
        self._process = None

    def _setUp(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix='tu-eng-', dir=PLACE))
        self.addCleanup(shutil.rmtree, self.path)
        self.cgroup = f'/{self.path.name}'
        self.addCleanup(self._remove_cgroups)
        self.socket = self.path / 'docker.sock'
        self.start()
        self.addCleanup(self.stop)
        for archive in self._images:
            self.load(archive)

    def start(self):
        """Start it, or start it again on the same state."""
        insecure = [f'--insecure-registry={registry}' for registry in self._insecure]
        network = (
            ['nsenter', f'--net={self._namespace}', '--', 'unshare']
            if self._namespace
            else ['unshare', '--net']
        )
        with (self.path / 'engine.log').open('ab') as log:
            # A test that is killed must not leave an engine: it dies with the thread that started
            # it.
            self._process = subprocess.Popen(
                [
                    'setpriv',
                    '--pdeathsig',
                    'KILL',
                    '--',
                    *network,
                    '--mount',
                    '--pid',
                    '--fork',
                    '--kill-child',
                    '--mount-proc',
                    '--propagation',
                    'private',
                    'sh',
                    '-c',
                    _INSIDE,
                    'engine',
                    'dockerd',
                    f'--data-root={self.path}/data',
                    '--exec-root=/run/docker',
                    '--pidfile=/run/docker.pid',
                    f'--host=unix://{self.socket}',
                    f'--cgroup-parent={self.cgroup}',
                    '--group=root',
                    '--log-level=warn',
                    '--exec-opt=native.cgroupdriver=cgroupfs',
                    *insecure,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={'PATH': os.environ['PATH'], 'HOME': str(self.path)},
            )
        if (
            not wait_until(
                lambda: self._process.poll() is not None or self.answers(), DEADLINE_SECONDS
            )
            or self._process.poll() is not None
        ):
            raise AssertionError(
                f'The engine did not start: {(self.path / "engine.log").read_text()[-2000:]}'
            )

    def stop(self, kill=False):
        """End it: containers too, as when its machine goes down."""
        if self._process is None:
            return
        if not kill and self._main() is not None:
            os.kill(self._main(), signal.SIGTERM)
            wait_until(lambda: self._process.poll() is not None, 20)
        self._process.kill()
        self._process.wait(DEADLINE_SECONDS)
        self._process = None
        self.socket.unlink(missing_ok=True)
        wait_until(lambda: not self._mounts(), DEADLINE_SECONDS)

    def answers(self):
        return self.socket.exists() and self.run(['version'], check=False).returncode == 0

    def run(self, arguments, check=True, timeout_seconds=120):
        """The engine's own client."""
        done = subprocess.run(
            ['docker', f'--host=unix://{self.socket}', *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_seconds,
            env={'PATH': os.environ['PATH'], 'HOME': str(self.path)},
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f'docker {" ".join(arguments)}: exit code {done.returncode}: '
                f'{done.stdout}{done.stderr}'
            )
        return done

    def load(self, archive):
        return self.run(['load', '--input', str(archive)]).stdout

    def api(self, method, path, body=None):
        """Ask the engine's API; status and the answer: parsed where it is JSON, text where it is a
        stream of it, as of a pull.
        """
        connection = _SocketConnection(self.socket)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(
                method,
                f'/v1.40{path}',
                content,
                {} if body is None else {'Content-Type': 'application/json'},
            )
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        is_stream = '\r\n' in text or not text
        return answer.status, text if is_stream else json.loads(text)

    def connect(self, address, timeout_seconds=10):
        """A TCP connection made beside the engine, where published ports are."""
        return connect_in(pathlib.Path(f'/proc/{self._main()}/ns/net'), address, timeout_seconds)

    def _main(self):
        """The process that the engine is, as the host counts."""
        children = (
            pathlib.Path(f'/proc/{self._process.pid}/task/{self._process.pid}/children')
            .read_text()
            .split()
        )
        return int(children[0]) if children else None

    def _mounts(self):
        return [
            line
            for line in pathlib.Path('/proc/self/mountinfo').read_text().splitlines()
            if f' {self.path}/' in line
        ]

    def _remove_cgroups(self):
        """With version 1 there is one tree per controller, with version 2 a single one."""
        root = pathlib.Path('/sys/fs/cgroup')
        for tree in (*root.glob(f'*{self.cgroup}'), root / self.cgroup.lstrip('/')):
            for directory, _, _ in os.walk(tree, topdown=False):
                wait_until(
                    functools.partial(_removed, directory), 10
                )  # its last processes may still be on their way out


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__('localhost', timeout=DEADLINE_SECONDS)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _removed(directory):
    try:
        pathlib.Path(directory).rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
