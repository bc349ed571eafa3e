# SPDX-License-Identifier: Apache-2.0
"""The root disk of a guest that does not answer: that of the upgrade's own rebuild, or of another.

A guest with a key is believed under that key alone.  Trove's own rebuild gives the server user data
of its own: the guest behind it has another key, and whatever it tells is dropped.  So Nova is
asked, which a message of the broker cannot stand in for.
"""

import dataclasses
from collections.abc import Callable

from trove_upgrade.domain import exceptions, ports
from trove_upgrade.domain.cloud_init import documents, limits, messages, parts, write_files
from trove_upgrade.domain.guests import GuestAnswer, GuestCall
from trove_upgrade.domain.upgrades import Upgrade
from trove_upgrade.sealing.ports import GuestKeys
from trove_upgrade.taskmanager import user_data

REBUILT_AGAIN = 'Another action has rebuilt the server; it is rebuilt again.'

_UNREADABLE = (
    parts.PartUnreadable,
    messages.MessageUnreadable,
    documents.DocumentUnreadable,
    limits.BeyondLimits,
    write_files.EntryUnreadable,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RootDisk:
    """Compares the server's user data with the upgrade's marker."""

    nova: ports.Compute
    keys: GuestKeys

    def is_of_another(self, upgrade: Upgrade) -> bool:
        """Return whether another action has rebuilt the server since the upgrade did.

        False where it cannot be told: Nova gives no answer, or the rebuild has brought no key, as
        with a Nova that takes no user data.  A guest without one tells its marker itself.
        """
        if self.keys.minted_id(upgrade.instance_id, upgrade.marker) is None:
            return False
        try:
            found = self.nova.server_with_user_data(upgrade.server_id).user_data
        except (exceptions.ComputeUnavailable, exceptions.ServerNotFound):
            return False
        if found is None:
            return False
        try:
            files = documents.files(parts.unpacked(found))
        except _UNREADABLE:
            return True  # ours was read before it was sent
        return upgrade.marker.encode() not in files.get(user_data.MARKER_PATH, b'')

    def must_be_rebuilt(self, upgrade: Upgrade) -> bool:
        """Return whether a retry finds a server that another action has rebuilt."""
        is_retry = upgrade.progress.rebuild.asked_in_attempt != upgrade.attempt
        return is_retry and self.is_of_another(upgrade)

    def asked(
        self, ask: Callable[[GuestCall], GuestAnswer], upgrade: Upgrade, call: GuestCall
    ) -> GuestAnswer:
        """Ask the guest.

        :raises GuestUnavailable: it gives no answer; ask again later.
        :raises StepFailed: SERVER_REBUILT; another action has rebuilt its server.
        """
        try:
            return ask(call)
        except exceptions.GuestUnavailable as error:
            if self.is_of_another(upgrade):
                raise exceptions.StepFailed(
                    f'The guest of instance {upgrade.instance_id} does not answer under its key: '
                    "another action has rebuilt its server since this upgrade did, as Trove's "
                    'admin rebuild does. Its data is as it was. Once that action has ended, retry '
                    'the upgrade: it rebuilds the server again.',
                    'SERVER_REBUILT',
                ) from error
            raise
