# SPDX-License-Identifier: Apache-2.0
"""The way back of step `push`: takes our agent out of a guest, with all that is known of it."""

import dataclasses
from typing import Protocol

from trove_upgrade.bridge import pusher
from trove_upgrade.bridge.reach.errors import ConnectionLost
from trove_upgrade.bridge.steps.push import marker_of
from trove_upgrade.bridge.visit import Door, Visit
from trove_upgrade.domain.bridge_runs import Member
from trove_upgrade.sealing.keys import GuestKey


class Keys(Protocol):
    """Keys of guests, as a removal needs them."""

    def find(self, instance_id: str, key_id: str) -> GuestKey | None:
        """Return this key; None: there is none."""

    def minted_for(self, instance_id: str, marker: str) -> GuestKey | None:
        """Return the key that was made for this marker; None: there is none."""

    def discard(self, key: GuestKey) -> None:
        """Delete one key that no guest has."""


class Agents(Protocol):
    """Words that were heard of guests' agents."""

    def forget_agent(self, instance_id: str) -> None:
        """Forget all that was heard of a guest's agent, which was removed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Removal:
    """Needs no bundle: the installer has written down what it made."""

    door: Door
    keys: Keys
    agents: Agents

    def remove(self, member: Member, visit: Visit) -> None:
        """Remove what was pushed, and forget it.  Raises as `Door.enter` and `pusher.remove`.

        A connection that was lost, which is why there is a way back at all, is made anew once.
        """
        try:
            pusher.remove(self.door.come_back(member, visit))
        except ConnectionLost:
            visit.leave_guest()
            pusher.remove(self.door.come_back(member, visit))
        self.forget(member)

    def forget(self, member: Member) -> None:
        """Forget the key that went with our agent, and what was heard under it."""
        self._discard_key(member)
        # a heartbeat that is still under way is believed by none without its key
        self.agents.forget_agent(member.instance_id)

    def _discard_key(self, member: Member) -> None:
        """Forget the member's key; one that was minted just before a kill is in no row yet."""
        if member.facts.key_id is None:
            key = self.keys.minted_for(member.instance_id, marker_of(member))
        else:
            key = self.keys.find(member.instance_id, member.facts.key_id)
        if key is not None:
            self.keys.discard(key)
