# SPDX-License-Identifier: Apache-2.0
"""A network node: a machine of its own beside this one, with its own namespaces and its own sshd.

It is a guest of the lab without a network of guests: one cable leads to this host, and `ip netns`
shows what was made in it (dhcp.py).
"""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
from pathlib import Path

from lab.commands import Commands
from lab.hypervisor.guest_store import GuestStore
from lab.hypervisor.network import NetworkFabric
from lab.hypervisor.spec import GuestSpec
from lab.servers import NetworkNode

#: For benchmarks between networks; no machine has it as a network of its own.
_CABLES = ipaddress.IPv4Network('198.18.0.0/15')
_CABLE_SIZE = 4
_DEVICE = 'eth0'


def boot(
    name: str,
    image: Path,
    init: str,
    authorized_key: str,
    *,
    directory: Path,
    guests: GuestStore,
    fabric: NetworkFabric,
    commands: Commands,
) -> NetworkNode:
    """Boot the node `name` from an image with an sshd, and connect it with this host.

    :raises GuestBootFailed: it does not come up.
    """
    guest = guests.create(
        GuestSpec(
            guest_id=name,
            hostname=name,
            image_path=image,
            init=init,
            injected_files={'/root/.ssh/authorized_keys': f'{authorized_key}\n'.encode()},
        )
    )
    here, there = ends(f'{directory}/{name}')
    cable = _Cable(device=_device(directory, name), here=here, there=there)
    _connect(fabric.attach(name, ()), cable, commands)
    guest.boot()
    return NetworkNode(server=guest, address=str(there))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Cable:
    """The end on this host, and the addresses of both."""

    device: str
    here: ipaddress.IPv4Address
    there: ipaddress.IPv4Address


def _connect(namespace: str, cable: _Cable, commands: Commands) -> None:
    near, inside = cable.device, ['ip', '-n', namespace]
    commands.run(['ip', 'link', 'delete', near], check=False)
    commands.run(
        ['ip', 'link', 'add', near, 'type', 'veth', 'peer', 'name', _DEVICE, 'netns', namespace]
    )
    commands.run(['ip', 'addr', 'add', f'{cable.here}/30', 'dev', near])
    commands.run(['ip', 'link', 'set', near, 'up'])
    commands.run([*inside, 'addr', 'add', f'{cable.there}/30', 'dev', _DEVICE])
    commands.run([*inside, 'link', 'set', _DEVICE, 'up'])


def ends(of: str) -> tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]:
    """Addresses of a cable, this host's first: two labs on a machine have different ones."""
    number = int(hashlib.sha256(of.encode()).hexdigest()[:8], 16)
    first = _CABLES[(number * _CABLE_SIZE) % _CABLES.num_addresses]
    return first + 1, first + 2


def _device(directory: Path, name: str) -> str:
    # Interface names have at most 15 characters.
    return 'node-' + hashlib.sha256(f'{directory}/{name}'.encode()).hexdigest()[:10]
