# SPDX-License-Identifier: Apache-2.0
"""Neutron through openstacksdk, which has paging, revisions and the operator's clouds.yaml."""

import datetime
import functools
import json
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

from keystoneauth1 import exceptions as keystone_exceptions
from openstack import exceptions as sdk_exceptions
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.clients import session
from trove_upgrade.conf import compute as compute_conf
from trove_upgrade.domain import network, own_ports, user_nics

R = TypeVar('R')

#: Answers below 500 that tell nothing definite about what was asked, or that this login may not.
_NOT_NOW = frozenset({401, 403, 408, 425, 429})
_CONFLICT = 409
#: Addresses of requests stay below what web servers take.
_IDS_IN_A_REQUEST = 50
_OVER_QUOTA = 'OverQuota'


class Neutron:
    """Implements `domain.network.Network` and `domain.user_nics.UserNics`."""

    def __init__(self, make_proxy: Callable[[], Any]) -> None:
        """`make_proxy` makes the network proxy of an openstacksdk connection, at the first request:
        a service that never has one does not load the library.
        """
        self._make_proxy = make_proxy

    @functools.cached_property
    def _proxy(self) -> Any:
        return self._make_proxy()

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Self:
        """Make a client with `[service_credentials]`; no request is sent yet."""
        return cls(lambda: _proxy_from(conf))

    @classmethod
    def of_cloud(cls, region: Any) -> Self:
        """Make a client with a cloud of `clouds.region`; no request is sent yet."""
        from openstack import connection

        return cls(lambda: connection.Connection(config=region).network)

    def port(self, port_id: str) -> network.NetworkPort:
        """Return a port now.

        :raises PortNotFound: there is none.
        :raises NetworkUnavailable: no answer.
        """
        return self._ask(
            f'port {port_id}',
            lambda: _as_port(self._proxy.get_port(port_id)),
            missing=lambda: network.PortNotFound(port_id=port_id),
        )

    def ports_that_name(self, server_ids: Sequence[str]) -> list[network.NetworkPort]:
        """Return all ports with the id of one of these servers, in a few requests."""
        found: list[network.NetworkPort] = []
        for first in range(0, len(server_ids), _IDS_IN_A_REQUEST):
            some = list(server_ids[first : first + _IDS_IN_A_REQUEST])
            found += self._ask('the ports of servers', functools.partial(self._that_name, some))
        return found

    def _that_name(self, server_ids: list[str]) -> list[network.NetworkPort]:
        return [_as_port(raw) for raw in self._proxy.ports(device_id=server_ids)]

    def user_nic(self, server: own_ports.ShownServer, name: str) -> user_nics.UserNic | None:
        """Return the NIC of the server's port with this name, in three requests or a few more; None
        where that is its only one.

        :raises PortsNotShown: Nova shows none of the ports with its id.
        """
        return self._ask(f'the NICs of server {server.id}', lambda: self._user_nic_of(server, name))

    def _user_nic_of(self, server: own_ports.ShownServer, name: str) -> user_nics.UserNic | None:
        naming = list(self._proxy.ports(device_id=server.id))
        ports = [raw for raw in naming if own_ports.is_own(server, _as_port(raw))]
        if naming and not ports:
            found = ', '.join(raw.id for raw in naming)
            raise network.PortsNotShown(server_id=server.id, found=found)
        named = next((port for port in ports if port.name == name), None)
        if named is None or len(ports) == 1:
            return None
        return user_nics.UserNic(
            named.mac_address,
            tuple(
                _as_nic_address(entry['ip_address'], self._proxy.get_subnet(entry['subnet_id']))
                for entry in named.fixed_ips or ()
            ),
        )

    def ports_with_group(self, group_id: str) -> list[network.NetworkPort]:
        """Return all ports that have the group.  A Neutron that does not know the filter
        (extension port-security-groups-filtering) lists every port, so each is looked at.
        """
        found = self._ask(
            f'the ports of security group {group_id}',
            lambda: [_as_port(raw) for raw in self._proxy.ports(security_groups=group_id)],
        )
        return [port for port in found if group_id in port.groups]

    def groups_named(self, name: str) -> list[network.SecurityGroup]:
        """Return all groups of that name."""
        return self._ask(
            f'the security groups called {name}',
            lambda: [_as_group(raw) for raw in self._proxy.security_groups(name=name)],
        )

    def group(self, group_id: str) -> network.SecurityGroup | None:
        """Return a group now; None: this login sees none of that id."""
        return self._ask(
            f'security group {group_id}',
            lambda: _found(self._proxy.find_security_group(group_id, ignore_missing=True)),
        )

    def sees_project(self, project_id: str) -> bool:
        """Return whether this login sees what a project has: each has a security group."""
        found = self._ask(
            f'the security groups of project {project_id}',
            lambda: list(self._proxy.security_groups(project_id=project_id, limit=1)),
        )
        return any(raw.project_id == project_id for raw in found)

    def create_group(self, name: str, description: str, project_id: str) -> network.SecurityGroup:
        """Make a group.

        :raises GroupQuotaExhausted, NetworkRefused: Neutron does not.
        """
        return self._ask(
            f'a security group in project {project_id}',
            lambda: _as_group(
                self._proxy.create_security_group(
                    name=name, description=description, project_id=project_id
                )
            ),
            project_id=project_id,
        )

    def delete_group(self, group_id: str) -> None:
        """Delete a group; one that is gone is no error.

        :raises GroupInUse: a port has it.
        """
        self._ask(
            f'the deletion of security group {group_id}',
            lambda: self._proxy.delete_security_group(group_id, ignore_missing=True),
            conflict=lambda: network.GroupInUse(group_id=group_id),
        )

    def delete_rule(self, rule_id: str) -> None:
        """Delete a rule; one that is gone is no error."""
        self._ask(
            f'the deletion of rule {rule_id}',
            lambda: self._proxy.delete_security_group_rule(rule_id, ignore_missing=True),
        )

    def allow_tcp_from(
        self, group: network.SecurityGroup, source: str, port: int, text: str
    ) -> None:
        """Add a rule.  Raises as `create_group`."""
        self._ask(
            f'a rule in security group {group.id}',
            lambda: self._proxy.create_security_group_rule(
                security_group_id=group.id,
                project_id=group.project_id,
                direction='ingress',
                ethertype='IPv6' if ':' in source else 'IPv4',
                protocol='tcp',
                port_range_min=port,
                port_range_max=port,
                remote_ip_prefix=source,
                description=text,
            ),
            project_id=group.project_id,
        )

    def set_groups(self, port: network.NetworkPort, groups: tuple[str, ...]) -> network.NetworkPort:
        """Give a port these groups, if it is still as in `port`.

        :raises PortChanged, PortNotFound, NetworkRefused: it is not done.
        """
        return self._ask(
            f'the security groups of port {port.id}',
            lambda: _as_port(
                self._proxy.update_port(
                    port.id, if_revision=port.revision, security_groups=list(groups)
                )
            ),
            missing=lambda: self._why_missing(port.id),
            changed=lambda: network.PortChanged(port_id=port.id),
        )

    def _why_missing(self, port_id: str) -> Exception:
        """Tell a port that is gone from a group that is: Neutron answers 404 to both."""
        try:
            self.port(port_id)
        except network.PortNotFound as error:
            return error
        return network.PortChanged(port_id=port_id)

    @staticmethod
    def _ask(
        what: str,
        ask: Callable[[], R],
        *,
        missing: Callable[[], Exception] | None = None,
        changed: Callable[[], Exception] | None = None,
        conflict: Callable[[], Exception] | None = None,
        project_id: str = '',
    ) -> R:
        """Return the answer, or raise what an answer of that kind means for this request."""
        try:
            return session.asked(ask, documented=(sdk_exceptions.SDKException,))
        except sdk_exceptions.NotFoundException as error:
            raise (missing() if missing else _refused(what, error)) from error
        except sdk_exceptions.PreconditionFailedException as error:
            raise (changed() if changed else _refused(what, error)) from error
        except sdk_exceptions.HttpException as error:
            status = error.status_code or 0
            if status >= 500 or status in _NOT_NOW or not status:
                raise network.NetworkUnavailable(what=what, found=_words(error)) from error
            if status == _CONFLICT and _kind(error) == _OVER_QUOTA:
                raise network.GroupQuotaExhausted(
                    project_id=project_id, found=_words(error)
                ) from error
            raise (
                conflict() if conflict and status == _CONFLICT else _refused(what, error)
            ) from error
        except (sdk_exceptions.SDKException, keystone_exceptions.ClientException) as error:
            raise network.NetworkUnavailable(what=what, found=_words(error)) from error


