# SPDX-License-Identifier: Apache-2.0
"""The end of an attempt, as the repository could write it."""

import dataclasses

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.upgrades import Upgrade


@dataclasses.dataclass(frozen=True)
class Ending:
    """The end that was written: as it was asked for, or FAILED where the instance is displaced."""

    upgrade: Upgrade
    #: Another action had taken the instance: the upgrade is FAILED, whatever end was asked for.
    is_displaced: bool = False


def displaced(
    held: Upgrade, changed: exceptions.InstanceChanged, *, version_recorded: bool
) -> Upgrade:
    """Return the upgrade with the cause of such an end.

    :param version_recorded: it was done, and its instance has the new version all the same.
    """
    cause = (
        changed.message
        if held.cause in {None, changed.message}
        else f'{changed.message} Before that: {held.cause}'
    )
    if version_recorded:
        cause = f'{cause} The upgrade itself was done: the instance runs its new version.'
    return held.evolve(cause=cause, error_code=changed.code)
