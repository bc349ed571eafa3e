# SPDX-License-Identifier: Apache-2.0
"""Undo: an upgrade is given up before the rebuild; the former guest serves again."""

import dataclasses

from trove_upgrade.domain import exceptions, guests, ports
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.outcomes import Done, Outcome
from trove_upgrade.domain.upgrades import Upgrade
from trove_upgrade.taskmanager.steps.calls import Calls, answered


@dataclasses.dataclass(frozen=True, kw_only=True)
class Undo:
    """`abort_upgrade` until the guest says that its database serves."""

    agent: ports.Guest
    calls: Calls
    timeout_seconds: float
    hold_seconds: float

    def run(self, upgrade: Upgrade) -> Outcome:
        """Have the former guest undo its part, until its database serves.

        :raises StepFailed: it cannot say so.
        """
        answer = answered(
            self.agent.abort_upgrade, self.calls.plain(upgrade), exceptions.StepFailed
        )
        if answer.state is guests.JobState.RUNNING:
            return self.calls.ask_again(upgrade, answer)
        if not answer.serving:
            raise exceptions.StepFailed(
                f'The former guest of instance {upgrade.instance_id} has undone its part, and its '
                f'database does not serve: {answer.message} Look at the database in the guest.',
                Code.UNDO_NOT_SERVING,
            )
        return Done(upgrade, 'The database serves as before.')

    def expired(self, upgrade: Upgrade, found: str) -> exceptions.TroveUpgradeError:
        """Fail the upgrade: it is not known whether the database serves."""
        return exceptions.StepFailed(
            f'The guest of instance {upgrade.instance_id} did not say within '
            f'{self.timeout_seconds:g} s that its database serves again ({found}). '
            'Look at the guest.',
            'UNDO_TIMEOUT',
        )
