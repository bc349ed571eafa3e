# SPDX-License-Identifier: Apache-2.0
"""Rebuild: the server gets the target version's image, or its former one back; its volume and its
ports stay.

Nova sets the image when it *accepts* a rebuild, so the image proves nothing; our marker in the
server's metadata is saved in the same write and proves that this rebuild was asked.  Whether it was
*done* is the result of the server's `rebuild` action.
"""

import dataclasses
from collections.abc import Mapping

from trove_upgrade.domain import compute, exceptions, guest, ports, upgrade, upgrade_info
from trove_upgrade.domain.upgrade import ACCEPTED, ASKED, ASKED_FOR
from trove_upgrade.sealing.at_rest import KeyUnreadable
from trove_upgrade.taskmanager.guest_files import GuestFiles
from trove_upgrade.taskmanager.key_delivery import KeyDelivery, OlderTaskmanager, is_carried_by
from trove_upgrade.taskmanager.steps.calls import Calls, answered
from trove_upgrade.taskmanager.steps.outcome import Done, Wait
from trove_upgrade.taskmanager.steps.task import require_our_task, require_quiet

#: A rebuild may be asked for in these; anything else is somebody's doing and waited for.
_REBUILDABLE = frozenset({'ACTIVE', 'ERROR', 'SHUTOFF'})


