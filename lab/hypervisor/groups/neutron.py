# SPDX-License-Identifier: Apache-2.0
"""Rules of all ports as Neutron's API has them now: two requests, whatever the number of ports.

Source: Neutron api-ref, "Ports", "Security group rules" (`remote_group_id` stands for the addresses
of the ports that have the group).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from lab.hypervisor.groups.rules import Direction, PortKey, PortRules, Rule

_PORT_FIELDS = (
    'network_id',
    'mac_address',
    'fixed_ips',
    'allowed_address_pairs',
    'security_groups',
    'port_security_enabled',
)


class Api(Protocol):
    """Session of a user who sees all projects."""

    def request(self, method: str, url: str) -> Any:
        """The parsed answer.

        :raises errors.CommandFailed: Neutron refused it, or cannot be reached.
        """


class NeutronRules:
    """`RuleSource` of a cloud."""

    def __init__(self, api: Api, url: str) -> None:
        self._api = api
        self._base = f'{url}/v2.0'

    def read(self) -> Mapping[PortKey, PortRules]:
        """Return the rules of every port."""
        fields = '&'.join(f'fields={name}' for name in _PORT_FIELDS)
        ports = self._api.request('GET', f'{self._base}/ports?{fields}')['ports']
        rules = self._api.request('GET', f'{self._base}/security-group-rules')
        return rules_of(ports, rules['security_group_rules'])


def rules_of(
    ports: Iterable[Mapping[str, Any]], rules: Iterable[Mapping[str, Any]]
) -> dict[PortKey, PortRules]:
    """Rules of each port, from Neutron's JSON of all ports and of all rules."""
    known = list(ports)
    members: dict[str, list[str]] = defaultdict(list)
    for port in known:
        for group in port.get('security_groups') or ():
            members[group] += _addresses(port)
    of_group: dict[str, list[Rule]] = defaultdict(list)
    for rule in rules:
        of_group[rule['security_group_id']].append(_rule(rule, members))
    return {
        (port['network_id'], port['mac_address']): _port_rules(port, of_group) for port in known
    }


def _port_rules(port: Mapping[str, Any], of_group: Mapping[str, list[Rule]]) -> PortRules:
    if not port.get('port_security_enabled', True):
        return PortRules(open=True)
    found = {
        rule for group in port.get('security_groups') or () for rule in of_group.get(group, ())
    }
    # Neutron promises no order, and a port's rules are compared with those of before.
    return PortRules(rules=tuple(sorted(found, key=repr)))


def _addresses(port: Mapping[str, Any]) -> list[str]:
    pairs = port.get('allowed_address_pairs') or ()
    return [
        *(str(fixed['ip_address']) for fixed in port.get('fixed_ips') or ()),
        *(str(pair['ip_address']) for pair in pairs),
    ]


def _rule(rule: Mapping[str, Any], members: Mapping[str, list[str]]) -> Rule:
    remotes: tuple[str, ...] | None = None
    if rule.get('remote_group_id'):
        version = '6' if rule['ethertype'] == 'IPv6' else '4'
        remotes = tuple(
            sorted(
                {
                    address
                    for address in members.get(rule['remote_group_id'], ())
                    if (':' in address) == (version == '6')
                }
            )
        )
    elif rule.get('remote_address_group_id'):
        remotes = ()  # the laboratory has no address groups: nothing is let through by mistake
    elif rule.get('remote_ip_prefix'):
        remotes = (str(rule['remote_ip_prefix']),)
    return Rule(
        direction=Direction(rule['direction']),
        ethertype=rule['ethertype'],
        protocol=rule.get('protocol'),
        port_min=rule.get('port_range_min'),
        port_max=rule.get('port_range_max'),
        remotes=remotes,
    )
