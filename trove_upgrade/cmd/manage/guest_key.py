# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-manage guest-key ...`: the keys that messages to and from guests are sealed
with.
"""

import argparse
import dataclasses
import json
from collections.abc import Iterator

from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import print_line, print_table
from trove_upgrade.cmd.manage import key_file
from trove_upgrade.cmd.manage.context import Context
from trove_upgrade.db import errors, guest_security
from trove_upgrade.db.guest_key_overview import GuestSealing
from trove_upgrade.db.migrations import gate
from trove_upgrade.sealing import at_rest
from trove_upgrade.sealing.at_rest import Wrapping

#: Ids that a message names.
_NAMED = 5
_GUESTS_FILE = '/etc/trove/trove-upgrade-guest.key'


def add_commands(commands: Commands) -> None:
    """Add `guest-key` and its subcommands."""
    nested = commands.add_group(
        'guest-key',
        "guests' keys",
        description='Keys that messages to and from guests are sealed with.',
    )
    generate = nested.add(
        'generate',
        'print a new entry for guest_key_encryption_keys',
        description='Prints a new entry for [trove_upgrade] guest_key_encryption_keys, and stores '
        'it nowhere. It is a secret.',
    )
    generate.set_defaults(command=_generate)
    listing = nested.add(
        'list',
        'every instance, and how its guest is spoken to',
        description='Lists every instance: whether its guest is spoken to under a key, where the '
        'key comes from and since when, and what its agent said last. No key is '
        'shown.',
    )
    listing.add_argument('--json', action='store_true', help='a list of objects, for programs')
    listing.set_defaults(command=_list)
    _add_mint(nested)
    rotate = nested.add(
        'rotate',
        'encrypt every key under the first entry of guest_key_encryption_keys',
        description="Encrypts every guest's key in the database under the first entry of "
        'guest_key_encryption_keys. Guests do not notice, taskmanagers go on working. '
        'May be repeated.',
    )
    rotate.set_defaults(command=_rotate)
    _add_forget(nested)


def _add_mint(nested: Commands) -> None:
    mint = nested.add(
        'mint',
        'make a key for a guest that runs, and write its file',
        description='Makes a key for the guest of an instance, and writes the file that belongs '
        f'there as {_GUESTS_FILE}, of root and with mode 600. The key counts from the '
        'first message of the guest under it; until then the former one does.',
    )
    mint.add_argument('instance', metavar='INSTANCE', help='id of the instance')
    mint.add_argument('--file', required=True, help='where to write it; must not exist')
    mint.set_defaults(command=_mint)


def _add_forget(nested: Commands) -> None:
    forget = nested.add(
        'forget',
        'delete the keys of an instance, or of all that are deleted; without --yes only tell '
        'what would go',
        description='Deletes the keys of an instance, whose guest is spoken to unsealed from then '
        'on. A guest that has a key takes no unsealed message: only for one that was '
        'rebuilt without a key, or whose file was removed. Without --yes nothing is '
        'changed.',
    )
    which = forget.add_mutually_exclusive_group(required=True)
    which.add_argument('instance', metavar='INSTANCE', nargs='?', help='id of the instance')
    which.add_argument(
        '--deleted', action='store_true', help='all instances that have been deleted'
    )
    forget.add_argument('--yes', action='store_true', help='do it; the keys cannot be brought back')
    forget.set_defaults(command=_forget)


def _generate(run: Context, arguments: argparse.Namespace) -> None:  # noqa: ARG001 - as every command
    print_line(at_rest.generate())


def _list(run: Context, arguments: argparse.Namespace) -> None:
    found = run.repositories.guest_key_overview.instances()
    if arguments.json:
        print(json.dumps([dataclasses.asdict(one) for one in found], indent=2, default=str))
        return
    header = ('instance', 'guest', 'key', 'since', 'pending', 'agent', 'last heard', 'dropped')
    print_table(header, list(_cells(found)))


def _cells(found: Iterator[GuestSealing]) -> Iterator[tuple[object, ...]]:
    for one in found:
        since = one.since.isoformat(timespec='seconds') if one.since else None
        seen = one.seen_at.isoformat(timespec='seconds') if one.seen_at else None
        way = 'sealed' if one.sealed else 'unsealed'
        yield (
            one.instance_id,
            way,
            one.origin,
            since,
            one.pending,
            one.agent_version,
            seen,
            one.dropped,
        )


def _mint(run: Context, arguments: argparse.Namespace) -> None:
    found = run.repositories.instances.get(arguments.instance, with_details=False)
    require_wrapping(run)
    require_no_older_taskmanager(run)
    keys = run.repositories.guest_keys
    with key_file.made(arguments.file) as write:
        key = keys.mint(found.id, None)
        try:
            write(key)
        except BaseException:
            keys.discard(key)
            raise
    print_line(
        f'The key {key.id} of instance {found.id} is in {arguments.file}. Put it into the guest as '
        f'{_GUESTS_FILE}, of root and with mode 600, and remove this copy. It counts from the '
        'first message of the guest under it.'
    )


def _rotate(run: Context, arguments: argparse.Namespace) -> None:  # noqa: ARG001 - as every command
    done = run.repositories.guest_key_overview.rotate(require_wrapping(run))
    print_line(
        f'{done.rotated} keys of guests have been encrypted under the first entry; '
        f'{done.unchanged} were already.'
    )
    if done.unreadable:
        count = len(done.unreadable)
        more = f' and {count - _NAMED} more' if count > _NAMED else ''
        found = ', '.join(done.unreadable[:_NAMED]) + more
        raise errors.GuestKeysNotRotated(count=count, found=found)


def _forget(run: Context, arguments: argparse.Namespace) -> None:
    if arguments.deleted:
        _forget_deleted(run, is_confirmed=arguments.yes)
        return
    count = run.repositories.guest_key_overview.count_of(arguments.instance)
    if not count:
        print_line(f'Nothing to do: instance {arguments.instance} has no key.')
        return
    if not arguments.yes:
        print_line(
            f'Instance {arguments.instance} has {count} {"key" if count == 1 else "keys"}. Nothing '
            'has been changed. The same command with --yes deletes them.'
        )
        return
    run.repositories.guest_keys.retire(arguments.instance)
    print_line(
        f'The keys of instance {arguments.instance} have been deleted ({count}); its guest is '
        'spoken to unsealed from now on.'
    )


def _forget_deleted(run: Context, *, is_confirmed: bool) -> None:
    left = run.repositories.guest_key_overview.left_behind()
    if not left:
        print_line('Nothing to do: no instance that was deleted has a key.')
        return
    if not is_confirmed:
        for instance_id in left:
            print_line(instance_id)
        print_line(
            f'Deleted instances that have keys: {len(left)}. Nothing has been changed. The same '
            'command with --yes deletes their keys.'
        )
        return
    for instance_id in left:
        run.repositories.guest_keys.retire(instance_id)
    print_line(f'The keys of {len(left)} deleted instances have been deleted.')


def require_no_older_taskmanager(run: Context) -> None:
    """A guest that has a key takes no call of a taskmanager that knows none.

    :raises OlderTaskmanagerRegistered: one of an earlier release is registered.
    """
    older = gate.older_taskmanager(run.repositories.services)
    if older is not None:
        raise errors.OlderTaskmanagerRegistered(found=older)


def require_wrapping(run: Context) -> Wrapping:
    """Return the encryption of guests' keys as the operator has configured it.

    :raises GuestKeysUnset, EncryptionKeysInvalid: no key can be made or read with this
    configuration.
    """
    wrapping = guest_security.wrapping_of(run.conf)
    if wrapping is None:
        raise errors.GuestKeysUnset(service='trove-upgrade-manage')
    return wrapping
