# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-manage service ...`: which processes of ours run, of which release."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from trove_upgrade.clock import SystemClock
from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import print_line, print_table
from trove_upgrade.cmd.manage import numbers
from trove_upgrade.cmd.manage.context import Context
from trove_upgrade.db import errors, models
from trove_upgrade.db.migrations.clock import Clock
from trove_upgrade.db.migrations.gate import ago
from trove_upgrade.db.services import SILENT_SECONDS, Service, Services

_WAIT_SECONDS = 120.0
_LOOK_SECONDS = 1.0
#: Between two lines of a wait in which nothing changes.
_LINE_SECONDS = 10.0


def add_commands(commands: Commands) -> None:
    """Add `service` and its subcommands."""
    nested = commands.add_group(
        'service', 'running services', description='Services that have registered.'
    )
    listing = nested.add(
        'list',
        'all that have not ended',
        description='Lists the services that have not ended. One that ended without a clean stop '
        'is taken off the list on the host that it ran on; any other host cannot see '
        'its process and shows it as silent.',
    )
    listing.add_argument('--json', action='store_true', help='a list of objects, for programs')
    listing.set_defaults(command=_list)
    wait = nested.add(
        'wait',
        'return once no service is listed',
        description='Waits until no service is listed. Ends with 0 then, and with 1 when the time '
        'is over: stderr names what is still listed.',
    )
    wait.add_argument(
        '--timeout',
        type=numbers.seconds,
        default=_WAIT_SECONDS,
        metavar='SECONDS',
        help='how long at most (default: %(default)g)',
    )
    wait.set_defaults(command=_wait)
    _add_forget(nested)


def _add_forget(nested: Commands) -> None:
    forget = nested.add(
        'forget',
        'remove services that are gone for certain',
        description='Removes services that ended without a clean stop. "db contract" waits for '
        'every one that is listed: forget one only where it is certain that its '
        'process has ended.',
    )
    forget.add_argument('id', nargs='+', help='as "service list" shows it')
    forget.add_argument(
        '--force',
        action='store_true',
        help=f'even one that was seen in the last {SILENT_SECONDS:.0f} s; '
        'one that runs comes again',
    )
    forget.set_defaults(command=_forget)


def _list(run: Context, arguments: argparse.Namespace) -> None:
    known = _listed(run.repositories.services)
    if arguments.json:
        print(json.dumps([_document(one) for one in known], indent=2))
        return
    print_table(
        ('id', 'host', 'pid', 'binary', 'release', 'version', 'state', 'started', 'last seen'),
        [
            (
                one.id,
                one.host,
                one.pid,
                one.binary,
                one.release,
                one.version,
                one.state,
                one.started_at.isoformat(timespec='seconds'),
                f'{ago(one.silent_seconds)} ago',
            )
            for one in known
        ],
    )


def _listed(services: Services) -> Sequence[Service]:
    """Return what is listed when the rows of processes that have ended on this host are gone;
    stdout is left to the answer.
    """
    for one in services.forget_ended():
        print_line(
            f'{one.binary} on {one.host} ({one.id}) is taken off the list: its process {one.pid} '
            'has ended.',
            sys.stderr,
        )
    return services.list()


def _wait(run: Context, arguments: argparse.Namespace) -> None:
    # the table is gone after `db remove`
    if sa.inspect(run.repositories.database.engine).has_table(models.upgrade_services.name):
        wait_until_none(run.repositories.services, arguments.timeout, SystemClock())
    print('No service is listed.')


def wait_until_none(services: Services, timeout_seconds: float, clock: Clock) -> None:
    """Return once no service is listed; a line of progress for each change, and now and then.

    :raises ServicesListed: the time is over.
    """
    deadline = clock.monotonic() + timeout_seconds
    shown, due = '', clock.monotonic()
    while known := _listed(services):
        found = '; '.join(
            f'{one.id} ({one.binary} on {one.host}, process {one.pid or "unknown"}, {one.state})'
            for one in known
        )
        left = deadline - clock.monotonic()
        if left <= 0:
            raise errors.ServicesListed(found=found, waited=round(timeout_seconds))
        if shown != found or clock.monotonic() >= due:
            print_line(f'Waiting, {left:.0f} s at most, for {found}')
            shown, due = found, clock.monotonic() + _LINE_SECONDS
        clock.sleep(min(_LOOK_SECONDS, left))


def _document(one: Service) -> dict[str, Any]:
    return {
        'id': one.id,
        'host': one.host,
        'pid': one.pid,
        'binary': one.binary,
        'release': one.release,
        'version': one.version,
        'state': one.state,
        'started_at': one.started_at.isoformat(),
        'seen_at': one.seen_at.isoformat(),
        'silent_seconds': round(one.silent_seconds, 3),
    }


def _forget(run: Context, arguments: argparse.Namespace) -> None:
    for service_id in arguments.id:
        gone = run.repositories.services.forget(service_id, force=arguments.force)
        print_line(
            f'{gone.binary} {gone.release} on {gone.host} ({gone.id}) is forgotten; it was last '
            f'seen {ago(gone.silent_seconds)} ago.'
        )
