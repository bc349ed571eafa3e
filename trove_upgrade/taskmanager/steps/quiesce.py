# SPDX-License-Identifier: Apache-2.0
"""Quiesce: the guest takes the fingerprint, stops its database,
and keeps what must survive on the volume.
"""

import dataclasses

from trove_upgrade.domain import exceptions, guests, ports, upgrade_info
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.guest_results import Quiesced
from trove_upgrade.domain.outcomes import Done, Outcome, Wait
from trove_upgrade.domain.upgrades import Upgrade
from trove_upgrade.taskmanager.steps.calls import Calls, answered
from trove_upgrade.taskmanager.steps.task import require_quiet


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quiesce:
    """`pre_upgrade` until it is DONE; a second call joins the job or gets its answer."""

    agent: ports.Guest
    instances: ports.InstanceRepository
    calls: Calls
    timeout_seconds: float
    hold_seconds: float

    def run(self, upgrade: Upgrade) -> Outcome:
        """Have the guest stop its database and keep what must survive.

        :raises StepRefused: the guest cannot, or another action has taken the instance.
        """
        # each time: who takes over cannot know whether the guest was ever told
        require_quiet(self.instances, upgrade)
        if upgrade.progress.quiesce.told_in_attempt != upgrade.attempt:
            told = upgrade.progress.told_to_stop(upgrade.attempt)
            message = 'The guest is told to stop its database.'
            return Wait(upgrade=upgrade.evolve(progress=told), seconds=0, message=message)
        answer = answered(
            self.agent.pre_upgrade, self.calls.with_facts(upgrade), exceptions.StepRefused
        )
        if answer.state is guests.JobState.RUNNING:
            return self.calls.ask_again(upgrade, answer)
        progress = upgrade.progress.quiesced(
            _info(upgrade, answer), answer.boot_id, Quiesced.from_wire(answer.result).quiesced_at
        )
        return Done(upgrade.evolve(progress=progress), answer.message)

    def expired(self, upgrade: Upgrade, found: str) -> exceptions.TroveUpgradeError:
        """Refuse the upgrade; the guest undoes its part."""
        return exceptions.StepRefused(
            f'Instance {upgrade.instance_id} cannot be upgraded: its guest was not ready after '
            f'{self.timeout_seconds:g} s ({found}). Look at the guest, then upgrade again.',
            'QUIESCE_TIMEOUT',
        )


def _info(upgrade: Upgrade, answer: guests.GuestAnswer) -> upgrade_info.StoredInfo:
    """Return the facts for the next root disk.  They become configuration there, so none is stored
    before all have their form.

    :raises StepRefused: UPGRADE_INFO_INVALID; nothing was rebuilt, and the guest undoes its part.
    """
    try:
        return upgrade_info.StoredInfo(
            upgrade_info.carried(Quiesced.from_wire(answer.result).upgrade_info)
        )
    except upgrade_info.Invalid as error:
        raise exceptions.StepRefused(
            f'Instance {upgrade.instance_id} was not rebuilt: the upgrade_info that its guest '
            f'agent returned is not of its form, {error}. Look at the agent in the guest and at '
            'its version, then upgrade again.',
            Code.UPGRADE_INFO_INVALID,
        ) from None
