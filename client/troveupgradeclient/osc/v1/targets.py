# SPDX-License-Identifier: Apache-2.0
"""openstack database upgrade targets."""

import argparse

from troveupgradeclient.osc.v1 import base, cells

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
)


class ListTargets(base.Lister):
    """List what an instance may be upgraded to, and why not to others"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument('instance', metavar='<instance>', help=base.INSTANCE_HELP)
        parser.add_argument(
            '--allowed', action='store_true', help='Only those that it may be upgraded to'
        )
        parser.add_argument('--long', action='store_true', help='Show more columns')

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[cells.Cell, ...]]]:
        instance = self.client.instances.find(parsed_args.instance)
        found = self.client.targets.list(instance.id)
        names, now = (_LONG if parsed_args.long else _SHORT), self.now()
        return cells.headings(names), [
            cells.row(each, names, now) for each in found if each.allowed or not parsed_args.allowed
        ]
