# SPDX-License-Identifier: Apache-2.0
"""Verify: the server itself says that it is the target version, takes a write,
and would serve after a reboot.

Beside Trove its own agent then has up to a minute until its next heartbeat, and Trove would show an
ACTIVE instance whose database is SHUTDOWN or, after 90 s of silence, ERROR.  So the end waits for
that heartbeat, for a while; clients are served meanwhile.
"""

import dataclasses
import datetime

from trove_upgrade.domain import exceptions, guest, notes, ports, states, upgrade, versions
from trove_upgrade.domain.upgrade import STATUS_SEEN, VERIFIED, VERIFIED_AT
from trove_upgrade.taskmanager.steps.calls import Calls, answered
from trove_upgrade.taskmanager.steps.outcome import Done, Wait

#: Service statuses as Trove calls them (service_statuses.status_description).
_HEALTHY, _RESTART_REQUIRED = 'healthy', 'restart required'
_STATUS_POLL_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class Verify:
    """`verify_upgrade` until it is DONE, then the version is compared here, too."""

    agent: ports.Guest
    guests: ports.GuestRepository
    instances: ports.InstanceRepository
    calls: Calls
    timeout_seconds: float
    hold_seconds: float
    status_seconds: float = 0.0  #: how long Trove's own agent is waited for; 0: there is none

    def run(self, row: upgrade.Upgrade) -> Done | Wait:
        """:raises StepFailed: something does not hold."""
        heartbeat = self.guests.heartbeat(row.instance_id)
        if (
            heartbeat is not None
            and heartbeat.marker == row.marker
            and not heartbeat.restored
            and heartbeat.boot_id != row.data.get('restored_boot_id')
        ):
            # Not at once: a guest that answers with another boot id than it beats with would have
            # the two steps call each other.
            return Wait(
                1,
                'The guest was booted with an empty root disk again; its files are restored again.',
                changes={'step': states.Step.RESTORE},
            )
        if row.data.get(VERIFIED) == row.attempt:
            return self._reported(row)
        answer = answered(self.agent.verify_upgrade, self.calls.plain(row), exceptions.StepFailed)
        if answer.state is guest.JobState.RUNNING:
            return self.calls.ask_again(row, answer)
        running = answer.result.get('server_version') or answer.server_version
        if not same_version(row.wanted_number, running):
            raise exceptions.StepFailed(
                f'The wrong server runs on instance {row.instance_id}: {running}, expected '
                f'{row.wanted_number}. Look at image {row.wanted_image_id} '
                'of the datastore version.',
                'SERVER_VERSION_DIFFERS',
            )
        found = {'server_version': running, 'agent_version': answer.agent_version}
        if self.status_seconds <= 0:
            return Done(f'The database serves as {running}.', data=found)
        return Wait(
            0,
            f'The database serves as {running}.',
            data={**found, VERIFIED: row.attempt, VERIFIED_AT: self.calls.clock.now().isoformat()},
        )

    def _reported(self, row: upgrade.Upgrade) -> Done | Wait:
        """Return whether Trove has been told so, too.  Never fails what has passed."""
        serves = f'The database serves as {row.data.get("server_version")}.'
        status = self.instances.service_status(row.instance_id)
        told = (
            status.updated_at.isoformat()
            if status is not None and status.updated_at is not None
            else None
        )
        said = status.description if status is not None else 'nothing yet'
        if said == _HEALTHY and told != row.data.get(STATUS_SEEN):
            return Done(serves)
        if (
            said == _RESTART_REQUIRED
        ):  # Trove's conductor takes no heartbeat before a restart by Trove itself
            return Done(
                serves,
                data=_remarked(
                    row,
                    notes.Code.TROVE_RESTART_REQUIRED,
                    'Trove shows RESTART_REQUIRED, as before: only its own restart '
                    'takes that away.',
                ),
            )
        now = self.calls.clock.now()
        until = datetime.datetime.fromisoformat(str(row.data[VERIFIED_AT])) + datetime.timedelta(
            seconds=self.status_seconds
        )
        if row.step_deadline is not None:
            until = min(
                until, row.step_deadline - datetime.timedelta(seconds=2 * _STATUS_POLL_SECONDS)
            )
        if now >= until:
            remark = (
                f'The agent of Trove has not reported it healthy within {self.status_seconds:g} s; '
                f'its last word is {said!r}. Look at trove-guestagent in the guest if that stays.'
            )
            return Done(serves, data=_remarked(row, notes.Code.TROVE_AGENT_SILENT, remark))
        return Wait(
            _STATUS_POLL_SECONDS, f'{serves} Waiting for the agent of Trove to report it, too.'
        )

    def expired(self, row: upgrade.Upgrade, found: str) -> exceptions.TroveUpgradeError:
        """It serves, as far as we know, and that could not be told."""
        return exceptions.StepFailed(
            f'The upgraded database of instance {row.instance_id} was not verified within '
            f'{self.timeout_seconds:g} s ({found}). Look at the guest, then retry the upgrade.',
            'VERIFY_TIMEOUT',
        )


def _remarked(
    row: upgrade.Upgrade, code: notes.Code, message: str
) -> dict[str, list[dict[str, str]]]:
    return notes.with_remark(row.data, notes.Note(states.Step.VERIFY, code, message))


def same_version(target_number: str, running: str | None) -> bool:
    """Return whether a server that says `running` is the target: every part that the target's
    number has must be the same.

    '11.8.6' is 11.8.6-MariaDB-0+deb13u1; '11.8' is any 11.8; a target that reads as no version is
    any server that answers.
    """
    if running is None:
        return False
    wanted, said = versions.read_number(target_number), versions.read_number(running)
    return wanted is None or (said is not None and said[: len(wanted)] == wanted)
