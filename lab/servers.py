# SPDX-License-Identifier: Apache-2.0
"""The port to what carries the lab's servers: all that its other parts may ask of a hypervisor.

`lab/hypervisor` implements it, with guests that are namespaces; `lab/composition.py` alone knows
that.  For callers::

    host = composition.of_cloud(handle)
    host.guests.get(server_id).exec(['uname', '-a'])
    with host.fabric.connect(network_id, (address, 3306)) as connection: ...
"""

from __future__ import annotations

import dataclasses
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from lab.commands import Outcome

BROKER_PORT = 5672  #: where guests find the broker, on their gateway's address
REGISTRY_PORT = 5000  #: where they find the registry of container images
DATABASE_MOUNT = '/var/lib/mysql'  #: where a guest has its volume
STATE = Path('/var/lib')
#: Below it what a guest's container engine writes to.
ENGINE_DIRECTORIES = ('docker', 'containerd')


@dataclasses.dataclass(frozen=True)
class Network:
    """A network of guests.  `gateway` is the address of the lab's own end, and the one the broker
    answers on.
    """

    network_id: str
    gateway: str
    prefix_length: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Port:
    """A guest's port, as Neutron describes it."""

    network_id: str
    mac: str
    address: str
    prefix_length: int
    gateway: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DhcpPort:
    """The port of Neutron's DHCP agent in a network, as Neutron describes it."""

    network_id: str
    port_id: str
    mac: str
    address: str
    prefix_length: int
    gateway: str | None = None


class Server(Protocol):
    """A guest as its host sees it."""

    @property
    def id(self) -> str:
        """Nova's id of the server."""

    @property
    def name(self) -> str:
        """Its host name."""

    @property
    def init(self) -> str:
        """Process 1 of its image: `tini` (sysv-style services) or `systemd`."""

    @property
    def ports(self) -> tuple[Port, ...]:
        """Its ports, the first one first."""

    @property
    def volume_uuid(self) -> str | None:
        """UUID of the file system that its volume was made with, empty for a raw one; None where it
        has no volume.
        """

    @property
    def pid(self) -> int | None:
        """The process of this machine that it is, None while it does not run."""

    @property
    def running(self) -> bool:
        """Return whether it is switched on."""

    @property
    def reachable(self) -> bool:
        """Return whether programs can be run in it."""

    @property
    def boot_id(self) -> str:
        """The boot id of the present or last boot, as the guest reads it in /proc."""

    @property
    def console(self) -> str:
        """Return what it has printed since it was created or rebuilt."""

    def entry(self) -> tuple[str, ...]:
        """The beginning of a command that runs the rest of it inside, as its root.

        :raises errors.LabError: it does not run.
        """

    def exec(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        input_text: str | None = None,
        timeout_seconds: float = 120,
        env: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Run a program in it as its root, as `ssh root@guest` would.

        :raises errors.LabError: it does not run.
        :raises errors.CommandFailed: with `check`, the exit code was not 0; always where the
            program did not end in time.
        """

    def write_file(self, path: str, content: str, *, mode: str = '0644') -> None:
        """Write a small file of root's in it, with its final mode before it gets its name."""

    def copy_in(self, source: Path, target: Path) -> None:
        """Copy a file of this machine to a place in the guest, which must run."""

    def copy_out(self, source: Path, target: Path) -> None:
        """Copy what is at a place below one of `ENGINE_DIRECTORIES` into a directory of this
        machine; the guest must not run.
        """

    def kill(self) -> None:
        """Switch it off at once."""

    def reboot(self, *, hard: bool = False) -> None:
        """Stop it, or switch it off, and boot it again with the same root disk."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkNode:
    """A machine that has namespaces of networks; its sshd listens on `address`."""

    server: Server
    address: str


class Servers(Protocol):
    """All guests of one lab."""

    def get(self, guest_id: str, /) -> Server:
        """The guest of this server id.

        :raises errors.LabError: there is none.
        """

    def all(self) -> Sequence[Server]:
        """Every guest, running or not."""

    def boot_image(self, guest_id: str, image: Path) -> Server:
        """Boot a guest of an image that has a container engine, without Nova: it has neither
        network nor volume.
        """

    def clean_all(self) -> None:
        """End and remove everything: guests, their ports, volumes, networks.

        :raises errors.LabError: something resisted; everything else is gone.
        """


class Networks(Protocol):
    """All networks of one lab."""

    @property
    def device(self) -> str:
        """Return the interface that leads to the guests, for programs inside of a network."""

    def ensure(self, network: Network) -> None:
        """Make the network, or what of it is missing.  Safe to repeat."""

    def plug_dhcp(self, port: DhcpPort, node: Server | None = None) -> str:
        """Make the namespace `qdhcp-<network id>` with this port, on this machine or on a node; its
        name.  The network is there already.
        """

    def attach(self, guest_id: str, ports: Sequence[Port]) -> str:
        """Give a guest a network namespace with these ports, and return the namespace's name.  Safe
        to repeat; for a guest that no hypervisor has booted, too.
        """

    def detach(self, guest_id: str) -> None:
        """Take that away again.  An unknown guest is no error."""

    def entry(self, network_id: str) -> tuple[str, ...]:
        """The beginning of a command that runs a program of this machine inside the network."""

    def run_in(
        self,
        network_id: str,
        argv: Sequence[str],
        *,
        check: bool = True,
    ) -> Outcome:
        """Run a program of this machine inside the network, where it reaches the guests."""

    def connect(
        self, network_id: str, address: tuple[str, int], timeout_seconds: float = 10
    ) -> socket.socket:
        """A connected TCP socket from inside the network.

        :raises OSError: as `socket.create_connection`.
        """

    def loopback_leads_here(
        self, network_id: str, ports: Sequence[tuple[int, int]], directory: Path
    ) -> AbstractContextManager[None]:
        """Loopback inside the network leads to loopback here, for as long as the context lasts:
        (port there, port here).  `directory` gets files of what does it.
        """


class Hypervisor(Protocol):
    """Machine, or program, that carries the guests."""

    @property
    def guests(self) -> Servers:
        """All its guests."""

    @property
    def fabric(self) -> Networks:
        """All their networks."""

    def boot_node(self, name: str, image: Path, *, init: str, authorized_key: str) -> NetworkNode:
        """Boot a network node from an image with an sshd, which lets root in with this key."""


def gateway_of(cidr: str, gateway: str | None) -> str:
    """The lab's own address in a subnet: its gateway, or the first address where Neutron gave it
    none.
    """
    return gateway or str(next(ipaddress.ip_network(cidr).hosts()))
