# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-manage service ...`: which processes of ours run, of which release."""
import argparse
import json
from typing import Any

from trove_upgrade.cmd.manage.context import Context, print_table
from trove_upgrade.db.migrations.gate import ago
from trove_upgrade.db.services import SILENT_SECONDS, Service


def add_commands(commands: Any) -> None:
    """Add `service` and its subcommands."""
    parser = commands.add_parser('service', help='running services', description='Services that have registered.')
    nested = parser.add_subparsers(title='commands', metavar='COMMAND', required=True)
    listing = nested.add_parser('list', help='all that have not stopped cleanly')
    listing.add_argument('--json', action='store_true', help='a list of objects, for programs')
    listing.set_defaults(command=_list)
    forget = nested.add_parser('forget', help='remove services that are gone for certain',
                               description='Removes services that ended without a clean stop. "db contract" waits for every one that is '
                                           'listed: forget one only where it is certain that its process has ended.')
    forget.add_argument('id', nargs='+', help='as "service list" shows it')
    forget.add_argument('--force', action='store_true',
                        help=f'even one that was seen in the last {SILENT_SECONDS:.0f} s; one that runs comes again')
    forget.set_defaults(command=_forget)


def _list(run: Context, arguments: argparse.Namespace) -> None:
    known = run.repositories.services.list()
    if arguments.json:
        print(json.dumps([_document(one) for one in known], indent=2))
        return
    print_table(('id', 'host', 'pid', 'binary', 'release', 'version', 'state', 'started', 'last seen'), [
        (one.id, one.host, one.pid, one.binary, one.release, one.version, one.state, one.started_at.isoformat(timespec='seconds'),
         f'{ago(one.silent_seconds)} ago')
        for one in known])


def _document(one: Service) -> dict[str, Any]:
    return {'id': one.id, 'host': one.host, 'pid': one.pid, 'binary': one.binary, 'release': one.release, 'version': one.version,
            'state': one.state, 'started_at': one.started_at.isoformat(), 'seen_at': one.seen_at.isoformat(),
            'silent_seconds': round(one.silent_seconds, 3)}


def _forget(run: Context, arguments: argparse.Namespace) -> None:
    for service_id in arguments.id:
        gone = run.repositories.services.forget(service_id, force=arguments.force)
        print(f'{gone.binary} {gone.release} on {gone.host} ({gone.id}) is forgotten; it was last seen {ago(gone.silent_seconds)} ago.')