def _proxy_from(conf: cfg.ConfigOpts) -> Any:
    from openstack import connection

    options = conf[our_conf.GROUP]
    shared = session.from_conf(conf, timeout_seconds=options.compute_timeout)
    given = conf[compute_conf.CREDENTIALS_GROUP]
    return connection.Connection(
        session=shared, interface=given.interface, region_name=given.region_name
    ).network


def _refused(what: str, error: Exception) -> network.NetworkRefused:
    return network.NetworkRefused(what=what, found=_words(error))


def _words(error: Exception) -> str:
    return ' '.join(str(error).split()).rstrip('.') or type(error).__name__


def _kind(error: Any) -> str:
    """Return Neutron's name of an error.  Source: neutron/api/v2/resource.py, NeutronError."""
    try:
        return str(json.loads(error.response.text)['NeutronError']['type'])
    except (AttributeError, ValueError, KeyError, TypeError):
        return ''


def _as_port(raw: Any) -> network.NetworkPort:
    return network.NetworkPort(
        id=raw.id,
        network_id=raw.network_id,
        project_id=raw.project_id or '',
        server_id=raw.device_id or '',
        mac_address=raw.mac_address or '',
        addresses=tuple(entry['ip_address'] for entry in raw.fixed_ips or ()),
        groups=tuple(raw.security_group_ids or ()),
        is_filtered=raw.is_port_security_enabled is not False,
        revision=raw.revision_number,
        host=raw.binding_host_id or None,
    )


