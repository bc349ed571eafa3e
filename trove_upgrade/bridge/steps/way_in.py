# SPDX-License-Identifier: Apache-2.0
"""Steps `open`, `reach` and `close`: into the guest and out of it."""

import dataclasses

from trove_upgrade.bridge.steps.step import Done, Save
from trove_upgrade.bridge.visit import Door, Visit
from trove_upgrade.domain.bridge_runs import Member


@dataclasses.dataclass(frozen=True, kw_only=True)
class Open:
    """Chooses a NIC and a route, and opens the port."""

    door: Door

    def run(self, member: Member, visit: Visit, save: Save) -> Done:
        found = self.door.find(member, visit)
        member = save(member.evolve(facts=found))
        return Done(member, self.door.open(member, visit))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reach:
    """Logs in; the host key is pinned at first sight."""

    door: Door

    def run(self, member: Member, visit: Visit, save: Save) -> Done:  # noqa: ARG002 - as each step
        self.door.come_back(member, visit)
        return Done(member, f'Logged in at {member.facts.address} {member.facts.route}.')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Close:
    """Leaves the guest, and closes the port."""

    door: Door

    def run(self, member: Member, visit: Visit, save: Save) -> Done:  # noqa: ARG002 - as each step
        cause = self.door.close(member, visit)
        return Done(member, cause or "Closed; the port's security groups are those of before.")
