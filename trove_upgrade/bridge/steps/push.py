# SPDX-License-Identifier: Apache-2.0
"""Step `push`: our agent is brought in beside the old one, with the guest's first key."""

import dataclasses
from collections.abc import Callable
from typing import Protocol

from trove_upgrade.bridge.pusher import Instance, Pusher
from trove_upgrade.bridge.steps.step import Done, Save
from trove_upgrade.bridge.visit import Door, Visit
from trove_upgrade.domain.bridge_runs import Member
from trove_upgrade.sealing.keys import BRIDGE_MARKER, GuestKey


class Keys(Protocol):
    """Keys of guests, as this step needs them."""

    def mint(self, instance_id: str, marker: str | None) -> GuestKey:
        """Make a key, or return the one of this marker."""

    def find(self, instance_id: str, key_id: str) -> GuestKey | None:
        """Return this key; None: there is none."""

    def minted_for(self, instance_id: str, marker: str) -> GuestKey | None:
        """Return the key that was made for this marker; None: there is none."""

    def discard(self, key: GuestKey) -> None:
        """Delete one key that no guest has."""


class Agents(Protocol):
    """Memory of the agents that were heard, as this step needs it."""

    def forget_agent(self, instance_id: str) -> None:
        """Forget all that was heard of a guest's agent, which was removed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Push:
    """Brings the agent in; after a kill the same key is used and every part is done again."""

    door: Door
    pusher: Pusher
    keys: Keys
    agents: Agents
    #: of an instance, the manager of its datastore version
    manager_of: Callable[[str], str]

    def run(self, member: Member, visit: Visit, save: Save) -> Done:
        shell = self.door.come_back(member, visit)
        instance = Instance(
            id=member.instance_id,
            project_id=member.project_id,
            datastore_manager=self.manager_of(member.instance_id),
        )
        found, composed = self.pusher.prepare(shell, instance)
        # what removes it needs this, however far the rest comes
        member = save(member.learned(bundle=self.pusher.bundle.sha256))
        key = self.keys.mint(member.instance_id, marker_of(member))
        member = save(member.learned(key_id=key.id))
        now = self.pusher.push(shell, found, composed, key.to_file())
        remarks = ''.join(f' {remark[:1].upper()}{remark[1:]}.' for remark in composed.remarks)
        return Done(
            member,
            f'Our agent runs beside {" and ".join(now.agent_services) or "the old one"} '
            f'({now.distribution or "unknown distribution"}, {now.init}).{remarks}',
        )

    def remove(self, member: Member, visit: Visit) -> None:
        """Remove what was pushed, and forget the key that went with it and what was heard under it.
        Raises as `Door.enter` and `Pusher.remove`.
        """
        self.pusher.remove(self.door.come_back(member, visit))
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


def marker_of(member: Member) -> str:
    """Return the marker of the key that a run brings to a member."""
    return f'{BRIDGE_MARKER}{member.run_id}'
