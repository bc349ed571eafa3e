# SPDX-License-Identifier: Apache-2.0
"""Step `prove`: our agent is heard under the key that came with it, and tells that the database
runs.
"""

import dataclasses
from typing import Protocol

from trove_upgrade.bridge.steps.step import Done, Save
from trove_upgrade.bridge.visit import Visit
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.bridge_runs import Member
from trove_upgrade.domain.guests import Heartbeat, ServerState
from trove_upgrade.domain.ports import Clock
from trove_upgrade.domain.waits import Pause


class AgentNotHeard(exceptions.TroveUpgradeError):
    """Our agent runs in a guest, and its word does not come, or not as it should."""

    code = 'BRIDGE_AGENT_NOT_HEARD'
    template = (
        'Our agent was started in instance {instance_id}, and within {seconds} s {found}. Look '
        'whether the guest reaches the broker that its configuration names, and at the log of a '
        'taskmanager.'
    )


class Heard(Protocol):
    """Last words of guests."""

    def heartbeat(self, instance_id: str) -> Heartbeat | None:
        """Return the last heartbeat; None: none ever came."""

    def heard_under(self, instance_id: str) -> str | None:
        """Return the key that it came under; None: it came unsealed, or none ever came."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prove:
    """Waits for a sealed heartbeat."""

    heard: Heard
    clock: Clock
    pause: Pause
    wait_seconds: float
    look_seconds: float = 2.0

    def run(self, member: Member, visit: Visit, save: Save) -> Done:  # noqa: ARG002 - as each step
        until = self.clock.monotonic() + self.wait_seconds
        while (missing := self._missing(member)) is not None:
            if self.clock.monotonic() >= until:
                raise AgentNotHeard(
                    instance_id=member.instance_id, seconds=self.wait_seconds, found=missing
                )
            member = save(member)  # an operator may have ended the run, or another host has it
            self.pause.sleep(self.look_seconds)
        return Done(member, f'{self._agent(member)} is heard under its key; the database runs.')

    def _missing(self, member: Member) -> str | None:
        """Return in words what is not as it should be; None: all is."""
        heartbeat = self.heard.heartbeat(member.instance_id)
        if heartbeat is None:
            return 'no heartbeat of it came'
        if member.facts.key_id is None or (
            self.heard.heard_under(member.instance_id) != member.facts.key_id
        ):
            return 'no heartbeat came under the key that was brought with it'
        if heartbeat.server_state is not ServerState.RUNNING:
            return f'it told that the database is {heartbeat.server_state}'
        return None

    def _agent(self, member: Member) -> str:
        heartbeat = self.heard.heartbeat(member.instance_id)
        return f'Agent {None if heartbeat is None else heartbeat.agent_version}'
