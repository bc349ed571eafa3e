# SPDX-License-Identifier: Apache-2.0
"""Verify: the server itself says that it is the target version, takes a write, and would serve after a reboot."""
import dataclasses

from trove_upgrade.domain import exceptions, guest, ports, states, upgrade, versions
from trove_upgrade.taskmanager.steps.calls import Calls, answered
from trove_upgrade.taskmanager.steps.outcome import Done, Wait


@dataclasses.dataclass(frozen=True)
class Verify:
    """`verify_upgrade` until it is DONE, then the version is compared here, too."""

    agent: ports.Guest
    guests: ports.GuestRepository
    calls: Calls
    timeout_seconds: float
    hold_seconds: float

    def run(self, row: upgrade.Upgrade) -> Done | Wait:
        """:raises StepFailed: something does not hold."""
        heartbeat = self.guests.heartbeat(row.instance_id)
        if (heartbeat is not None and heartbeat.marker == row.marker and not heartbeat.restored
                and heartbeat.boot_id != row.data.get('restored_boot_id')):
            # Not at once: a guest that answers with another boot id than it beats with would have the two steps call each other.
            return Wait(1, 'The guest was booted with an empty root disk again; its files are restored again.',
                        changes={'step': states.Step.RESTORE})
        answer = answered(self.agent.verify_upgrade, self.calls.plain(row), exceptions.StepFailed)
        if answer.state is guest.JobState.RUNNING:
            return self.calls.ask_again(row, answer)
        running = answer.result.get('server_version') or answer.server_version
        if not same_version(row.wanted_number, running):
            raise exceptions.StepFailed(f'The wrong server runs on instance {row.instance_id}: {running}, expected {row.wanted_number}. Look at '
                                        f'image {row.wanted_image_id} of the datastore version.', 'SERVER_VERSION_DIFFERS')
        return Done(f'The database serves as {running}.', data={'server_version': running, 'agent_version': answer.agent_version})

    def expired(self, row: upgrade.Upgrade, found: str) -> exceptions.TroveUpgradeError:
        """It serves, as far as we know, and nobody could say so."""
        return exceptions.StepFailed(f'The upgraded database of instance {row.instance_id} was not verified within {self.timeout_seconds:g} s '
                                     f'({found}). Look at the guest, then retry the upgrade.', 'VERIFY_TIMEOUT')


def same_version(target_number: str, running: str | None) -> bool:
    """Whether a server that says `running` is the target: every part that the target's number has must be the same.

    '11.8.6' is 11.8.6-MariaDB-0+deb13u1; '11.8' is any 11.8; a target that reads as no version is any server that answers.
    """
    if running is None:
        return False
    wanted, said = versions.read_number(target_number), versions.read_number(running)
    return wanted is None or (said is not None and said[:len(wanted)] == wanted)
