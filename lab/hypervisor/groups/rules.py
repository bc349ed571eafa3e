# SPDX-License-Identifier: Apache-2.0
"""Rules of ports, as data: what Neutron's security groups let through."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Protocol


class Direction(enum.StrEnum):
    """Direction of a rule, as a guest sees it."""

    INGRESS = 'ingress'
    EGRESS = 'egress'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of a group: it lets through, and what no rule lets through is dropped.

    `remotes` are prefixes of the other end, None for every address; an empty tuple lets nothing
    through, as a remote group without members does.  Of ICMP, `port_min` is the type and `port_max`
    the code.
    """

    direction: Direction
    ethertype: str = 'IPv4'
    protocol: str | None = None
    port_min: int | None = None
    port_max: int | None = None
    remotes: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class PortRules:
    """Rules of one port; `open` is a port without port security, which drops nothing."""

    rules: tuple[Rule, ...] = ()
    open: bool = False


#: Network id and MAC address of a port: what the hypervisor knows it by.
PortKey = tuple[str, str]


class RuleSource(Protocol):
    """Source of the rules of all ports."""

    def read(self) -> Mapping[PortKey, PortRules]:
        """Return the rules of every port as they are now.

        :raises errors.LabError: they cannot be read; those of before stay in force.
        """
