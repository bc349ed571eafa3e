# SPDX-License-Identifier: Apache-2.0
"""Outcomes of one run of a step.  Each carries the upgrade as it is to be committed."""

import dataclasses
import enum

from trove_upgrade.domain.exceptions import TroveUpgradeError
from trove_upgrade.domain.states import Step
from trove_upgrade.domain.upgrades import Upgrade


class WaitReason(enum.Enum):
    """Reasons to run a step again later."""

    WORK = 'work'  #: the step goes on
    SILENT_GUEST = 'silent_guest'  #: the guest gave no answer: the upgrade rests
    #: Nova or the broker gave no answer: nothing is known of this guest, nothing is counted, and a
    #: nudge may come sooner.
    OUTAGE = 'outage'


@dataclasses.dataclass(frozen=True)
class Done:
    """The step has done its part."""

    upgrade: Upgrade
    message: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wait:
    """Run the step again in `seconds`; with 0 at once, after the commit."""

    upgrade: Upgrade
    seconds: float
    message: str | None = None
    percent: int | None = None
    reason: WaitReason = WaitReason.WORK


@dataclasses.dataclass(frozen=True, kw_only=True)
class GoTo:
    """Run an earlier step again, in `seconds`: what it has done does not hold any more."""

    upgrade: Upgrade
    step: Step
    message: str
    seconds: float = 0


@dataclasses.dataclass(frozen=True)
class Broken:
    """The step has refused or failed, and the upgrade is as it was before the run."""

    upgrade: Upgrade
    error: TroveUpgradeError


Outcome = Done | Wait | GoTo
