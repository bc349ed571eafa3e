# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-manage instance drift`: instances that do not run their version's image of now."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import print_line, print_table
from trove_upgrade.cmd.manage.context import Context
from trove_upgrade.db.page import Page
from trove_upgrade.domain.drift import DriftedInstance, ProjectDrift

T = TypeVar('T')
#: Of one page of the database.
_ROWS = 1000


def add_command(nested: Commands) -> None:
    """Add `drift` behind `instance`."""
    command = nested.add(
        'drift',
        'instances that do not run the image that their version has now',
        description='Counts by project the instances whose server was not booted from the image '
        'that their datastore version has now, and those of which that is not known. With '
        '--project it lists them.',
    )
    command.add_argument('--project', metavar='ID', help='list the instances of this project')
    command.add_argument(
        '--ask-nova',
        action='store_true',
        help='first ask Nova for all servers, 1000 with each request, and keep the images of those '
        'whose image is not known',
    )
    command.add_argument('--json', action='store_true', help='a list of objects, for programs')
    command.set_defaults(command=_drift)


def _drift(run: Context, arguments: argparse.Namespace) -> None:
    if arguments.ask_nova:
        _learn(run)
    images, drift = run.images(), run.repositories.drift
    if arguments.project is None:
        projects = _all(lambda marker: drift.projects(images, limit=_ROWS, marker=marker))
        _show_projects(list(projects), as_json=arguments.json)
    else:
        instances = _all(
            lambda marker: drift.instances(images, arguments.project, limit=_ROWS, marker=marker)
        )
        _show_instances(list(instances), as_json=arguments.json)


def _learn(run: Context) -> None:
    """Keep what Nova tells, and print on stderr how much that was: stdout is the answer's."""
    servers = learned = 0
    for page in run.server_images().images():
        servers += len(page)
        learned += run.repositories.drift.learn(page)
    print_line(
        f'Nova has shown the images of {servers} servers; {learned} were not known before.',
        sys.stderr,
    )


def _all(page_of: Callable[[str | None], Page[T]]) -> Iterator[T]:
    marker: str | None = None
    while True:
        page = page_of(marker)
        yield from page.items
        if page.next_marker is None:
            return
        marker = page.next_marker


def _show_projects(found: list[ProjectDrift], *, as_json: bool) -> None:
    if as_json:
        _print_json([dataclasses.asdict(one) for one in found])
        return
    print_table(
        ('project', 'instances', 'drifted', 'unknown', 'oldest'),
        [
            (
                one.project_id,
                one.instances,
                one.drifted,
                one.unknown,
                one.oldest and one.oldest.isoformat(timespec='seconds'),
            )
            for one in found
        ],
    )
    instances, drifted, unknown = (
        sum(getattr(one, name) for one in found) for name in ('instances', 'drifted', 'unknown')
    )
    print_line(
        f'{instances} instances in {len(found)} projects: {drifted} have drifted, and of {unknown} '
        'it is not known.'
    )


def _show_instances(found: list[DriftedInstance], *, as_json: bool) -> None:
    if as_json:
        _print_json([_document(one) for one in found])
        return
    print_table(
        ('instance', 'name', 'version', 'booted image', 'current image', 'since'),
        [
            (
                one.instance_id,
                one.instance_name,
                one.version and f'{one.version.datastore_name} {one.version.name}',
                one.booted_image_id,
                one.current_image_id,
                one.since and one.since.isoformat(timespec='seconds'),
            )
            for one in found
        ],
    )


def _document(one: DriftedInstance) -> dict[str, Any]:
    version = one.version
    return {
        'instance_id': one.instance_id,
        'instance_name': one.instance_name,
        'datastore_version': version
        and {'id': version.id, 'name': version.name, 'version': version.number},
        'booted_image_id': one.booted_image_id,
        'current_image_id': one.current_image_id,
        'since': one.since,
    }


def _print_json(found: list[dict[str, Any]]) -> None:
    print(json.dumps(found, default=lambda moment: moment.isoformat(), indent=2))
