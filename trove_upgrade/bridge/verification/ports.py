# SPDX-License-Identifier: Apache-2.0
"""Security groups and addresses of the server's ports.

The API of Trove shows no security groups, so Neutron is asked.
"""

from collections.abc import Iterable, Iterator, Sequence

from trove_upgrade.bridge.verification.expected import Expected, addresses_of, groups_of
from trove_upgrade.domain.database_service import DatabaseInstance
from trove_upgrade.domain.network import NetworkPort
from trove_upgrade.domain.verified import Verified

GROUPS, ADDRESSES = 'security groups', 'addresses'


def check_groups(ports: Sequence[NetworkPort], expected: Expected) -> Verified:
    """Compare the groups of each port with those of before."""
    changes = list(_changes(groups_of(ports), expected))
    if changes:
        return Verified.failed(GROUPS, f'{"; ".join(changes)}.')
    return Verified.ok(GROUPS, f'Those of {len(ports)} ports are those of before.')


def check_addresses(
    shown: DatabaseInstance, ports: Sequence[NetworkPort], expected: Expected
) -> Verified:
    """Compare all addresses with those of before.  One that the service shows more is no change: it
    shows fewer while Nova does not answer it.
    """
    found = addresses_of(shown, ports)
    certain = {address for port in ports for address in port.addresses}
    compared = certain.union(set(found).intersection(expected.addresses))
    changes = list(_differences(expected.addresses, compared))
    if changes:
        return Verified.failed(ADDRESSES, f'The addresses {" and ".join(changes)}.')
    return Verified.ok(ADDRESSES, f'{", ".join(found) or "none"}, as before.')


def _changes(found: dict[str, tuple[str, ...]], expected: Expected) -> Iterator[str]:
    for port_id in sorted(expected.groups.keys() - found.keys()):
        yield f'port {port_id} is not there any more'
    for port_id in sorted(found.keys() - expected.groups.keys()):
        yield f'port {port_id} was not there before'
    for port_id in sorted(found.keys() & expected.groups.keys()):
        differences = list(_differences(expected.groups[port_id], found[port_id]))
        if differences:
            yield f'the groups of port {port_id} {" and ".join(differences)}'


def _differences(before: Iterable[str], now: Iterable[str]) -> Iterator[str]:
    former, present = set(before), set(now)
    if former - present:
        yield f'lack {", ".join(sorted(former - present))}'
    if present - former:
        yield f'have {", ".join(sorted(present - former))} more'
