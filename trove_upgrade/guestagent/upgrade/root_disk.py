# SPDX-License-Identifier: Apache-2.0
"""The root disk that a restore may run on: another one than that which stopped the database.

Only the rebuild proves that an upgrade is meant: Nova makes it, and no message of the broker does.
A pair of forged calls would otherwise stop a database and start a server of the caller's choice in
its place.
"""

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.upgrade.marks import Mark
from trove_upgrade.guestagent.upgrade.work import Guest

CODE = 'SERVER_NOT_REBUILT'
_OF_THE_FORMER = (Mark.QUIESCED, Mark.QUIESCING)


def require_another(guest: Guest, former_boot_id: str) -> None:
    """Refuse where the database was stopped on this root disk, for whichever upgrade, in this boot
    or in one before.

    The marks of a stop are on the root disk: a rebuilt one has none, and keeps none after an undo.
    So each retry, also after a reboot of the new root disk, passes. `former_boot_id` is the word of
    the call, and only adds to them.

    :raises StepFailed: SERVER_NOT_REBUILT.
    """
    marked = any(
        guest.marks.has(mark) or guest.marks.is_unreadable(mark) for mark in _OF_THE_FORMER
    )
    if marked or former_boot_id == guest.boot_id():
        raise exceptions.StepFailed(
            'The database cannot be started by a restore: this root disk of instance '
            f'{guest.instance_id} is the one that stopped it, and no rebuild has come since. '
            'Abort the upgrade, then upgrade again; if none of yours runs, see which account of '
            'the broker has sent this call.',
            CODE,
        )
