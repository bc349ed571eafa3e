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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Push:
    """Brings the agent in; after a kill the same key is used and every part is done again."""

    door: Door
    pusher: Pusher
    keys: Keys
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


def marker_of(member: Member) -> str:
    """Return the marker of the key that a run brings to a member."""
    return f'{BRIDGE_MARKER}{member.run_id}'
