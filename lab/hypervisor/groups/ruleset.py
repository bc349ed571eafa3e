# SPDX-License-Identifier: Apache-2.0
"""Rules of ports as nftables of the bridge family, in the namespace of a network.

A table per network, chains per port.  Not every kernel has connection tracking for bridges, so the
table remembers flows itself, in sets that the first packet of each fills: `from_guests` are those
that a guest began, `to_guests` those that were let in to one.  Packets of a flow that a guest began
come back to it; every other packet to it has to match a rule, so closing a port ends what came
through it, as Neutron's agents do by forgetting the connection.

A port that the table does not know gets nothing, until it does.
"""

from __future__ import annotations

from collections.abc import Iterable

from lab.hypervisor.groups.rules import Direction, PortRules, Rule

TABLE = 'bridge security_groups'
#: Host's end of a guest's interface; the other interfaces of a network are the lab's own.
GUESTS = '"v*"'
_FAMILIES = {'IPv4': ('ip', 'ipv4_addr', 'icmp'), 'IPv6': ('ip6', 'ipv6_addr', 'icmpv6')}
_HOOKS = f"""    chain from_guest {{
        ether type arp return
        icmpv6 type {{ nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert }} return
        iifname vmap @from_port
    }}
    chain to_guest {{
        ether type arp return
        icmpv6 type {{ nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert }} return
        oifname {GUESTS} oifname != @known drop
        oifname vmap @to_port
    }}
    chain forward {{
        type filter hook forward priority 0
        jump from_guest
        jump to_guest
    }}
    chain input {{
        type filter hook input priority 0
        jump from_guest
    }}
    chain output {{
        type filter hook output priority 0
        jump to_guest
    }}
"""
_SHORT, _LONG = '3m', '1d'
_ICMP = {'icmp', '1', 'icmpv6', 'ipv6-icmp', '58'}
#: Neutron's names of protocols that nftables calls otherwise.
_PROTOCOLS = {'ipv6-icmp': 'icmpv6'}


def table() -> str:
    """The table of a network that has no port yet.  Once, when the network is made."""
    sets = ''.join(
        f'    set {name}_{family} {{\n'
        f'        type {kind} . {kind} . inet_proto . inet_service . inet_service\n'
        f'        flags dynamic,timeout\n        size 65535\n    }}\n'
        f'    set {name}_pings_{family} {{\n'
        f'        type {kind} . {kind}\n'
        f'        flags dynamic,timeout\n        size 65535\n    }}\n'
        for name in ('from_guests', 'to_guests')
        for family, kind, _icmp in _FAMILIES.values()
    )
    return f"""table {TABLE} {{
{sets}    set known {{
        type ifname
    }}
    map to_port {{
        type ifname : verdict
    }}
    map from_port {{
        type ifname : verdict
    }}
{_allowed('allow_out', 'from_guests')}{_allowed('allow_in', 'to_guests')}{_HOOKS}}}
"""


def _allowed(chain: str, flows: str) -> str:
    """The chain that remembers the flow of a packet and lets it through."""
    lines = []
    for family, _kind, icmp in _FAMILIES.values():
        ends = f'{family} saddr . {family} daddr'
        echo = f'{icmp} type echo-request'
        key = f'{ends} . meta l4proto . th sport . th dport'
        lines += [
            f'tcp flags & (syn | ack) == syn update @{flows}_{family} {{ {key} timeout {_LONG} }}',
            f'meta l4proto udp update @{flows}_{family} {{ {key} timeout {_SHORT} }}',
            f'{echo} update @{flows}_pings_{family} {{ {ends} timeout {_SHORT} }}',
        ]
    body = ''.join(f'        {line}\n' for line in lines)
    return f'    chain {chain} {{\n{body}    }}\n'


def script(device: str, port: PortRules) -> str:
    """Commands that replace the rules of the port on this interface; nft does all or nothing."""
    return ''.join(f'{line}\n' for line in _port(device, port))


def _port(device: str, port: PortRules) -> Iterable[str]:
    chains = {Direction.INGRESS: f'to_{device}', Direction.EGRESS: f'from_{device}'}
    for direction, chain in chains.items():
        yield f'add chain {TABLE} {chain}'
        yield f'flush chain {TABLE} {chain}'
        for line in _chain(direction, port):
            yield f'add rule {TABLE} {chain} {line}'
    yield f'add element {TABLE} to_port {{ "{device}" : jump {chains[Direction.INGRESS]} }}'
    yield f'add element {TABLE} from_port {{ "{device}" : jump {chains[Direction.EGRESS]} }}'
    yield f'add element {TABLE} known {{ "{device}" }}'


def _chain(direction: Direction, port: PortRules) -> Iterable[str]:
    inward = direction is Direction.INGRESS
    allow = 'goto allow_in' if inward else 'goto allow_out'
    if port.open:
        yield allow
        return
    # The flow's own key: this packet goes the other way.
    flows = 'from_guests' if inward else 'to_guests'
    for family, _kind, icmp in _FAMILIES.values():
        back = f'{family} daddr . {family} saddr'
        yield f'{back} . meta l4proto . th dport . th sport @{flows}_{family} return'
        yield f'{icmp} type echo-reply {back} @{flows}_pings_{family} return'
    for rule in port.rules:
        if rule.direction is direction:
            # One line for each: prefixes in one set must not overlap.
            for remote in (None,) if rule.remotes is None else rule.remotes:
                yield f'{_match(rule, remote)} {allow}'
    yield 'drop'


def _match(rule: Rule, remote: str | None) -> str:
    family, _kind, icmp = _FAMILIES[rule.ethertype]
    words = [f'ether type {family}']
    if remote is not None:
        side = 'saddr' if rule.direction is Direction.INGRESS else 'daddr'
        words.append(f'{family} {side} {remote}')
    protocol = str(rule.protocol) if rule.protocol not in {None, 'any', '0'} else None
    if protocol in _ICMP:
        words.append(f'meta l4proto {icmp}')
        words += [
            f'{icmp} {name} {number}'
            for name, number in (('type', rule.port_min), ('code', rule.port_max))
            if number is not None
        ]
    elif protocol is not None:
        words.append(f'meta l4proto {_PROTOCOLS.get(protocol, protocol)}')
        if rule.port_min is not None:
            words.append(f'th dport {rule.port_min}-{rule.port_max or rule.port_min}')
    return ' '.join(words)
