# SPDX-License-Identifier: Apache-2.0
"""A network node: a machine of its own beside this one, with its own namespaces and its own sshd.

It is a guest of the lab without a network of guests: one cable leads to this host, and `ip netns`
shows what was made in it (dhcp.py).
"""

from __future__ import annotations

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
    _connect(fabric.attach(name, ()), _cable(directory, name), here, there, commands)
    guest.boot()
    return NetworkNode(server=guest, address=str(there))


def _connect(
    namespace: str,
    cable: str,
    here: ipaddress.IPv4Address,
    there: ipaddress.IPv4Address,
    commands: Commands,
) -> None:
    commands.run(['ip', 'link', 'delete', cable], check=False)
    commands.run(
        ['ip', 'link', 'add', cable, 'type', 'veth', 'peer', 'name', _DEVICE, 'netns', namespace]
    )
    for end, address, prefix in (
        (cable, here, ['ip']),
        (_DEVICE, there, ['ip', '-n', namespace]),
    ):
        commands.run([*prefix, 'addr', 'add', f'{address}/30', 'dev', end])
        commands.run([*prefix, 'link', 'set', end, 'up'])


def ends(of: str) -> tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]:
    """Addresses of a cable, this host's first: two labs on a machine have different ones."""
    number = int(hashlib.sha256(of.encode()).hexdigest()[:8], 16)
    first = _CABLES[(number * _CABLE_SIZE) % _CABLES.num_addresses]
    return first + 1, first + 2


def _cable(directory: Path, name: str) -> str:
    # Interface names have at most 15 characters.
    return 'node-' + hashlib.sha256(f'{directory}/{name}'.encode()).hexdigest()[:10]
