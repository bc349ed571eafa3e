# SPDX-License-Identifier: Apache-2.0
"""Boot: the new root disk's agent says that it is there."""

import dataclasses

from trove_upgrade.domain import exceptions, ports, states
from trove_upgrade.domain.guests import Heartbeat
from trove_upgrade.domain.outcomes import Done, GoTo, Outcome, Wait
from trove_upgrade.domain.upgrades import Upgrade
from trove_upgrade.sealing.ports import GuestKeys


@dataclasses.dataclass(frozen=True, kw_only=True)
class Boot:
    """Waits for a heartbeat that carries this rebuild's marker and another boot id, under the key
    of this rebuild.  Only reads.
    """

    guests: ports.GuestRepository
    keys: GuestKeys
    poll_seconds: float  #: a heartbeat wakes the step earlier
    timeout_seconds: float
    hold_seconds: float
    takes_unsealed: bool = False  #: the operator lets guests with keys report unsealed

    def run(self, upgrade: Upgrade) -> Outcome:
        """Wait for the new guest's heartbeat. Raises nothing: what does not come is found by the
        time-out.
        """
        heartbeat = self.guests.heartbeat(upgrade.instance_id)
        if heartbeat is None or heartbeat.marker != upgrade.marker:
            if upgrade.progress.rebuild.asked_in_attempt != upgrade.attempt:
                # a retry: what has not come by now needs another rebuild
                return GoTo(
                    upgrade=upgrade,
                    step=states.Step.REBUILD,
                    message='The server is rebuilt again.',
                )
            return Wait(
                upgrade=upgrade,
                seconds=self.poll_seconds,
                message='Waiting for the agent of the new image: '
                f'{_last_word(upgrade, heartbeat)}.',
            )
        if heartbeat.boot_id == upgrade.progress.former.boot_id:
            return Wait(
                upgrade=upgrade, seconds=self.poll_seconds, message='The former guest still runs.'
            )
        if not self._is_under_its_key(upgrade):
            return Wait(
                upgrade=upgrade,
                seconds=self.poll_seconds,
                message='Waiting for the agent of the new image: the last word was not under the '
                'key of this rebuild.',
            )
        progress = upgrade.progress.booted(heartbeat.boot_id, heartbeat.agent_version)
        return Done(
            upgrade.evolve(progress=progress),
            f'Agent {heartbeat.agent_version} runs in the new guest.',
        )

    def _is_under_its_key(self, upgrade: Upgrade) -> bool:
        key_id = self.keys.minted_id(upgrade.instance_id, upgrade.marker)
        if key_id is None:
            return True
        heard_under = self.guests.heard_under(upgrade.instance_id)
        return heard_under == key_id or (heard_under is None and self.takes_unsealed)

    def expired(self, upgrade: Upgrade, found: str) -> exceptions.TroveUpgradeError:
        """The image has no agent, or it cannot reach the broker."""
        return exceptions.StepFailed(
            f'The new guest of instance {upgrade.instance_id} did not report within '
            f'{self.timeout_seconds:g} s ({found}). Look at the console of server '
            f'{upgrade.server_id}: does image {upgrade.wanted_image_id} have the agent, does it '
            'reach the broker, and does it know sealed calls if the rebuild brought a key '
            '("trove-upgrade-manage guest-key list")? Then retry the upgrade.',
            'BOOT_TIMEOUT',
        )


def _last_word(upgrade: Upgrade, heartbeat: Heartbeat | None) -> str:
    if heartbeat is None:
        return 'none was ever heard from this guest'
    if heartbeat.boot_id == upgrade.progress.former.boot_id:
        return 'the last word is of the former guest'
    return 'the last word is of another boot, which was not of this rebuild'
