# SPDX-License-Identifier: Apache-2.0
"""Verify: the server itself says that it is the target version, takes a write,
and would serve after a reboot.

Beside Trove its own agent then has up to a minute until its next heartbeat, and Trove would show an
ACTIVE instance with a database that is SHUTDOWN or, after 90 s of silence, ERROR.  So the end waits
for that heartbeat, for a while; clients are served meanwhile.
"""

import dataclasses
import datetime

from trove_upgrade.domain import exceptions, notes, ports, states, versions
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.guest_results import Verified
from trove_upgrade.domain.guests import JobState
from trove_upgrade.domain.instances import ServiceStatus
from trove_upgrade.domain.outcomes import Done, GoTo, Outcome, Wait
from trove_upgrade.domain.upgrades import Upgrade
from trove_upgrade.taskmanager.root_disk import REBUILT_AGAIN, RootDisk
from trove_upgrade.taskmanager.steps.calls import Calls, settled

#: Seconds between two looks at the status that Trove's own agent reports.
_STATUS_POLL_SECONDS = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verify:
    """`verify_upgrade` until it is DONE, then the version is compared here, too."""

    agent: ports.Guest
    guests: ports.GuestRepository
    instances: ports.InstanceRepository
    calls: Calls
    root_disk: RootDisk
    timeout_seconds: float
    hold_seconds: float
    status_seconds: float = 0.0  #: how long Trove's own agent is waited for; 0: there is none

    def run(self, upgrade: Upgrade) -> Outcome:
        """Have the guest verify its server, then wait for Trove's own agent.

        :raises StepFailed: something does not hold.
        """
        if self._is_unrestored(upgrade):
            # Not at once: a guest that answers with another boot id than it beats with would have
            # the two steps call each other.
            return GoTo(
                upgrade=upgrade,
                step=states.Step.RESTORE,
                message='The guest was booted with an empty root disk again; its files are '
                'restored again.',
                seconds=1,
            )
        if upgrade.progress.verify.passed_in_attempt == upgrade.attempt:
            return self._reported(upgrade)
        if self.root_disk.must_be_rebuilt(upgrade):
            return GoTo(upgrade=upgrade, step=states.Step.REBUILD, message=REBUILT_AGAIN)
        call = self.calls.plain(upgrade)
        answer = settled(
            self.root_disk.asked(self.agent.verify_upgrade, upgrade, call), exceptions.StepFailed
        )
        if answer.state is JobState.RUNNING:
            return self.calls.ask_again(upgrade, answer)
        running = Verified.from_wire(answer.result).server_version or answer.server_version
        if not versions.is_same(upgrade.wanted_number, running):
            raise exceptions.StepFailed(
                f'The wrong server runs on instance {upgrade.instance_id}: {running}, expected '
                f'{upgrade.wanted_number}. Look at image {upgrade.wanted_image_id} '
                'of the datastore version.',
                Code.SERVER_VERSION_DIFFERS,
            )
        served = upgrade.progress.served(running, answer.agent_version)
        message = f'The database serves as {running}.'
        if self.status_seconds <= 0:
            return Done(upgrade.evolve(progress=served), message)
        verified = served.verified(upgrade.attempt, self.calls.clock.now())
        return Wait(upgrade=upgrade.evolve(progress=verified), seconds=0, message=message)

    def _is_unrestored(self, upgrade: Upgrade) -> bool:
        heartbeat = self.guests.heartbeat(upgrade.instance_id)
        return (
            heartbeat is not None
            and heartbeat.marker == upgrade.marker
            and not heartbeat.restored
            and heartbeat.boot_id != upgrade.progress.restore.boot_id
        )

    def _reported(self, upgrade: Upgrade) -> Outcome:
        """End the step once Trove has been told, too.  Never fails what has passed."""
        serves = f'The database serves as {upgrade.progress.new.server_version}.'
        status = self.instances.service_status(upgrade.instance_id)
        told = (
            status.updated_at.isoformat()
            if status is not None and status.updated_at is not None
            else None
        )
        description = status.description if status is not None else 'nothing yet'
        if description == ServiceStatus.HEALTHY and told != upgrade.progress.restore.status_seen_at:
            return Done(upgrade, serves)
        if description == ServiceStatus.RESTART_REQUIRED:
            # Trove's conductor takes no heartbeat before a restart by Trove itself.
            remark = (
                'Trove shows RESTART_REQUIRED, as before: only its own restart takes that away.'
            )
            return Done(_remarked(upgrade, notes.NoteCode.TROVE_RESTART_REQUIRED, remark), serves)
        if self.calls.clock.now() >= self._waits_until(upgrade):
            remark = (
                f'The agent of Trove has not reported it healthy within {self.status_seconds:g} s; '
                f'its last word is {description!r}. Look at trove-guestagent in the guest if that '
                'stays.'
            )
            return Done(_remarked(upgrade, notes.NoteCode.TROVE_AGENT_SILENT, remark), serves)
        message = f'{serves} Waiting for the agent of Trove to report it, too.'
        return Wait(upgrade=upgrade, seconds=_STATUS_POLL_SECONDS, message=message)

    def _waits_until(self, upgrade: Upgrade) -> datetime.datetime:
        passed_at = upgrade.progress.verify.passed_at or self.calls.clock.now()
        until = passed_at + datetime.timedelta(seconds=self.status_seconds)
        if upgrade.step_deadline is None:
            return until
        spare = datetime.timedelta(seconds=2 * _STATUS_POLL_SECONDS)
        return min(until, upgrade.step_deadline - spare)

    def expired(self, upgrade: Upgrade, found: str) -> exceptions.TroveUpgradeError:
        """Fail the upgrade: the database serves, as far as is known, and that was not verified."""
        return exceptions.StepFailed(
            f'The upgraded database of instance {upgrade.instance_id} was not verified within '
            f'{self.timeout_seconds:g} s ({found}). Look at the guest, then retry the upgrade.',
            'VERIFY_TIMEOUT',
        )


def _remarked(upgrade: Upgrade, code: notes.NoteCode, message: str) -> Upgrade:
    remark = notes.Note(states.Step.VERIFY, code, message)
    return upgrade.evolve(progress=upgrade.progress.remarked(remark))
