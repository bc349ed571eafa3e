# SPDX-License-Identifier: Apache-2.0
"""openstack database upgrade targets."""

import argparse
from collections.abc import Sequence

from troveupgradeclient.osc.v1 import base, cells
from troveupgradeclient.v1.resources import Target

_SHORT = ('name', 'allowed', 'reason', 'expected_downtime')
_LONG = (
    'id',
    'name',
    'version',
    'active',
    'current',
    'allowed',
    'reason_code',
    'reason',
    'expected_downtime',
    'image_is_booted',
)


class ListTargets(base.Lister):
    """List what an instance may be upgraded to, and why not to others"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            'instance', type=base.given, metavar='<instance>', help=base.INSTANCE_HELP
        )
        parser.add_argument(
            '--allowed', action='store_true', help='Only those that it may be upgraded to'
        )
        parser.add_argument('--long', action='store_true', help='Show more columns')

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[cells.Cell, ...]]]:
        instance = self.client.instances.find(parsed_args.instance)
        found = self.client.targets.list(instance.id)
        names = _LONG if parsed_args.long else _SHORT
        return cells.headings(names), [
            self._row(each, names) for each in found if each.allowed or not parsed_args.allowed
        ]

    def _row(self, target: Target, names: Sequence[str]) -> tuple[cells.Cell, ...]:
        row = cells.row(target, names, self.now())
        if not (target.current and target.image_is_booted):
            return row
        same = cells.Cell(target.reason, f'{target.reason}; the same image runs')
        return tuple(
            same if name == 'reason' else each for name, each in zip(names, row, strict=True)
        )
