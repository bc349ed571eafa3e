# SPDX-License-Identifier: Apache-2.0
"""Restore: the guest brings back what was kept, starts the new server on the data, upgrades,
compares, opens.
"""

import dataclasses
import datetime

from trove_upgrade.domain import downtime, exceptions, ports, states, upgrade_info
from trove_upgrade.domain.guest_results import Restored
from trove_upgrade.domain.guests import GuestAnswer, JobState
from trove_upgrade.domain.outcomes import Done, GoTo, Outcome, Wait
from trove_upgrade.domain.progress import Progress
from trove_upgrade.domain.upgrades import Upgrade
from trove_upgrade.taskmanager.root_disk import REBUILT_AGAIN, RootDisk
from trove_upgrade.taskmanager.steps.calls import Calls, settled


@dataclasses.dataclass(frozen=True, kw_only=True)
class Restore:
    """`post_upgrade` until it is DONE; a second call joins the job, and each part of it leaves a
    mark on the volume.
    """

    agent: ports.Guest
    guests: ports.GuestRepository
    instances: ports.InstanceRepository
    calls: Calls
    root_disk: RootDisk
    timeout_seconds: float
    hold_seconds: float

    def run(self, upgrade: Upgrade) -> Outcome:
        """Have the guest restore its files and start the new server.

        :raises StepFailed: the guest cannot.
        """
        _require_info(upgrade)  # before post_upgrade counts as sent: there is a way back still
        if not upgrade.progress.restore_was_sent(upgrade.attempt):
            return self._send(upgrade)
        answer = self.root_disk.asked(self.agent.post_upgrade, upgrade, self.calls.plain(upgrade))
        learned = _learned(upgrade, answer)
        if learned is not None:
            return Wait(
                upgrade=upgrade.evolve(progress=learned),
                seconds=0,
                message=answer.message,
                percent=answer.percent,
            )
        settled(answer, exceptions.StepFailed)
        if answer.state is JobState.RUNNING:
            return self.calls.ask_again(upgrade, answer)
        return Done(self._restored(upgrade, answer), answer.message)

    def _send(self, upgrade: Upgrade) -> Outcome:
        """Commit that the guest may have been asked, before it is."""
        if self._is_rebuilt_by_another(upgrade):
            return GoTo(upgrade=upgrade, step=states.Step.REBUILD, message=REBUILT_AGAIN)
        status = self.instances.service_status(upgrade.instance_id)
        seen = (
            status.updated_at.isoformat()
            if status is not None and status.updated_at is not None
            else None
        )
        return Wait(
            upgrade=upgrade.evolve(progress=upgrade.progress.restore_sent(upgrade.attempt, seen)),
            seconds=0,
            message='The guest restores its files and upgrades the data.',
        )

    def _restored(self, upgrade: Upgrade, answer: GuestAnswer) -> Upgrade:
        heartbeat = self.guests.heartbeat(upgrade.instance_id)
        restored = Restored.from_wire(answer.result)
        stopped_at = restored.stopped_at or upgrade.progress.quiesce.stopped_at
        return upgrade.evolve(
            progress=upgrade.progress.restored(
                boot_id=answer.boot_id or (heartbeat.boot_id if heartbeat else ''),
                fingerprint=dict(restored.compared.fingerprint),
                downtime_seconds=downtime.between(stopped_at, restored.opened_at),
                found=restored.notes(),
            ).opened(
                self._opened_at(restored),
                downtime.between(restored.opening_at, restored.opened_at),
            )
        )

    def _opened_at(self, restored: Restored) -> datetime.datetime:
        """Return the time at which clients were let in; now, where the guest does not tell it."""
        told = restored.opened_at
        if not upgrade_info.is_time(told):
            return self.calls.clock.now()
        return datetime.datetime.fromisoformat(str(told)).astimezone(datetime.UTC)

    def _is_rebuilt_by_another(self, upgrade: Upgrade) -> bool:
        """A retry finds a root disk without this rebuild's marker: Trove's own rebuild can have set
        up its network and its engine in another way.
        """
        heartbeat = self.guests.heartbeat(upgrade.instance_id)
        return self.root_disk.must_be_rebuilt(upgrade) or (
            heartbeat is not None
            and heartbeat.marker != upgrade.marker
            and upgrade.progress.rebuild.asked_in_attempt != upgrade.attempt
        )

    def expired(self, upgrade: Upgrade, found: str) -> exceptions.TroveUpgradeError:
        """The data may be half-way; the guest's marks know how far."""
        return exceptions.StepFailed(
            f'The guest of instance {upgrade.instance_id} did not restore and upgrade its data '
            f'within {self.timeout_seconds:g} s ({found}). Look at the guest, then retry the '
            'upgrade: it goes on where it stopped.',
            'RESTORE_TIMEOUT',
        )


def _require_info(upgrade: Upgrade) -> None:
    """Check the facts that quiesce has kept in the upgrade.

    :raises StepFailed: UPGRADE_INFO_INVALID; the upgrade holds facts that
    no guest of ours returned.
    """
    try:
        upgrade.progress.quiesce.info.checked()
    except upgrade_info.Invalid as error:
        raise upgrade_info.not_returned(str(error)) from None


def _learned(upgrade: Upgrade, answer: GuestAnswer) -> Progress | None:
    """Return what the guest tells of the point of no return, if it is not known yet: committed
    before anything is decided by it.  None: nothing new.

    Only a job that has ended can tell that no server was started,
    and only a guest that sees the volume does.
    """
    ended = answer.state in {JobState.REFUSED, JobState.FAILED}
    progress, started = upgrade.progress, answer.server_started_on_data
    if upgrade.is_rolling_back:
        is_new = ended and started and not upgrade.no_return
        return progress.data_touched(upgrade.attempt) if is_new else None
    untouched = upgrade.attempt if ended and started is False else None
    if progress.restore.untouched_in_attempt == untouched:
        return None
    return progress.data_untouched(untouched)
