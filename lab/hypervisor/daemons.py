# SPDX-License-Identifier: Apache-2.0
"""The daemons of a network, in its namespace: the forwarder to the broker and the registry, the
name server, the metadata service.  Each has its pid in a file of the network's home.
"""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path

import psutil

from lab import errors, processes
from lab.commands import Commands
from lab.hypervisor import metadata
from lab.hypervisor.netns import NETNS_DIR
from lab.servers import BROKER_PORT, REGISTRY_PORT
from trove_upgrade.waiting import wait_until

BRIDGE = 'br0'  #: of every network, in its namespace
METADATA = 'metadata'  #: below a network's home; the metadata service shows what is in it
_FORWARDER_PID, _NAME_SERVER_PID, _METADATA_PID = 'haproxy.pid', 'dns.pid', 'metadata.pid'
_FORWARDER_CONFIGURATION = 'haproxy.cfg'
_END_SECONDS = 10


class NetworkDaemons:
    """Daemons of a network: forwarder, name server and metadata service."""

    def __init__(
        self, commands: Commands, broker: tuple[str, int] | None, registry: tuple[str, int] | None
    ) -> None:
        self._commands = commands
        self._broker = broker
        self._registry = registry

    def ensure(self, gateway: str, namespace: str, home: Path) -> None:
        """Start those that do not run."""
        self._ensure_forwarder(gateway, namespace, home)
        self._ensure_name_server(gateway, namespace, home)
        self._ensure_metadata(namespace, home)

    def end(self, network_id: str, home: Path) -> None:
        """End all.  One that does not run is no error."""
        for record in (home / _FORWARDER_PID, home / _NAME_SERVER_PID, home / _METADATA_PID):
            _end(record, network_id)

    def forget(self, home: Path) -> None:
        """Remove the daemons' files from a network's home."""
        for name in (_FORWARDER_CONFIGURATION, _FORWARDER_PID, _NAME_SERVER_PID, _METADATA_PID):
            (home / name).unlink(missing_ok=True)
        shutil.rmtree(home / METADATA, ignore_errors=True)

    def _ensure_forwarder(self, gateway: str, namespace: str, home: Path) -> None:
        record = home / _FORWARDER_PID
        if self._broker is None or _daemon(record) is not None:
            return
        configuration = home / _FORWARDER_CONFIGURATION
        configuration.write_text(
            forwarder_configuration(gateway, namespace, self._broker, self._registry),
            'utf-8',
        )
        self._commands.run(['haproxy', '-D', '-f', str(configuration), '-p', str(record)])

    def _ensure_name_server(self, gateway: str, namespace: str, home: Path) -> None:
        """It knows no name and says so at once: a database that looks up the name of each client
        waits for seconds where no name server answers, and so does its stop.
        """
        record = home / _NAME_SERVER_PID
        if _daemon(record) is None:
            options = (
                '--conf-file=/dev/null',
                '--no-hosts',
                '--no-resolv',
                '--local=/#/',
                '--cache-size=0',
                '--bind-interfaces',
                f'--listen-address={gateway}',
                '--user=root',
                '--log-facility=/dev/null',
            )
            self._commands.run(
                [
                    'nsenter',
                    f'--net={NETNS_DIR / namespace}',
                    '--',
                    'dnsmasq',
                    *options,
                    f'--pid-file={record}',
                ]
            )

    def _ensure_metadata(self, namespace: str, home: Path) -> None:
        """The address of its own is the bridge's: the kernel answers for it to every guest."""
        record = home / _METADATA_PID
        (home / METADATA).mkdir(mode=0o700, exist_ok=True)
        if _daemon(record) is None:
            self._commands.run(
                ['ip', '-n', namespace, 'addr', 'replace', f'{metadata.ADDRESS}/32', 'dev', BRIDGE]
            )
            self._commands.run(
                [
                    'nsenter',
                    f'--net={NETNS_DIR / namespace}',
                    '--',
                    'setsid',
                    '--fork',
                    sys.executable,
                    '-I',
                    metadata.__file__,
                    '--directory',
                    str(home / METADATA),
                    '--pid-file',
                    str(record),
                ]
            )


def forwarder_configuration(
    gateway: str, namespace: str, broker: tuple[str, int], registry: tuple[str, int] | None = None
) -> str:
    """HAProxy's configuration: listens inside the network's namespace, connects from the host's.

    The time limits are longer than AMQP's heartbeat (60 s), which keeps a silent connection open.
    """
    targets = [('broker', BROKER_PORT, broker)]
    if registry is not None:
        targets.append(('registry', REGISTRY_PORT, registry))
    return """global
    maxconn 1000
    nbthread 1
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    option clitcpka
    option srvtcpka
""" + ''.join(
        f"""listen {name}
    bind {gateway}:{port} namespace {namespace}
    server {name} {target[0]}:{target[1]}
"""
        for name, port, target in targets
    )


def _daemon(record: Path) -> psutil.Process | None:
    """The process whose pid is in the file, where that daemon runs: its command line names the
    file.  A pid that was given to something else meanwhile does not count.
    """
    try:
        process = psutil.Process(int(record.read_text('utf-8')))
        words = process.cmdline()
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None
    return process if any(word.endswith(str(record)) for word in words) else None


def _end(record: Path, network_id: str) -> None:
    process = _daemon(record)
    if process is None:
        return
    # a name server has a process of its own for each connection
    for one in (*_children(process), process):
        processes.send(one, signal.SIGKILL)
    if not wait_until(lambda: _daemon(record) is None, _END_SECONDS, interval_seconds=0.02):
        raise errors.TimedOut(
            f'{record.stem} of network {network_id} to end',
            _END_SECONDS,
            f'Kill process {process.pid} by hand.',
        )


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.NoSuchProcess:
        return []
