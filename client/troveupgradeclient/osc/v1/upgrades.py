# SPDX-License-Identifier: Apache-2.0
"""openstack database upgrade start, list, show and watch."""

import argparse
import datetime

from troveupgradeclient import exceptions
from troveupgradeclient.osc.v1 import base, cells, progress
from troveupgradeclient.v1 import times
from troveupgradeclient.v1.names import require_project
from troveupgradeclient.v1.resources import OnFailure, State
from troveupgradeclient.v1.upgrades import Filters, Order, SortDirection, SortKey, Start

_SHORT = (
    'id',
    'instance_name',
    'state',
    'step',
    'former_version',
    'target_version',
    'created_at',
)
_OF_ALL_PROJECTS = ('id', 'project_id', *_SHORT[1:])
_LONG = (
    *_SHORT,
    'updated_at',
    'ended_at',
    'instance_id',
    'project_id',
    'attempt',
    'cancellable',
    'on_failure',
    'hold',
    'not_before',
    'held_since',
    'held_until',
    'rollback_possible_until',
    'downtime_seconds',
    'error_code',
    'cause',
)


class StartUpgrade(base.Following):
    """Upgrade an instance to a datastore version"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        base.add_instance_and_version(
            parser, 'Version to upgrade to (name or id); the present one where its image is newer'
        )
        parser.add_argument(
            '--on-failure',
            choices=[str(each) for each in OnFailure],
            help='What becomes of an upgrade that fails after the server was replaced: error '
            'waits for an operator, rollback takes the former image back where that is possible',
        )
        waits = parser.add_mutually_exclusive_group()
        waits.add_argument(
            '--hold',
            action='store_true',
            help='Check and prepare, then wait for: openstack database upgrade proceed',
        )
        waits.add_argument(
            '--not-before',
            type=base.given,
            metavar='<time>',
            help='Check and prepare, then begin at this time, as 2026-12-01T02:00:00Z',
        )
        parser.add_argument(
            '--force',
            action='store_true',
            help='Also where the instance has the version and was booted from its image',
        )
        base.add_wait(
            parser,
            'Wait for the end; with --hold, until the upgrade is held; with --not-before, through '
            'the time until then, too',
        )

    def take_action(self, parsed_args: argparse.Namespace) -> base.Shown:
        options = Start(
            on_failure=OnFailure(parsed_args.on_failure) if parsed_args.on_failure else None,
            hold=parsed_args.hold,
            not_before=_moment('--not-before', parsed_args.not_before),
        )
        instance = self.client.instances.find(parsed_args.instance)
        version = parsed_args.datastore_version
        if not parsed_args.force and self.client.targets.is_booted(instance.id, version):
            raise exceptions.ImageIsBooted(instance=parsed_args.instance, version=version)
        with self.sending(progress.of_start_unseen(instance.id)):
            found = self.client.upgrades.start(instance.id, version, options)
        if parsed_args.wait:
            wanted = State.HELD if parsed_args.hold else State.COMPLETED
            found = self.follow_upgrade(found, parsed_args, wanted, ends_held=True)
        return self.shown(found)


class ListUpgrades(base.Lister):
    """List upgrades, the newest first"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            '--instance',
            type=base.given,
            metavar='<instance>',
            help='Only of this instance (name or id)',
        )
        parser.add_argument(
            '--state',
            action='append',
            type=_state,
            metavar='<state>',
            help='Only in this state; may be repeated: ' + ', '.join(State),
        )
        parser.add_argument(
            '--target-version',
            type=base.given,
            metavar='<datastore-version>',
            help='Only those to this version (name or id)',
        )
        parser.add_argument(
            '--since',
            type=base.given,
            metavar='<time>',
            help='Only those created then or later, as 2026-12-01T00Z',
        )
        parser.add_argument(
            '--all-projects', action='store_true', help='Those of all projects (admins)'
        )
        parser.add_argument(
            '--project', type=base.given, metavar='<project-id>', help='Of this project (admins)'
        )
        parser.add_argument('--long', action='store_true', help='Show more columns')
        self._add_page(parser)

    def _add_page(self, parser: argparse.ArgumentParser) -> None:
        """Add the order of the list, and the part of it."""
        parser.add_argument(
            '--sort',
            type=base.given,
            metavar='<key>[:<direction>]',
            help='created_at or updated_at; asc or desc (default: created_at:desc)',
        )
        parser.add_argument(
            '--limit',
            type=base.count,
            metavar='<number>',
            help='Most upgrades to show (default: all)',
        )
        parser.add_argument(
            '--marker',
            type=base.given,
            metavar='<upgrade>',
            help='Id of the last upgrade of the page before',
        )

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[cells.Cell, ...]]]:
        instance, version = parsed_args.instance, parsed_args.target_version
        filters = Filters(
            states=tuple(parsed_args.state or ()),
            target_version_id=None if version is None else self.client.versions.find_id(version),
            since=_moment('--since', parsed_args.since),
            project_id=parsed_args.project,
            all_projects=parsed_args.all_projects,
        )
        if instance is not None:
            filters = self.client.upgrades.of_instance(instance, filters)
        found = tuple(
            self.client.upgrades.list(
                filters,
                order=_order(parsed_args.sort),
                limit=parsed_args.limit,
                marker=parsed_args.marker,
            )
        )
        require_project(found, parsed_args.project)
        if not found:
            self.client.upgrades.require_instance(filters)
        short = _OF_ALL_PROJECTS if parsed_args.all_projects else _SHORT
        names, now = (_LONG if parsed_args.long else short), self.now()
        return cells.headings(names), [cells.listed(each, names, now) for each in found]


class ShowUpgrade(base.ShowOne):
    """Show an upgrade with its steps"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument('upgrade', type=base.given, metavar='<upgrade>', help=base.UPGRADE_HELP)

    def take_action(self, parsed_args: argparse.Namespace) -> base.Shown:
        found = self.client.upgrades.find(parsed_args.upgrade)
        is_read_by_a_person = parsed_args.formatter == 'table' and self.app.options.verbose_level
        if found.state == State.HELD and is_read_by_a_person:
            self.app.stderr.write(f'{progress.of_what_goes_on(found)}\n')
        return self.shown(found)


class WatchUpgrade(base.Following):
    """Follow an upgrade until it ends or is held, and show it then"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument('upgrade', type=base.given, metavar='<upgrade>', help=base.UPGRADE_HELP)
        base.add_pace(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> base.Shown:
        found = self.client.upgrades.find(parsed_args.upgrade)
        return self.shown(self.follow_upgrade(found, parsed_args, State.COMPLETED, ends_held=True))


def _state(text: str) -> str:
    """Read a state of the command line."""
    return base.given(text).upper()


def _moment(option: str, text: str | None) -> datetime.datetime | None:
    if text is None:
        return None
    try:
        return times.with_zone(text)
    except ValueError as error:
        raise exceptions.TimeUnreadable(option=option, found=error) from error


def _order(text: str | None) -> Order:
    if text is None:
        return Order()
    key, _, direction = text.partition(':')
    try:
        return Order(SortKey(key), SortDirection(direction or SortDirection.DESCENDING))
    except ValueError as error:
        raise exceptions.SortUnknown(found=text) from error
