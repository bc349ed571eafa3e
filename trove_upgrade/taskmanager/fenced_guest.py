# SPDX-License-Identifier: Apache-2.0
"""Guests as the steps of an upgrade ask them: only while this process holds the upgrade, as far as
it can know.

What it cannot know is the guest's to refuse: each call carries its claim's generation.
"""

import dataclasses

from trove_upgrade.domain import guests, leases, ports


@dataclasses.dataclass(frozen=True)
class FencedGuest:
    """Implements ports.Guest.  Every method but `greet` raises LeaseLost and sends nothing where
    the lease is over.
    """

    guest: ports.Guest
    leases: leases.LeaseCheck

    def check_upgrade(self, call: guests.GuestCall) -> guests.GuestAnswer:
        """Ask as the guest does."""
        return self._fenced(call).check_upgrade(call)

    def pre_upgrade(self, call: guests.GuestCall) -> guests.GuestAnswer:
        """Ask as the guest does."""
        return self._fenced(call).pre_upgrade(call)

    def abort_upgrade(self, call: guests.GuestCall) -> guests.GuestAnswer:
        """Ask as the guest does."""
        return self._fenced(call).abort_upgrade(call)

    def post_upgrade(self, call: guests.GuestCall) -> guests.GuestAnswer:
        """Ask as the guest does."""
        return self._fenced(call).post_upgrade(call)

    def verify_upgrade(self, call: guests.GuestCall) -> guests.GuestAnswer:
        """Ask as the guest does."""
        return self._fenced(call).verify_upgrade(call)

    def finish_upgrade(self, call: guests.GuestCall) -> guests.GuestAnswer:
        """Ask as the guest does."""
        return self._fenced(call).finish_upgrade(call)

    def greet(self, instance_id: str) -> None:
        """Greet as the guest is greeted: it begins no work."""
        self.guest.greet(instance_id)

    def _fenced(self, call: guests.GuestCall) -> ports.Guest:
        self.leases.require(call.upgrade_id)
        return self.guest
