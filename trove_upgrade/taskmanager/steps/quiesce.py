# SPDX-License-Identifier: Apache-2.0
"""Quiesce: the guest takes the fingerprint, stops its database,
and keeps what must survive on the volume.
"""

import dataclasses
from typing import Any

from trove_upgrade.domain import exceptions, guest, ports, upgrade, upgrade_info
from trove_upgrade.taskmanager.steps.calls import Calls, answered
from trove_upgrade.taskmanager.steps.outcome import Done, Wait
from trove_upgrade.taskmanager.steps.task import require_quiet

#: In the row's data: the attempt in which the guest was first told to stop.  From then on
#: giving up means undoing.
TOUCHED = 'guest_touched_in_attempt'


@dataclasses.dataclass(frozen=True)
class Quiesce:
    """`pre_upgrade` until it is DONE; a second call joins the job or gets its answer."""

    agent: ports.Guest
    instances: ports.InstanceRepository
    calls: Calls
    timeout_seconds: float
    hold_seconds: float

    def run(self, row: upgrade.Upgrade) -> Done | Wait:
        """:raises StepRefused: the guest cannot, or another action has taken the instance."""
        require_quiet(
            self.instances, row
        )  # each time: who takes over cannot know whether the guest was ever told
        if row.data.get(TOUCHED) != row.attempt:
            return Wait(0, 'The guest is told to stop its database.', data={TOUCHED: row.attempt})
        answer = answered(
            self.agent.pre_upgrade, self.calls.with_facts(row), exceptions.StepRefused
        )
        if answer.state is guest.JobState.RUNNING:
            return self.calls.ask_again(row, answer)
        info = _carried(row, answer)
        return Done(
            answer.message,
            data={
                'upgrade_info': info,
                'stopped_at': info.get('stopped_at'),
                'former_boot_id': answer.boot_id or row.data.get('former_boot_id') or '',
            },
        )

    def expired(self, row: upgrade.Upgrade, found: str) -> exceptions.TroveUpgradeError:
        """The guest undoes it."""
        return exceptions.StepRefused(
            f'Instance {row.instance_id} cannot be upgraded: its guest was not ready after '
            f'{self.timeout_seconds:g} s ({found}). Look at the guest, then upgrade again.',
            'QUIESCE_TIMEOUT',
        )


def _carried(row: upgrade.Upgrade, answer: guest.GuestAnswer) -> dict[str, Any]:
    """Return the facts for the next root disk.  They become configuration there, so none is stored
    before all have their form.

    :raises StepRefused: UPGRADE_INFO_INVALID; nothing was rebuilt, and the guest undoes its part.
    """
    try:
        return upgrade_info.carried(answer.result.get('upgrade_info'))
    except upgrade_info.Invalid as error:
        raise exceptions.StepRefused(
            f'Instance {row.instance_id} was not rebuilt: the upgrade_info that its guest agent '
            f'returned is not of its form, {error}. Look at the agent in the guest and at its '
            'version, then upgrade again.',
            upgrade_info.CODE,
        ) from None
