# SPDX-License-Identifier: Apache-2.0
"""Form of a step."""

import dataclasses
from collections.abc import Callable
from typing import Protocol

from trove_upgrade.bridge.visit import Visit
from trove_upgrade.domain.bridge_runs import Member

#: Commits a member, and returns it as it is then.
Save = Callable[[Member], Member]


@dataclasses.dataclass(frozen=True)
class Done:
    """End of a step that went well."""

    member: Member
    message: str


class Stopped(Exception):
    """The process is to end: the member stays at its step."""


class RunnableStep(Protocol):
    """Step that may be run again after a kill at any point of it."""

    def run(self, member: Member, visit: Visit, save: Save) -> Done:
        """Do it.

        :raises TroveUpgradeError: it cannot be done; the member is turned back.
        :raises Stopped: the process is to end while the step waits.
        """
