# SPDX-License-Identifier: Apache-2.0
"""Cables from a network's bridge to an interface in another namespace."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from lab.commands import Commands
from lab.hypervisor.daemons import BRIDGE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cable:
    """Both ends of a cable."""

    network: str  #: namespace of the network, which has the bridge
    host_side: str  #: interface at the bridge; at most 15 characters
    namespace: str  #: of the other end: a name, or a path
    device: str  #: interface in there
    mac: str  #: of `device`


def lay(commands: Commands, cable: Cable) -> None:
    """Make the cable, in place of one of before, with its end at the bridge up."""
    inside = ['ip', '-n', cable.network, 'link']
    commands.run([*inside, 'delete', cable.host_side], check=False)
    ours = ['add', cable.host_side, 'type', 'veth']
    theirs = ['peer', 'name', cable.device, 'address', cable.mac, 'netns', cable.namespace]
    commands.run([*inside, *ours, *theirs])
    commands.run([*inside, 'set', cable.host_side, 'master', BRIDGE, 'up'])


def take_up(
    run: Callable[[Sequence[str]], object],
    namespace: str,
    device: str,
    *,
    address: str,
    gateway: str | None,
) -> None:
    """Give the other end its address and, unless `gateway` is None or empty, the default route.

    :param run: runs a command where the namespace has this name.
    :param address: with the length of its prefix.
    """
    inside = ['ip', '-n', namespace]
    run([*inside, 'addr', 'add', address, 'dev', device])
    run([*inside, 'link', 'set', device, 'up'])
    if gateway:
        run([*inside, 'route', 'replace', 'default', 'via', gateway])
