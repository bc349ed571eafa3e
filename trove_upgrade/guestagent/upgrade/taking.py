# SPDX-License-Identifier: Apache-2.0
"""Taking of the volume on a new root disk: mounted, and what is kept there root's again."""

import threading

from trove_upgrade.guestagent.storage import volume_ownership
from trove_upgrade.guestagent.upgrade.work import Guest

#: The thread that gives the restore a head start takes it, too.
_TAKING = threading.Lock()


def take(guest: Guest, volume_uuid: str, wait_seconds: float) -> None:
    """Mount the volume, and claim what is kept on it.  Safe to repeat.

    :raises StepFailed: it cannot be mounted.
    """
    with _TAKING:
        guest.volume.mount(volume_uuid, wait_seconds=wait_seconds)
        _claim(guest)


def _claim(guest: Guest) -> None:
    """Trove's agent may have given all of the volume to the database's user; as long as no process
    of that user has run, it is as it was.
    """
    if (
        guest.driver.shares_volume
        and not volume_ownership.is_ours(guest.layout.on_volume)
        and guest.driver.server_version() is None
        and not guest.volume.holders()
    ):
        volume_ownership.back(guest.layout.on_volume)
