# SPDX-License-Identifier: Apache-2.0
"""Restore: the guest brings back what was kept, starts the new server on the data, upgrades, compares, opens."""
import dataclasses
import datetime
from typing import Any

from trove_upgrade.domain import exceptions, guest, ports, upgrade
from trove_upgrade.taskmanager.steps.calls import Calls, answered
from trove_upgrade.taskmanager.steps.outcome import Done, Wait

#: In the row's data: the attempt in which post_upgrade was first sent.  From then on the point of no return counts as passed.
SENT = 'post_upgrade_sent_in_attempt'


@dataclasses.dataclass(frozen=True)
class Restore:
    """`post_upgrade` until it is DONE; a second call joins the job, and each part of it leaves a mark on the volume."""

    agent: ports.Guest
    guests: ports.GuestRepository
    calls: Calls
    timeout_seconds: float
    hold_seconds: float

    def run(self, row: upgrade.Upgrade) -> Done | Wait:
        """:raises StepFailed: the guest cannot."""
        if row.data.get(SENT) != row.attempt:
            return Wait(0, 'The guest restores its files and upgrades the data.', data={SENT: row.attempt})
        answer = answered(self.agent.post_upgrade, self.calls.plain(row), exceptions.StepFailed)
        if answer.state is guest.JobState.RUNNING:
            return self.calls.ask_again(row, answer)
        heartbeat = self.guests.heartbeat(row.instance_id)
        boot_id = answer.boot_id or (heartbeat.boot_id if heartbeat else '')
        stopped_at = answer.result.get('stopped_at') or row.data.get('stopped_at')
        return Done(answer.message, data={
            'restored_boot_id': boot_id, 'fingerprint': dict(answer.result.get('fingerprint') or {}),
            'settings_changed': list(answer.result.get('settings_changed') or []),
            'remarks': list(answer.result.get('remarks') or []),
            'downtime_seconds': _seconds(stopped_at, answer.result.get('opened_at'))})

    def expired(self, row: upgrade.Upgrade, found: str) -> exceptions.TroveUpgradeError:
        """The data may be half-way; the guest's marks know how far."""
        return exceptions.StepFailed(
            f'The guest of instance {row.instance_id} did not restore and upgrade its data within {self.timeout_seconds:g} s ({found}). '
            f'Look at the guest, then retry the upgrade: it goes on where it stopped.', 'RESTORE_TIMEOUT')


def _seconds(stopped_at: Any, opened_at: Any) -> float | None:
    """Between two ISO 8601 times of the guest's own clock; None where it did not report both."""
    if not isinstance(stopped_at, str) or not isinstance(opened_at, str):
        return None
    return round((datetime.datetime.fromisoformat(opened_at) - datetime.datetime.fromisoformat(stopped_at)).total_seconds(), 3)
