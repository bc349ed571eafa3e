# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge inventory`: every instance of every project, with all its NICs."""

import argparse
import json
import pathlib
from collections import Counter
from typing import Any

from trove_upgrade.bridge.inventory import ListUnreadable, Taken, read_list
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import print_line, print_table
from trove_upgrade.domain.inventory import Difference, Listed, difference
from trove_upgrade.domain.network import NetworkPort
from trove_upgrade.domain.own_ports import left_out

#: Exit code: the lists differ.
DIFFERENT = 3


def add_commands(commands: Commands) -> None:
    """Add `inventory`."""
    inventory = commands.add(
        'inventory',
        'list every instance of every project, with its server and all its NICs',
        description="Joins Trove's instances with Nova's servers and Neutron's ports. Changes "
        'nothing. Instances that have appeared or vanished meanwhile are named. With --diff it '
        'compares them with a list, too, and exits with 3 where anything differs.',
    )
    inventory.add_argument(
        '--diff',
        metavar='LIST',
        help='file with one id of an instance per line, or a CSV whose header names "id"',
    )
    inventory.add_argument('--json', action='store_true', help='an object, for programs')
    inventory.set_defaults(command=_inventory)


def _inventory(run: Context, arguments: argparse.Namespace) -> int:
    other = None if arguments.diff is None else _read(arguments.diff)
    taken = run.inventory.look()
    ids = (one.instance_id for one in taken.listed)
    found = None if other is None else difference(ids, other)
    if arguments.json:
        print(json.dumps(_as_json(taken, found), indent=2))
    else:
        _show(taken, found)
    is_same = found is None or (found.is_none and taken.meanwhile.is_none)
    return 0 if is_same else DIFFERENT


def _read(path: str) -> tuple[str, ...]:
    try:
        text = pathlib.Path(path).read_text(encoding='utf-8')
    except (OSError, ValueError) as error:
        raise ListUnreadable(path=path, found=error) from error
    return read_list(path, text)


def _show(taken: Taken, found: Difference | None) -> None:
    listed = taken.listed
    header = ('instance', 'name', 'project', 'server', 'status', 'version', 'NICs', 'bridge')
    print_table(header, [_cells(one) for one in listed])
    counted = Counter(one.obstacle for one in listed)
    ready = counted.pop(None, 0)
    print_line(f'{len(listed)} instances; the bridge can be tried on {ready}.')
    for obstacle, count in sorted(counted.items()):
        print_line(f'{obstacle}: {count}')
    for one in listed:
        for port in one.foreign_ports:
            print_line(f'Instance {one.instance_id}: {left_out(port)}')
    _show_meanwhile(taken.meanwhile)
    if found is not None:
        _show_difference(found)


def _show_meanwhile(found: Difference) -> None:
    for instance_id in found.missing:
        print_line(f'Appeared while the inventory was taken: {instance_id}')
    for instance_id in found.more:
        print_line(f'Vanished while the inventory was taken: {instance_id}')
    if not found.is_none:
        print_line('Take the inventory again.')


def _show_difference(found: Difference) -> None:
    for instance_id in found.missing:
        print_line(f'Only in the list: {instance_id}')
    for instance_id in found.more:
        print_line(f'Not in the list: {instance_id}')
    if found.is_none:
        print_line('The list has the same instances.')


def _cells(one: Listed) -> tuple[object, ...]:
    nics = ' '.join('/'.join(port.addresses) or 'no address' for port in one.ports)
    return (
        one.instance_id,
        one.name,
        one.project_id,
        one.server_id,
        one.server_status,
        None if one.version is None else f'{one.datastore} {one.version}',
        nics or None,
        one.obstacle or 'can be tried',
    )


def _as_json(taken: Taken, found: Difference | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        'instances': [_instance(one) for one in taken.listed],
        'appeared_meanwhile': list(taken.meanwhile.missing),
        'vanished_meanwhile': list(taken.meanwhile.more),
    }
    if found is not None:
        document |= {
            'only_in_the_list': list(found.missing),
            'not_in_the_list': list(found.more),
        }
    return document


def _instance(one: Listed) -> dict[str, Any]:
    return {
        'id': one.instance_id,
        'name': one.name,
        'project_id': one.project_id,
        'server_id': one.server_id,
        'server_status': one.server_status,
        'datastore': one.datastore,
        'version': one.version,
        'agent_version': one.agent_version,
        'obstacle': one.obstacle,
        'ports': [_port(port) for port in one.ports],
        'foreign_ports': [_port(port) for port in one.foreign_ports],
    }


def _port(port: NetworkPort) -> dict[str, Any]:
    return {
        'id': port.id,
        'project_id': port.project_id,
        'network_id': port.network_id,
        'addresses': list(port.addresses),
        'security_groups': list(port.groups),
        'port_security': port.is_filtered,
        'host': port.host,
    }
