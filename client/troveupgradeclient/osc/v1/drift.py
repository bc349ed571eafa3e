# SPDX-License-Identifier: Apache-2.0
"""openstack database upgrade drift."""

import argparse
import itertools
from collections.abc import Iterable
from typing import Any

from troveupgradeclient.osc.v1 import base, cells
from troveupgradeclient.v1.names import require_project
from troveupgradeclient.v1.resources import InstanceDrift, ProjectDrift


class ListDrift(base.Lister):
    """List the projects whose instances run another image than their version's (admins)"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            '--project',
            type=base.given,
            metavar='<project-id>',
            help='Show the instances of this project',
        )
        parser.add_argument(
            '--limit', type=base.count, metavar='<number>', help='Most rows (default: all)'
        )

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[cells.Cell, ...]]]:
        drift, limit = self.client.drift, parsed_args.limit
        kind: type = ProjectDrift if parsed_args.project is None else InstanceDrift
        found: Iterable[Any] = (
            drift.projects(page_size=limit)
            if parsed_args.project is None
            else drift.instances(parsed_args.project, page_size=limit)
        )
        names, now = cells.field_names(kind), self.now()
        rows = [cells.row(each, names, now) for each in itertools.islice(found, limit)]
        require_project(rows, parsed_args.project)
        return cells.headings(names), rows