@dataclasses.dataclass(frozen=True)
class Rebuild:
    """Asked exactly once per `rebuild_attempt`, which is committed before the POST."""

    nova: ports.Compute
    agent: ports.Guest
    instances: ports.InstanceRepository
    datastores: ports.DatastoreRepository
    files: GuestFiles
    key_delivery: KeyDelivery
    calls: Calls
    poll_seconds: float  #: between two looks at the server
    post_seconds: float  #: the whole deadline of the POST
    limit: int  #: rebuilds in one attempt that Nova accepts and does not do
    timeout_seconds: float
    hold_seconds: float

    def run(self, row: upgrade.Upgrade) -> Done | Wait:
        """:raises StepRefused: nothing has been rebuilt: the guest undoes its part.

        :raises StepFailed: accepted, then failed.
        """
        started = self.calls.clock.monotonic()
        server = self.nova.server(row.server_id)
        if row.data.get(ASKED_FOR) != row.attempt:
            return self._next(row, 1, 'A rebuild is asked for.')
        if server.marker == row.marker:
            return self._look(row, server)
        if server.task_state is not None or server.status not in _REBUILDABLE:
            return Wait(
                self.poll_seconds, f'The server is busy: {server.status}, task {server.task_state}.'
            )
        answer = self._ask_guest(row, server)
        if answer is not None:
            return answer
        is_carried = self._is_carried(row)
        server = self.nova.server_with_user_data(row.server_id)
        if self.calls.clock.monotonic() - started + self.post_seconds > self.hold_seconds:
            return Wait(
                0, 'Too late in this run for the call to Nova.'
            )  # the lease must outlast the POST
        return self._post(row, server, is_carried)

    def expired(self, row: upgrade.Upgrade, found: str) -> exceptions.TroveUpgradeError:
        """Return whether it was accepted decides between undo and failure."""
        if row.data.get(ACCEPTED) == row.attempt or former_guest_is_gone(row):
            return exceptions.StepFailed(
                f'The rebuild of server {row.server_id} did not end within '
                f'{self.timeout_seconds:g} s ({found}). If it stays in '
                f'REBUILD, only "openstack server set --state error {row.server_id}" '
                '(os-resetState) frees it; then retry the '
                f'upgrade.',
                'REBUILD_TIMEOUT',
            )
        return exceptions.StepRefused(
            f'Server {row.server_id} could not be rebuilt within {self.timeout_seconds:g} s '
            f'({found}). '
            f'Look at Nova, then upgrade again.',
            'REBUILD_TIMEOUT',
        )

    def _next(self, row: upgrade.Upgrade, asked: int, message: str) -> Wait:
        """Commit a new number before anything carries it."""
        known = {} if former_guest_is_gone(row) else self.key_delivery.of_former(row)
        return Wait(
            0,
            message,
            data={ASKED_FOR: row.attempt, ASKED: asked, **known},
            changes={'rebuild_attempt': row.rebuild_attempt + 1},
        )

    def _look(self, row: upgrade.Upgrade, server: compute.Server) -> Done | Wait:
        """Nova has accepted it; what became of it?"""
        accepted = _accepted(row)
        match self.nova.rebuild_result(server):
            case compute.RebuildResult.SUCCESS:
                self.key_delivery.after_rebuild(
                    row
                )  # not sooner: Nova may fall back to the guest that has the key
                return Done('Nova has rebuilt the server.', data=accepted)
            case compute.RebuildResult.NOTHING_HAPPENED:
                return self._again(row)
            case compute.RebuildResult.ERROR:
                if (
                    accepted and row.data.get(ACCEPTED) is None
                ):  # its answer was lost: what follows wants to know
                    return Wait(0, 'Nova has accepted the rebuild.', data=accepted)
                raise exceptions.StepFailed(
                    f'Nova could not rebuild server {row.server_id} with image '
                    f'{row.wanted_image_id}: {server.fault or "no fault given"}. '
                    f'Mend the cause and retry the upgrade.',
                    'REBUILD_FAILED',
                )
        return Wait(
            self.poll_seconds,
            f'Nova rebuilds the server: {server.status}, task {server.task_state}.',
            data=accepted,
        )

    def _again(self, row: upgrade.Upgrade) -> Wait:
        asked = int(row.data.get(ASKED, 1))
        if asked >= self.limit:
            raise exceptions.StepRefused(
                f'Server {row.server_id} was not rebuilt: Nova accepted it {asked} times and fell '
                'back to the former guest. Look '
                f'whether image {row.wanted_image_id} can be loaded on its host, then upgrade '
                'again.',
                'REBUILD_FELL_BACK',
            )
        given_back = {} if former_guest_is_gone(row) else {ACCEPTED: None}
        return Wait(
            0,
            'Nova fell back to the guest before; the rebuild is asked again.',
            data={ASKED: asked + 1, **given_back},
            changes={'rebuild_attempt': row.rebuild_attempt + 1},
        )

    def _ask_guest(self, row: upgrade.Upgrade, server: compute.Server) -> Wait | None:
        """Still stopped, same boot?  None: go on.  No guest is asked where a former rebuild has
        taken the guest away.
        """
        if former_guest_is_gone(row) or server.status == 'ERROR':
            return None
        require_quiet(
            self.instances, row
        )  # a guest that knows nothing of this attempt stops its database now
        answer = answered(
            self.agent.pre_upgrade, self.calls.with_facts(row), exceptions.StepRefused
        )
        if answer.state is guest.JobState.RUNNING:
            return self.calls.ask_again(row, answer)
        known = row.data.get('former_boot_id') or answer.boot_id
        if answer.boot_id != known or answer.server_state is guest.ServerState.RUNNING:
            raise exceptions.StepRefused(
                f'Instance {row.instance_id} was not rebuilt: its guest has been booted again or '
                'its database runs again (boot '
                f'{answer.boot_id}, expected {known}; server {answer.server_state}). Look who did '
                'that, then upgrade again.',
                'GUEST_NOT_QUIESCED',
            )
        return None

    def _is_carried(self, row: upgrade.Upgrade) -> bool:
        """Return True unless Nova would bring a key readable for others; it is asked only where
        there is to be one.
        """
        return not self.key_delivery.gives_key(
            row.wanted_version_id, row.wanted_image_id
        ) or is_carried_by(self.nova.picture(row.server_id).max_microversion)

    def _post(self, row: upgrade.Upgrade, server: compute.Server, is_carried: bool) -> Wait:
        wanted = self.datastores.version_by_id(row.wanted_version_id)
        try:
            volume_uuid = upgrade_info.volume_uuid(row.data.get('upgrade_info'))
        except upgrade_info.Invalid as error:  # stored by a release that did not look
            raise upgrade_info.not_returned(str(error)) from None
        try:
            key = self.key_delivery.for_rebuild(row, is_carried=is_carried)
        except (OlderTaskmanager, KeyUnreadable) as error:
            return Wait(self.poll_seconds, error.message)
        rendered = self.files.render(server, row.instance_id, wanted, row.marker, volume_uuid, key)
        require_our_task(
            self.instances, row
        )  # here: the guest took its time, and Nova loses a delete that comes just after a rebuild
        try:
            self.nova.rebuild(server, row.wanted_image_id, row.marker, rendered)
        except exceptions.RebuildConflict as error:
            return Wait(self.poll_seconds, error.message)
        except exceptions.ComputeUnavailable as error:
            return Wait(
                self.poll_seconds,
                f'{error.message} Whether it was accepted is read from the server.',
            )
        except exceptions.RebuildRefused as error:
            self._refused(row, error)
            return Wait(self.poll_seconds, 'Nova has accepted the rebuild before.')
        return Wait(self.poll_seconds, 'Nova has accepted the rebuild.', data=_accepted(row))

    def _refused(self, row: upgrade.Upgrade, error: exceptions.RebuildRefused) -> None:
        """Returns only if the server carries our marker all the same: an earlier POST was
        accepted.
        """
        if self.nova.server(row.server_id).marker == row.marker:
            return
        if former_guest_is_gone(row):
            raise exceptions.StepFailed(error.message, error.code) from error
        raise exceptions.StepRefused(error.message, error.code) from error


def former_guest_is_gone(row: upgrade.Upgrade) -> bool:
    """A former attempt, or the way to the target, has seen Nova accept a rebuild and do it, or
    break off in the middle.
    """
    accepted = row.data.get(ACCEPTED)
    return row.is_rolling_back or (accepted is not None and int(accepted) < row.attempt)


def _accepted(row: upgrade.Upgrade) -> Mapping[str, int]:
    """Return what is known once Nova carries our marker; the first attempt that took the former
    guest away stays on record.
    """
    return {} if former_guest_is_gone(row) else {ACCEPTED: row.attempt}
