# SPDX-License-Identifier: Apache-2.0
"""Networks of guests: one network namespace per Neutron network, and one per guest.

For callers::

    fabric = NetworkFabric(layout.networks_dir, HostCommands(), broker=('127.0.0.1', 5672))
    fabric.ensure(Network('network id', gateway='10.0.0.1', prefix_length=24))
    fabric.attach('server id', Port('network id', mac='fa:16:..', address='10.0.0.7',
                                    prefix_length=24))
    with fabric.connect('network id', ('10.0.0.7', 3306)) as connection:
        ...  # a TCP socket from beside the guest
    fabric.run_in('network id', ['ping', '-c1', '10.0.0.7'])

A network's namespace has the bridge, with the gateway's address on it, and a forwarder from
gateway:5672 to the broker on the host's loopback, as a load balancer stands before the brokers of a
cloud; another from gateway:5000 to the registry of container images; a name server on the gateway
that knows no name; and the metadata service.  Nothing of it appears in the host's own namespace, so
two networks may use the same addresses.  A guest's namespace is a port of the network: it outlives
rebuilds and keeps address and MAC.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import shutil
import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TextIO

from lab import errors
from lab.commands import Commands, Outcome
from lab.hypervisor import cable, dhcp, metadata
from lab.hypervisor.daemons import BRIDGE, METADATA, NetworkDaemons
from lab.hypervisor.groups import ruleset
from lab.hypervisor.loopback import leading_here
from lab.hypervisor.netns import NETNS_DIR, connect_in
from lab.hypervisor.netns import entry as entry_into
from lab.servers import DhcpPort, Network, Port, Server
from trove_upgrade.waiting import wait_until

_ENSURE_SECONDS = 60.0
_RUN_SECONDS = 60.0
_BRIDGE_KIND = ('type', 'bridge', 'forward_delay', '0', 'stp_state', '0')


def _locked(file: TextIO) -> bool:
    """Try to lock, without waiting: in a process of green threads, waiting would hold up the one
    that has it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@dataclasses.dataclass(frozen=True, kw_only=True)
class PluggedPort:
    """A guest's port as its network has it: the host's end of the interface."""

    namespace: str
    device: str
    network_id: str
    mac: str


