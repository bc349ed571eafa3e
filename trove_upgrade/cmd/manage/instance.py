# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-manage instance ...`: make an existing guest an instance, where no Trove does, and
look which instances have drifted.
"""

import argparse
import uuid
from typing import Any

from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import UsageError, print_line
from trove_upgrade.cmd.manage import drift, guest_key, key_file, numbers
from trove_upgrade.cmd.manage.context import Context
from trove_upgrade.conf import compute as compute_conf
from trove_upgrade.db import installation
from trove_upgrade.domain.instances import DatastoreVersion


def add_commands(commands: Commands) -> None:
    """Add `instance` and its subcommands."""
    nested = commands.add_group('instance', 'instances', description='Instances.')
    register = nested.add(
        'register',
        'make an existing guest an instance',
        description='Asks Nova for the server and writes its row; the guest is not touched.',
    )
    register.add_argument('server', metavar='SERVER', help='id of the Nova server')
    register.add_argument('--name', required=True, help='name of the instance')
    register.add_argument(
        '--project', required=True, help='id of the project that the instance belongs to'
    )
    register.add_argument('--datastore', required=True, help='name or id of the datastore')
    register.add_argument(
        '--version', required=True, help='name or id of the version that the guest runs'
    )
    register.add_argument(
        '--id',
        help='id of the instance, as the guest has it in guest_info.conf (default: a new one)',
    )
    register.add_argument(
        '--volume-size', type=numbers.rows, metavar='GIB', help='size of its volume'
    )
    register.add_argument('--volume-id', help='id of its volume')
    register.add_argument('--flavor', help='id of its flavor (default: as Nova has it)')
    register.add_argument(
        '--region', help='name of its region (default: [service_credentials] region_name)'
    )
    register.add_argument(
        '--guest-key-file',
        metavar='FILE',
        help='make a key for the guest, and write its file here; must not exist (see "guest-key '
        'mint")',
    )
    register.set_defaults(command=_register)
    drift.add_command(nested)


def _register(run: Context, arguments: argparse.Namespace) -> None:
    if arguments.id is not None:
        try:
            uuid.UUID(arguments.id)
        except ValueError as error:
            raise UsageError(f'instance register: --id is a UUID, not {arguments.id!r}') from error
    tables = installation.table_names(run.repositories.database)
    installation.refuse_troves(tables, '"instance register"', installation.CREATE_BY_TROVE)
    version = run.version(arguments.datastore, arguments.version)
    nova = run.compute()
    server = nova.server(arguments.server)
    compute_conf.register_credentials(run.conf)
    known = {
        'server_id': server.id,
        'name': arguments.name,
        'project_id': arguments.project,
        'image_id': server.image_id,
        'volume_id': arguments.volume_id,
        'volume_size_gb': arguments.volume_size,
        'flavor_id': arguments.flavor or nova.flavor_id(server.id),
        'region': arguments.region or run.conf[compute_conf.CREDENTIALS_GROUP].region_name,
    }
    if arguments.guest_key_file is None:
        print_line(run.repositories.instances.register(version, instance_id=arguments.id, **known))
    else:
        print_line(_register_keyed(run, version, arguments, known))


def _register_keyed(
    run: Context, version: DatastoreVersion, arguments: argparse.Namespace, known: dict[str, Any]
) -> str:
    """The row comes last: an instance is never left without the key that its guest was to have."""
    guest_key.require_wrapping(run)
    guest_key.require_no_older_taskmanager(run)
    instance_id = arguments.id or str(uuid.uuid4())
    with key_file.made(arguments.guest_key_file) as write:
        key = run.repositories.guest_keys.mint(instance_id, None)
        try:
            write(key)
            return run.repositories.instances.register(version, instance_id=instance_id, **known)
        except BaseException:
            run.repositories.guest_keys.discard(key)
            raise
