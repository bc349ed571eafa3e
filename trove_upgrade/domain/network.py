# SPDX-License-Identifier: Apache-2.0
"""Ports and security groups as Neutron has them, and what is asked of it."""

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Protocol

from trove_upgrade.domain import exceptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkPort:
    """A port."""

    id: str
    network_id: str
    project_id: str
    #: empty: no device has it; its owner writes it: `domain.own_ports` tells whether it is true
    server_id: str
    mac_address: str
    addresses: tuple[str, ...]
    groups: tuple[str, ...]  #: ids of its security groups, in no order
    is_filtered: bool  #: False: port security is off, and no group counts
    revision: int | None = None  #: None: this Neutron counts none
    host: str | None = None  #: the hypervisor that it is bound to; None: not shown, or not bound


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupRule:
    """A rule of a security group; None where the rule does not restrict it."""

    id: str
    direction: str
    protocol: str | None
    port_range: tuple[int | None, int | None]
    source: str | None  #: remote_ip_prefix
    description: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class SecurityGroup:
    """A security group with its rules."""

    id: str
    name: str
    description: str
    project_id: str
    rules: tuple[GroupRule, ...]
    created_at: datetime.datetime | None = None  #: None: it is not told


class CloudUnknown(exceptions.TroveUpgradeError):
    """No login to Neutron can be made of what the operator has named."""

    code = 'CLOUD_UNKNOWN'
    template = (
        'No login can be made of cloud {cloud}: {found}. Name a cloud of clouds.yaml, or '
        '"envvars" after reading an openrc file.'
    )


class NetworkUnavailable(exceptions.TroveUpgradeError):
    """Neutron gave no answer, or one about nothing definite."""

    code = 'NETWORK_UNAVAILABLE'
    template = (
        'Neutron cannot be asked about {what}: {found}. Look whether it answers, and whether the '
        'service user may ask; then try again.'
    )


class NetworkRefused(exceptions.TroveUpgradeError):
    """Neutron refused a change for a reason that does not pass by itself."""

    code = 'NETWORK_REFUSED'
    template = 'Neutron refused {what}: {found}. Mend the cause, then run the same command again.'


class GroupQuotaExhausted(exceptions.TroveUpgradeError):
    """The port's project may have no more security groups, or rules."""

    code = 'GROUP_QUOTA_EXHAUSTED'
    template = (
        'No security group can be made in project {project_id}: {found}. Raise its quota of '
        'security groups by one and of rules by three, then run the same command again.'
    )


class PortNotFound(exceptions.TroveUpgradeError):
    """Neutron has no such port."""

    code = 'PORT_NOT_FOUND'
    template = 'Neutron has no port {port_id}: its server was deleted, or its NIC was taken away.'


class PortsNotShown(exceptions.TroveUpgradeError):
    """No port with a server's id is one that Nova shows at it."""

    code = 'SERVER_PORTS_NOT_SHOWN'
    template = (
        'The NICs of server {server_id} cannot be told: Neutron has ports with its id ({found}), '
        'and Nova shows none of them there by project, hardware address and address. A tenant can '
        'give a port of its own the id of any server. Compare both, and let the login see hardware '
        'addresses in Nova; then run the same command again.'
    )


class PortChanged(exceptions.TroveUpgradeError):
    """A port is not as it was when read: another client of Neutron has changed it."""

    code = 'PORT_CHANGED'
    template = (
        'Port {port_id} was changed by another client again and again while its security groups '
        'were to be written. Find out what changes it, then run the same command again.'
    )


class GroupGone(exceptions.TroveUpgradeError):
    """The bridge's own group was deleted by another client before a port had it."""

    code = 'GROUP_GONE'
    template = (
        'Port {port_id} was not opened: security group {group_id}, which was made for it, is gone: '
        'another client of the project has deleted it. Ask its owner, then run the same command '
        'again.'
    )


class GroupInUse(exceptions.TroveUpgradeError):
    """A group cannot be deleted: ports have it."""

    code = 'GROUP_IN_USE'
    template = (
        'Security group {group_id} cannot be deleted: ports have it again each time that it is '
        'taken from them. Find out what adds it, then run "trove-upgrade-bridge reap".'
    )


class Network(Protocol):
    """Neutron.  All methods raise NetworkUnavailable where it gives no answer."""

    def port(self, port_id: str) -> NetworkPort:
        """Return a port now.

        :raises PortNotFound: there is none.
        """

    def ports_that_name(self, server_ids: Sequence[str]) -> list[NetworkPort]:
        """Return all ports with the id of one of these servers; those of one in Neutron's order.

        Each tenant can write any id: `domain.own_ports` has the rule which are the server's.
        """

    def ports_with_group(self, group_id: str) -> list[NetworkPort]:
        """Return all ports, of any project, that have the group."""

    def groups_named(self, name: str) -> list[SecurityGroup]:
        """Return all groups of that name, of any project."""

    def group(self, group_id: str) -> SecurityGroup | None:
        """Return a group now; None: this login sees none of that id."""

    def sees_project(self, project_id: str) -> bool:
        """Return whether this login sees what a project has: each has a security group."""

    def create_group(self, name: str, description: str, project_id: str) -> SecurityGroup:
        """Make a group; the answer has the rules that Neutron gives each new group.

        :raises GroupQuotaExhausted: the project may have no more.
        :raises NetworkRefused: for another reason.
        """

    def delete_group(self, group_id: str) -> None:
        """Delete a group with its rules; one that is gone is no error.

        :raises GroupInUse: a port has it.
        """

    def delete_rule(self, rule_id: str) -> None:
        """Delete a rule; one that is gone is no error."""

    def allow_tcp_from(self, group: SecurityGroup, source: str, port: int, text: str) -> None:
        """Add a rule that lets `source` (a /32 or /128) in to one TCP port; `text` describes it.

        :raises GroupQuotaExhausted, NetworkRefused: as `create_group`.
        """

    def set_groups(self, port: NetworkPort, groups: tuple[str, ...]) -> NetworkPort:
        """Give a port these groups, if it is still as in `port`, and return it.

        :raises PortChanged: it is not.
        :raises PortNotFound: it is gone.
        :raises NetworkRefused: Neutron does not take these groups.
        """
