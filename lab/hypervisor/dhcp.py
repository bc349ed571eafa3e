# SPDX-License-Identifier: Apache-2.0
"""The namespace `qdhcp-<network id>` of a network, as Neutron's DHCP agent makes it: an interface
with the address of Neutron's own port, from which operators reach the guests.

No DHCP server runs in it: the lab's guests have their addresses from the host.  The namespace is on
this host, where `ip netns` shows it, or inside a network node (node.py), which shows its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from lab.commands import Commands
from lab.hypervisor import cable
from lab.hypervisor.errors import GuestNotRunning
from lab.hypervisor.netns import NETNS_DIR
from lab.servers import DhcpPort, Server

#: In a network's home while its namespace is on this host.
_RECORD = 'qdhcp'
_RUN_SECONDS = 60.0


def namespace_of(network_id: str) -> str:
    """Return the name that Neutron's agents give it."""
    return f'qdhcp-{network_id}'


def plug(port: DhcpPort, network: str, home: Path, commands: Commands, node: Server | None) -> str:
    """Make the namespace of a port, in place of one of before; its name.

    `network` is the namespace of the network itself, `home` its directory.
    """
    name = namespace_of(port.network_id)
    device = _device(port)
    if node is None:
        remove(port.network_id, home, commands)
        (home / _RECORD).touch()
        path = NETNS_DIR / name
    else:
        if node.pid is None:
            raise GuestNotRunning(node.id)
        node.exec(['ip', 'netns', 'delete', name], check=False)
        path = Path(f'/proc/{node.pid}/root/run/netns', name)

    def run(argv: Sequence[str]) -> None:
        if node is None:
            commands.run(argv, timeout_seconds=_RUN_SECONDS)
        else:
            node.exec(argv, timeout_seconds=_RUN_SECONDS)

    run(['ip', 'netns', 'add', name])
    cable.lay(
        commands,
        cable.Cable(
            network=network,
            host_side=_host_side(port.network_id),
            namespace=str(path),
            device=device,
            mac=port.mac,
        ),
    )
    run(['ip', '-n', name, 'link', 'set', 'lo', 'up'])
    cable.take_up(
        run, name, device, address=f'{port.address}/{port.prefix_length}', gateway=port.gateway
    )
    return name


def remove(network_id: str, home: Path, commands: Commands) -> None:
    """Take the namespace on this host away, if this lab has made it."""
    record = home / _RECORD
    if not record.exists():
        return
    if (NETNS_DIR / namespace_of(network_id)).exists():
        commands.run(['ip', 'netns', 'delete', namespace_of(network_id)])
    record.unlink()


def _device(port: DhcpPort) -> str:
    return f'tap{port.port_id[:11]}'


def _host_side(network_id: str) -> str:
    # No name of a guest's port: Neutron filters none of its own.
    return 'dhcp-' + hashlib.sha256(network_id.encode()).hexdigest()[:10]