def _as_nic_address(address: str, subnet: Any) -> user_nics.NicAddress:
    """With advertisements the NIC of IPv6 learns its gateway, unless DHCP alone gives addresses."""
    is_told = subnet.ip_version == 4 or subnet.ipv6_ra_mode == 'dhcpv6-stateful'
    return user_nics.NicAddress(
        address=address,
        version=subnet.ip_version,
        cidr=subnet.cidr,
        gateway=subnet.gateway_ip if is_told else None,
        host_routes=tuple(subnet.host_routes or ()),
    )


def _found(raw: Any) -> network.SecurityGroup | None:
    return None if raw is None else _as_group(raw)


def _as_group(raw: Any) -> network.SecurityGroup:
    return network.SecurityGroup(
        id=raw.id,
        name=raw.name or '',
        description=raw.description or '',
        project_id=raw.project_id or '',
        rules=tuple(_as_rule(rule) for rule in raw.security_group_rules or ()),
        created_at=_as_moment(raw.created_at),
    )


def _as_moment(text: str | None) -> datetime.datetime | None:
    """Return a time of Neutron's, which is UTC and in some releases has no zone."""
    if not text:
        return None
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=datetime.UTC)


def _as_rule(raw: dict[str, Any]) -> network.GroupRule:
    return network.GroupRule(
        id=raw['id'],
        direction=raw['direction'],
        protocol=raw.get('protocol'),
        port_range=(raw.get('port_range_min'), raw.get('port_range_max')),
        source=raw.get('remote_ip_prefix'),
        description=raw.get('description') or '',
    )
