# SPDX-License-Identifier: Apache-2.0
"""Port to what Trove and its agent of an instance seal their own messages with."""

from typing import Protocol

from trove_upgrade.domain import exceptions


class TrovesKeyUnreadable(exceptions.TroveUpgradeError):
    """Trove's row has a key that the operator's option does not open."""

    code = 'TROVES_KEY_UNREADABLE'
    template = (
        'The user data of instance {instance_id} cannot be composed: the key that Trove has for it '
        '(instances.encrypted_key) cannot be decrypted, and without it Trove and the rebuilt '
        'guest could not talk. Set [DEFAULT] inst_rpc_key_encr_key as Trove has it.'
    )


class TrovesKeys(Protocol):
    """`instances.encrypted_key`."""

    def rpc_key(self, instance_id: str) -> str | None:
        """Return what guest_info.conf has as instance_rpc_encr_key; None: Trove has given the
        instance none, as where its messages are not sealed.

        :raises TrovesKeyUnreadable: see there.
        """