class NetworkFabric:
    """Makes and removes the namespaces.  State is in files and in the kernel, so any process of the
    lab may ask.

    With `guarded`, guests' ports are closed until their rules are known (see `groups`).
    """

    def __init__(
        self,
        networks_dir: Path,
        commands: Commands,
        broker: tuple[str, int] | None,
        registry: tuple[str, int] | None = None,
        *,
        guarded: bool = False,
    ) -> None:
        self._guarded = guarded
        self._dir = networks_dir
        self._commands = commands
        self._daemons = NetworkDaemons(commands, broker, registry)
        # Two labs on one machine may have networks and guests of the same names.
        self._prefix = 'tul-' + hashlib.sha256(str(networks_dir).encode()).hexdigest()[:6]

    def network_namespace(self, network_id: str) -> str:
        """The name, below /run/netns, of a network's namespace."""
        return f'{self._prefix}-net-{network_id}'

    def guest_namespace(self, guest_id: str) -> str:
        """The name, below /run/netns, of a guest's namespace."""
        return f'{self._prefix}-guest-{guest_id}'

    def ensure(self, network: Network) -> None:
        """Make the network, or what of it is missing.  Safe to repeat, and for two at once: the
        first guests of a network come together.
        """
        home = self._dir / network.network_id
        home.mkdir(parents=True, exist_ok=True)
        with (home / 'lock').open('w') as lock:
            if not wait_until(lambda: _locked(lock), _ENSURE_SECONDS, interval_seconds=0.02):
                raise errors.TimedOut(
                    f'network {network.network_id} to be made by another',
                    _ENSURE_SECONDS,
                    'See the logs.',
                )
            self._ensure(network, self.network_namespace(network.network_id), home)

    def _ensure(self, network: Network, name: str, home: Path) -> None:
        if not (home / 'ready').exists() or not (NETNS_DIR / name).exists():
            self._remove_namespace(name)
            self._commands.run(['ip', 'netns', 'add', name])
            inside, own = ['ip', '-n', name], f'{network.gateway}/{network.prefix_length}'
            self._commands.run([*inside, 'link', 'set', 'lo', 'up'])
            self._commands.run([*inside, 'link', 'add', BRIDGE, *_BRIDGE_KIND])
            self._commands.run([*inside, 'addr', 'add', own, 'dev', BRIDGE])
            if self._guarded:
                self._commands.run(
                    [*entry_into(name), 'nft', '-f', '-'], input_text=ruleset.table()
                )
            self._commands.run([*inside, 'link', 'set', BRIDGE, 'up'])
            (home / 'ready').touch()
        self._daemons.ensure(network.gateway, name, home)

    def publish(self, ports: Sequence[Port], user_data: bytes, meta_data: str) -> None:
        """Let the metadata service of each port's network show these to the guest that has the
        port.
        """
        for port in ports:
            metadata.publish(
                self._dir / port.network_id / METADATA, port.address, user_data, meta_data
            )

    def attach(self, guest_id: str, ports: Sequence[Port]) -> str:
        """Give a guest its namespace with these ports, and return the namespace's name.  Safe to
        repeat.

        The host sets the address, as a DHCP server would have the guest do.
        """
        name = self.guest_namespace(guest_id)
        complete = self._dir / f'{guest_id}.ports'
        if complete.exists() and (NETNS_DIR / name).exists():
            return name
        self._remove_namespace(name)
        self._commands.run(['ip', 'netns', 'add', name])
        self._commands.run(['ip', '-n', name, 'link', 'set', 'lo', 'up'])
        for number, port in enumerate(ports):
            self._plug(name, f'eth{number}', self._host_side(guest_id, number), port)
        self._dir.mkdir(parents=True, exist_ok=True)
        fresh = complete.with_suffix('.new')
        fresh.write_text(json.dumps([dataclasses.asdict(port) for port in ports]), 'utf-8')
        fresh.rename(complete)
        return name

    def _plug(self, namespace: str, device: str, host_side: str, port: Port) -> None:
        cable.lay(
            self._commands,
            cable.Cable(
                network=self.network_namespace(port.network_id),
                host_side=host_side,
                namespace=namespace,
                device=device,
                mac=port.mac,
            ),
        )
        is_first = device == 'eth0'
        cable.take_up(
            self._commands.run,
            namespace,
            device,
            address=f'{port.address}/{port.prefix_length}',
            gateway=port.gateway if is_first else None,
        )
        if is_first:
            route = ['route', 'replace', f'{metadata.ADDRESS}/32', 'dev', device]
            self._commands.run(['ip', '-n', namespace, *route])

    def plug_dhcp(self, port: DhcpPort, node: Server | None = None) -> str:
        """See `Networks.plug_dhcp`."""
        network = self.network_namespace(port.network_id)
        return dhcp.plug(port, network, self._dir / port.network_id, self._commands, node)

    @staticmethod
    def _host_side(guest_id: str, number: int) -> str:
        # Interface names have at most 15 characters.
        return f'v{number}-' + hashlib.sha256(guest_id.encode()).hexdigest()[:11]

    def plugged(self) -> list[PluggedPort]:
        """Every port of every guest."""
        found = []
        for record in sorted(self._dir.glob('*.ports')):
            try:
                ports = json.loads(record.read_text('utf-8'))
            except FileNotFoundError:
                continue  # the guest has just gone
            guest_id = record.name.removesuffix('.ports')
            found += [
                PluggedPort(
                    namespace=self.network_namespace(port['network_id']),
                    device=self._host_side(guest_id, number),
                    network_id=port['network_id'],
                    mac=port['mac'],
                )
                for number, port in enumerate(ports)
            ]
        return found

    def detach(self, guest_id: str) -> None:
        """Take a guest's namespace away, its ports with it.  An unknown guest is no error."""
        record = self._dir / f'{guest_id}.ports'
        for port in json.loads(record.read_text('utf-8')) if record.exists() else ():
            shutil.rmtree(
                self._dir / port['network_id'] / METADATA / port['address'], ignore_errors=True
            )
        record.unlink(missing_ok=True)
        self._remove_namespace(self.guest_namespace(guest_id))

    def remove(self, network_id: str) -> None:
        """Take a network away: forwarder, bridge, namespace.  An unknown network is no error."""
        home = self._dir / network_id
        self._daemons.end(network_id, home)
        dhcp.remove(network_id, home, self._commands)
        self._remove_namespace(self.network_namespace(network_id))
        for name in ('ready', 'lock'):
            (home / name).unlink(missing_ok=True)
        self._daemons.forget(home)
        if home.is_dir():
            home.rmdir()

    def remove_all(self) -> None:
        """Take every network of this lab away, and every guest's namespace that is left."""
        for home in sorted(self._dir.glob('*/')):
            self.remove(home.name)
        for leftover in self._dir.glob('*.ports'):
            leftover.unlink()
        for namespace in sorted(NETNS_DIR.glob(f'{self._prefix}-*')):
            self._remove_namespace(namespace.name)

    @property
    def device(self) -> str:
        """Return the name of the bridge."""
        return BRIDGE

    def entry(self, network_id: str) -> tuple[str, ...]:
        """The beginning of a command that runs a program of the host inside the network."""
        return entry_into(self.network_namespace(network_id))

    def run_in(
        self,
        network_id: str,
        argv: Sequence[str],
        *,
        check: bool = True,
    ) -> Outcome:
        """Run a program of the host inside the network, where it reaches the guests."""
        return self._commands.run(
            [*self.entry(network_id), *argv], check=check, timeout_seconds=_RUN_SECONDS
        )

    def loopback_leads_here(
        self, network_id: str, ports: Sequence[tuple[int, int]], directory: Path
    ) -> AbstractContextManager[None]:
        """See `Networks.loopback_leads_here`."""
        return leading_here(self.network_namespace(network_id), ports, directory)

    def connect(
        self, network_id: str, address: tuple[str, int], timeout_seconds: float = 10
    ) -> socket.socket:
        """A connected TCP socket from inside the network, for a host-side client of a guest's
        database.

        A thread of its own enters the namespace and ends there: the caller's threads stay where
        they are.  Not for a process with green threads.

        :raises OSError: as `socket.create_connection`.
        """
        return connect_in(NETNS_DIR / self.network_namespace(network_id), address, timeout_seconds)

    def _remove_namespace(self, name: str) -> None:
        if (NETNS_DIR / name).exists():
            self._commands.run(['ip', 'netns', 'delete', name])
