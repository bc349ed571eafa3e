# SPDX-License-Identifier: Apache-2.0
"""Restore: the guest brings back what was kept, starts the new server on the data, upgrades,
compares, opens.
"""

import dataclasses
import datetime
from typing import Any

from trove_upgrade.domain import exceptions, guest, notes, ports, states, upgrade, upgrade_info
from trove_upgrade.domain.upgrade import ASKED_FOR, SENT, SENT_BACK, STATUS_SEEN, UNTOUCHED
from trove_upgrade.taskmanager.steps.calls import Calls, settled
from trove_upgrade.taskmanager.steps.outcome import Done, Wait


@dataclasses.dataclass(frozen=True)
class Restore:
    """`post_upgrade` until it is DONE; a second call joins the job, and each part of it leaves a
    mark on the volume.
    """

    agent: ports.Guest
    guests: ports.GuestRepository
    instances: ports.InstanceRepository
    calls: Calls
    timeout_seconds: float
    hold_seconds: float

    def run(self, row: upgrade.Upgrade) -> Done | Wait:
        """:raises StepFailed: the guest cannot."""
        _require_info(
            row
        )  # before the row says that the guest may have been asked: there is a way back still
        sent = SENT_BACK if row.is_rolling_back else SENT
        if row.data.get(sent) != row.attempt:
            if self._is_somebody_elses(row):
                return Wait(
                    0,
                    'Somebody else has rebuilt the server; it is rebuilt again.',
                    changes={'step': states.Step.REBUILD},
                )
            status = self.instances.service_status(row.instance_id)
            seen = (
                status.updated_at.isoformat()
                if status is not None and status.updated_at is not None
                else None
            )
            return Wait(
                0,
                'The guest restores its files and upgrades the data.',
                data={sent: row.attempt, STATUS_SEEN: seen},
            )
        answer = self.agent.post_upgrade(self.calls.plain(row))
        learned = _learned(row, answer)
        if learned:
            return Wait(0, answer.message, answer.percent, data=learned)
        settled(answer, exceptions.StepFailed)
        if answer.state is guest.JobState.RUNNING:
            return self.calls.ask_again(row, answer)
        heartbeat = self.guests.heartbeat(row.instance_id)
        boot_id = answer.boot_id or (heartbeat.boot_id if heartbeat else '')
        stopped_at = answer.result.get('stopped_at') or row.data.get('stopped_at')
        found = notes.Notes.of(answer.result)
        return Done(
            answer.message,
            data={
                'restored_boot_id': boot_id,
                'fingerprint': dict(answer.result.get('fingerprint') or {}),
                notes.SETTINGS_CHANGED: [change.to_row() for change in found.settings_changed],
                notes.REMARKS: [remark.to_row() for remark in found.remarks],
                'downtime_seconds': _seconds(stopped_at, answer.result.get('opened_at')),
            },
        )

    def _is_somebody_elses(self, row: upgrade.Upgrade) -> bool:
        """A retry finds a root disk without this rebuild's marker: Trove's own rebuild can have set
        up its network and its engine in another way.
        """
        heartbeat = self.guests.heartbeat(row.instance_id)
        return (
            heartbeat is not None
            and heartbeat.marker != row.marker
            and row.data.get(ASKED_FOR) != row.attempt
        )

    def expired(self, row: upgrade.Upgrade, found: str) -> exceptions.TroveUpgradeError:
        """The data may be half-way; the guest's marks know how far."""
        return exceptions.StepFailed(
            f'The guest of instance {row.instance_id} did not restore and upgrade its data within '
            f'{self.timeout_seconds:g} s ({found}). Look at the guest, then retry the upgrade: it '
            'goes on where it stopped.',
            'RESTORE_TIMEOUT',
        )


def _require_info(row: upgrade.Upgrade) -> None:
    """:raises StepFailed: UPGRADE_INFO_INVALID; the row holds facts that
    no guest of ours returned.
    """
    try:
        upgrade_info.carried(row.data.get('upgrade_info'))
    except upgrade_info.Invalid as error:
        raise upgrade_info.not_returned(str(error)) from None


def _learned(row: upgrade.Upgrade, answer: guest.GuestAnswer) -> dict[str, int | None]:
    """Return what the guest says of the point of no return, if the row does not know it yet:
    committed before anything is decided by it.

    Only a job that has ended can say that no server was started,
    and only a guest that sees the volume does.
    """
    ended = answer.state in {guest.JobState.REFUSED, guest.JobState.FAILED}
    if row.is_rolling_back:
        return (
            {SENT: row.attempt, UNTOUCHED: None}
            if ended and answer.server_started_on_data and not row.no_return
            else {}
        )
    untouched = row.attempt if ended and answer.server_started_on_data is False else None
    return {} if row.data.get(UNTOUCHED) == untouched else {UNTOUCHED: untouched}


def _seconds(stopped_at: Any, opened_at: Any) -> float | None:
    """Between two ISO 8601 times of the guest's own clock; None where it did not report both."""
    if not upgrade_info.is_time(stopped_at) or not upgrade_info.is_time(opened_at):
        return None
    return round(
        (
            datetime.datetime.fromisoformat(opened_at) - datetime.datetime.fromisoformat(stopped_at)
        ).total_seconds(),
        3,
    )
