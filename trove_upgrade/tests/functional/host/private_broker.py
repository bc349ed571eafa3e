# SPDX-License-Identifier: Apache-2.0
"""A RabbitMQ of a test's own.

The lab's configuration and programs, in a temporary folder and on free ports of loopback.
"""

import os
import pathlib
import shlex
import shutil
import socket
import subprocess
import tempfile

import amqp.exceptions
import fixtures
from kombu import connection as kombu_connection

from lab.layout import Layout
from lab.services import rabbitmq
from lab.settings import HOST, Ports, Secrets, Settings
from lab.venv import CloudVenv
from trove_upgrade.waiting import wait_until

_START_SECONDS = 120
#: Of one block of a page: each command starts a machine of its own, which takes seconds.
_SHELL_SECONDS = 400


class Broker(fixtures.Fixture):
    """One node; `url` is its transport_url."""

    def _setUp(self):
        self.folder = pathlib.Path(
            tempfile.mkdtemp(prefix='tu-broker-', dir=os.environ.get('TROVE_UPGRADE_TMP', '/tmp'))
        )
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        layout = Layout(cache_dir=self.folder / 'cache', run_dir=self.folder)
        layout.prepare()
        ports = dict(zip(('epmd', 'broker', 'broker_distribution'), _free_ports(3), strict=True))
        self.settings = Settings(
            layout=layout,
            venv=CloudVenv(
                venvs_dir=layout.venvs_dir, log=layout.logs_dir / 'venv.log', environ={}
            ),
            secrets=Secrets.generate(),
            ports=Ports(**ports),
        )
        self.url = self.settings.trove_transport_url
        rabbitmq.configure(self.settings)
        epmd, node = rabbitmq.processes(self.settings)
        self._start(epmd, rabbitmq.epmd_ready)
        self._environment = dict(node.env)
        self._start(node, rabbitmq.ready)
        # It listens before it takes commands: it still starts its plugins then.
        self.rabbitmqctl('await_startup', '--timeout', str(_START_SECONDS))

    def _start(self, command, ready):
        log = (self.folder / f'{command.name}.log').open('wb')
        self.addCleanup(log.close)
        process = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', *command.argv],
            env=dict(command.env),
            cwd='/',
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        self.addCleanup(self._stop, process)
        known = wait_until(
            lambda: process.poll() is not None or ready(self.settings),
            _START_SECONDS,
            interval_seconds=0.1,
        )
        if not known or process.poll() is not None:
            said = pathlib.Path(log.name).read_text()
            raise AssertionError(f'{command.name} does not serve:\n{said}')

    def _stop(self, process):
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def rabbitmqctl(self, *arguments):
        """What Debian's program printed."""
        return self.shell(shlex.join(('rabbitmqctl', '--quiet', *arguments)))

    def shell(self, command):
        """What a line of a page printed, run where `rabbitmqctl` reaches this node."""
        environment = {
            **self._environment,
            'PATH': f'/usr/lib/rabbitmq/bin:{self._environment["PATH"]}',
        }
        done = subprocess.run(
            ['bash', '-o', 'pipefail', '-c', command],
            env=environment,
            cwd='/',
            capture_output=True,
            text=True,
            timeout=_SHELL_SECONDS,
        )
        if done.returncode:
            raise AssertionError(
                f'{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}'
            )
        return done.stdout

    def messages(self, queue):
        """How many wait in a queue; None where there is none."""
        connection = kombu_connection.Connection(self.url.replace('rabbit://', 'amqp://'))
        try:
            return connection.channel().queue_declare(queue=queue, passive=True).message_count
        except amqp.exceptions.NotFound:
            return None
        finally:
            connection.release()


def _free_ports(count):
    found = [socket.socket() for _ in range(count)]
    for one in found:
        one.bind((HOST, 0))
    ports = [one.getsockname()[1] for one in found]
    for one in found:
        one.close()
    return ports
