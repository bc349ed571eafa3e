# SPDX-License-Identifier: Apache-2.0
"""Undo: an upgrade is given up before the rebuild; the former guest serves again."""

import dataclasses

from trove_upgrade.domain import exceptions, guest, ports, upgrade
from trove_upgrade.taskmanager.steps.calls import Calls, answered
from trove_upgrade.taskmanager.steps.outcome import Done, Wait

#: The guest has undone its part, and its database does not serve all the same.
NOT_SERVING = 'UNDO_NOT_SERVING'


@dataclasses.dataclass(frozen=True)
class Undo:
    """`abort_upgrade` until the guest says that its database serves."""

    agent: ports.Guest
    calls: Calls
    timeout_seconds: float
    hold_seconds: float

    def run(self, row: upgrade.Upgrade) -> Done | Wait:
        """:raises StepFailed: it cannot say so."""
        answer = answered(self.agent.abort_upgrade, self.calls.plain(row), exceptions.StepFailed)
        if answer.state is guest.JobState.RUNNING:
            return self.calls.ask_again(row, answer)
        if not answer.serving:
            raise exceptions.StepFailed(
                f'The former guest of instance {row.instance_id} has undone its part, and its '
                f'database does not serve: {answer.message} Look at the database in the guest.',
                NOT_SERVING,
            )
        return Done('The database serves as before.')

    def expired(self, row: upgrade.Upgrade, found: str) -> exceptions.TroveUpgradeError:
        """It is not known whether it serves."""
        return exceptions.StepFailed(
            f'The guest of instance {row.instance_id} did not say within '
            f'{self.timeout_seconds:g} s that its database serves again ({found}). '
            'Look at the guest.',
            'UNDO_TIMEOUT',
        )
