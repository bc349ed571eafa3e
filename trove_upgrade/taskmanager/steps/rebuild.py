# SPDX-License-Identifier: Apache-2.0
"""Rebuild: the server gets the target version's image, or its former one back; its volume and its
ports stay.

Nova sets the image when it *accepts* a rebuild, so the image proves nothing; our marker in the
server's metadata is saved in the same write and proves that this rebuild was asked.  Whether it was
*done* is the result of the server's `rebuild` action.

Nova cannot be fenced: a POST that is on its way arrives, whatever has become of its sender.  So the
row says until when one may be, before it is sent.
"""

import dataclasses
from collections.abc import Callable

from trove_upgrade.domain import compute, exceptions, guests, leases, logs, ports, upgrade_info
from trove_upgrade.domain.compute import ServerStatus
from trove_upgrade.domain.image_archive import ImageArchive
from trove_upgrade.domain.outcomes import Done, Outcome, Wait
from trove_upgrade.domain.upgrades import Upgrade
from trove_upgrade.sealing.at_rest import KeyUnreadable
from trove_upgrade.taskmanager.guest_files import GuestFiles
from trove_upgrade.taskmanager.key_delivery import KeyDelivery, OlderTaskmanager, is_carried_by
from trove_upgrade.taskmanager.steps.calls import Calls, answered
from trove_upgrade.taskmanager.steps.task import require_our_task, require_quiet

#: A rebuild may be asked for in these; anything else is another action and waited for.
_REBUILDABLE = frozenset(ServerStatus)
#: From the announcement of a POST to its beginning, at most.
_ANNOUNCED_SECONDS = 2.0
#: What a rebuild sends again of a server was read no longer ago than this when it is prepared.
_READ_SECONDS = 0.5

#: Seconds until a step reads a server again whose rebuild is under way.
Rest = Callable[[Upgrade, compute.Server], float]

LOG = logs.get_logger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rebuild:
    """Step that asks Nova for a rebuild exactly once per `rebuild_attempt`, which is committed
    before the POST.
    """

    held: leases.HeldUpgrades
    leases: leases.LeaseCheck
    nova: ports.Compute
    agent: ports.Guest
    instances: ports.InstanceRepository
    datastores: ports.DatastoreRepository
    files: GuestFiles
    key_delivery: KeyDelivery
    calls: Calls
    poll_seconds: float  #: between two looks at the server
    post_seconds: float  #: the whole deadline of one POST
    limit: int  #: rebuilds in one attempt that Nova accepts and does not do
    timeout_seconds: float
    hold_seconds: float
    #: tells how long a step that Nova works for may wait until it looks again; None: `poll_seconds`
    rest: Rest | None = None

    def run(self, upgrade: Upgrade) -> Outcome:
        """Ask for a rebuild, then look for its result.

        :raises StepRefused: nothing has been rebuilt: the guest undoes its part.

        :raises StepFailed: accepted, then failed.
        """
        if upgrade.progress.rebuild.asked_in_attempt != upgrade.attempt:
            return self._next(upgrade, 1, 'A rebuild is asked for.')
        # before the look at the server: what arrives until the deadline is seen by it
        late = self._of_former_holder(upgrade)
        server, read_at = self._read(upgrade)
        if server.marker == upgrade.marker:
            return self._result(upgrade, server)
        if server.task_state is not None or server.status not in _REBUILDABLE:
            busy = f'The server is busy: {server.status}, task {server.task_state}.'
            return Wait(upgrade=upgrade, seconds=self.poll_seconds, message=busy)
        if late is not None:
            return late
        answer = self._ask_guest(upgrade, server)
        if answer is not None:
            return answer
        is_carried = self._is_carried(upgrade)
        if read_at is None or self.calls.clock.monotonic() - read_at > _READ_SECONDS:
            server = self.nova.server_with_user_data(upgrade.server_id)
        return self._post(upgrade, server, is_carried)

    def _read(self, upgrade: Upgrade) -> tuple[compute.Server, float | None]:
        """Read the server: whole before a first rebuild, which sends its user data and its metadata
        again, as clients of the database wait while Nova is asked; and when that was, None where
        it was not read whole.
        """
        if upgrade.progress.rebuild.accepted_in_attempt is not None:
            return self.nova.server(upgrade.server_id), None
        read_at = self.calls.clock.monotonic()
        return self.nova.server_with_user_data(upgrade.server_id), read_at

    def expired(self, upgrade: Upgrade, found: str) -> exceptions.TroveUpgradeError:
        """Return the error of the time-out: a failure once Nova has accepted the rebuild, else a
        refusal, which undoes.
        """
        accepted = upgrade.progress.rebuild.accepted_in_attempt
        if accepted == upgrade.attempt or upgrade.former_guest_is_gone:
            return exceptions.StepFailed(
                f'The rebuild of server {upgrade.server_id} did not end within '
                f'{self.timeout_seconds:g} s ({found}). If it stays in '
                f'REBUILD, only "openstack server set --state error {upgrade.server_id}" '
                '(os-resetState) frees it; then retry the '
                f'upgrade.',
                'REBUILD_TIMEOUT',
            )
        return exceptions.StepRefused(
            f'Server {upgrade.server_id} could not be rebuilt within {self.timeout_seconds:g} s '
            f'({found}). '
            f'Look at Nova, then upgrade again.',
            'REBUILD_TIMEOUT',
        )

    def _next(self, upgrade: Upgrade, times: int, message: str) -> Wait:
        """Commit a new number before anything carries it."""
        progress = upgrade.progress.rebuild_asked(upgrade.attempt, times)
        if not upgrade.former_guest_is_gone and progress.former.had_key is None:
            progress = progress.former_had_key(self.key_delivery.has_key(upgrade.instance_id))
        number = upgrade.rebuild_attempt + 1
        return Wait(
            upgrade=upgrade.evolve(rebuild_attempt=number, progress=progress).nova_unasked(),
            seconds=0,
            message=message,
        )

    def _of_former_holder(self, upgrade: Upgrade) -> Wait | None:
        """Wait for a POST that a taskmanager has announced and told no end of: it may arrive until
        its deadline.  None: there is none.
        """
        left = self.held.post_seconds_left(upgrade)
        if left <= 0:
            return None
        return Wait(
            upgrade=upgrade,
            seconds=min(left, self.poll_seconds),
            message=f'A call to Nova by an earlier claim may still arrive, for {left:.0f} s.',
        )

    def _result(self, upgrade: Upgrade, server: compute.Server) -> Outcome:
        """Nova has accepted it; what became of it?"""
        accepted = _accepted(upgrade)
        match self.nova.rebuild_result(server):
            case compute.RebuildResult.SUCCESS:
                # not sooner: Nova may fall back to the guest that has the key
                self.leases.require(upgrade.id)
                self.key_delivery.after_rebuild(upgrade)
                return Done(accepted, 'Nova has rebuilt the server.')
            case compute.RebuildResult.NOTHING_HAPPENED:
                return self._again(upgrade)
            case compute.RebuildResult.ERROR:
                if accepted != upgrade and upgrade.progress.rebuild.accepted_in_attempt is None:
                    # its answer was lost: what follows wants to know
                    return Wait(
                        upgrade=accepted, seconds=0, message='Nova has accepted the rebuild.'
                    )
                raise exceptions.StepFailed(
                    f'Nova could not rebuild server {upgrade.server_id} with image '
                    f'{upgrade.wanted_image_id}: {server.fault or "no fault given"}. '
                    f'Mend the cause and retry the upgrade.',
                    'REBUILD_FAILED',
                )
        return Wait(
            upgrade=accepted,
            seconds=self._rest(upgrade, server),
            message=f'Nova rebuilds the server: {server.status}, task {server.task_state}.',
        )

    def _rest(self, upgrade: Upgrade, server: compute.Server) -> float:
        """Return when to look again: soon where only the end of Nova's action is missing, as no
        change of the server tells it.
        """
        if self.rest is None or server.task_state is None:
            return self.poll_seconds
        return self.rest(upgrade, server)

    def _again(self, upgrade: Upgrade) -> Wait:
        asked = upgrade.progress.rebuild.times_asked
        if asked >= self.limit:
            raise exceptions.StepRefused(
                f'Server {upgrade.server_id} was not rebuilt: Nova accepted it {asked} times and '
                f'fell back to the former guest. Look whether image {upgrade.wanted_image_id} can '
                'be loaded on its host, then upgrade again.',
                'REBUILD_FELL_BACK',
            )
        progress = upgrade.progress.rebuild_asked(upgrade.attempt, asked + 1)
        if not upgrade.former_guest_is_gone:
            progress = progress.rebuild_accepted(None)
        again = upgrade.evolve(rebuild_attempt=upgrade.rebuild_attempt + 1, progress=progress)
        return Wait(
            upgrade=again.nova_unasked(),
            seconds=0,
            message='Nova fell back to the guest before; the rebuild is asked again.',
        )

    def _ask_guest(self, upgrade: Upgrade, server: compute.Server) -> Wait | None:
        """Ask whether the guest is still stopped, in the same boot. None: go on. No guest is asked
        where a former rebuild has taken the guest away.
        """
        if upgrade.former_guest_is_gone or server.status == ServerStatus.ERROR:
            return None
        # a guest that knows nothing of this attempt stops its database now
        require_quiet(self.instances, upgrade)
        answer = answered(
            self.agent.pre_upgrade, self.calls.with_facts(upgrade), exceptions.StepRefused
        )
        if answer.state is guests.JobState.RUNNING:
            return self.calls.ask_again(upgrade, answer)
        known = upgrade.progress.former.boot_id or answer.boot_id
        if answer.boot_id != known or answer.server_state is guests.ServerState.RUNNING:
            raise exceptions.StepRefused(
                f'Instance {upgrade.instance_id} was not rebuilt: its guest has been booted again '
                f'or its database runs again (boot {answer.boot_id}, expected {known}; server '
                f'{answer.server_state}). Look who did that, then upgrade again.',
                'GUEST_NOT_QUIESCED',
            )
        return None

    def _is_carried(self, upgrade: Upgrade) -> bool:
        """Return True unless Nova would bring a key readable for others; it is asked only where
        there is to be one.
        """
        return not self.key_delivery.gives_key(
            upgrade.wanted_version_id, upgrade.wanted_image_id
        ) or is_carried_by(self.nova.max_microversion())

    def _post(self, upgrade: Upgrade, server: compute.Server, is_carried: bool) -> Wait:
        version = self.datastores.version_by_id(upgrade.wanted_version_id)
        volume_uuid, image_archive = self._on_volume(upgrade)
        self.leases.require(upgrade.id)
        try:
            key = self.key_delivery.for_rebuild(upgrade, is_carried=is_carried)
        except (OlderTaskmanager, KeyUnreadable) as error:
            return Wait(upgrade=upgrade, seconds=self.poll_seconds, message=error.message)
        rendered = self.files.render(
            server, upgrade.instance_id, version, upgrade.marker, volume_uuid, key, image_archive
        )
        if self._is_too_late(upgrade):
            late = 'The time of this step does not suffice for a call to Nova any more.'
            return Wait(upgrade=upgrade, seconds=self.poll_seconds, message=late)
        started = self.calls.clock.monotonic()
        announced = self.held.announce_post(upgrade, _ANNOUNCED_SECONDS + self.post_seconds)
        # here: the guest took its time, and Nova loses a delete that comes just after a rebuild
        require_our_task(self.instances, upgrade)
        self.leases.require(upgrade.id)
        now = self.calls.clock.monotonic()
        if now - started > _ANNOUNCED_SECONDS:
            late = 'It was too late for the call to Nova, which is made anew.'
            return Wait(upgrade=upgrade, seconds=self.poll_seconds, message=late)
        ended = announced.evolve(progress=announced.progress.post_ended())
        try:
            return self._posted(ended, server, rendered, now + self.post_seconds)
        except exceptions.RebuildConflict as error:
            # by this call Nova was asked for nothing: whether by one before, stays as it was
            before = upgrade.evolve(progress=upgrade.progress.post_ended())
            return Wait(upgrade=before, seconds=self.poll_seconds, message=error.message)

    def _is_too_late(self, upgrade: Upgrade) -> bool:
        """Return whether the step may be given up while its call is under way: it would be undone
        first, and rebuilt then.
        """
        deadline, needed = upgrade.step_deadline, _ANNOUNCED_SECONDS + self.post_seconds
        if deadline is None:
            return False
        return (deadline - self.calls.clock.now()).total_seconds() < needed

    def _on_volume(self, upgrade: Upgrade) -> tuple[str | None, ImageArchive | None]:
        """Return the UUID of the volume's file system, and the facts of the container image there.

        None of the latter where none is to be carried, and where no image there is the one that the
        version names which is to serve: root in the former guest could have put it there.

        :raises StepFailed: UPGRADE_INFO_INVALID; stored by a release that did not look.
        """
        info = upgrade.progress.quiesce.info
        try:
            volume_uuid, archives = info.volume_uuid(), info.image_archives()
        except upgrade_info.Invalid as error:
            raise upgrade_info.not_returned(str(error)) from None
        for archive in archives:
            if self.calls.may_carry(upgrade, archive.image_id):
                return volume_uuid, archive
        if archives:
            LOG.warning(
                'Upgrade %s: no container image on the volume is the one that version %s names by '
                'container_image_id, or none is to be carried; a registry gives it',
                upgrade.id,
                upgrade.wanted_version_id,
            )
        return volume_uuid, None

    def _posted(
        self, upgrade: Upgrade, server: compute.Server, rendered: bytes | None, ends_at: float
    ) -> Wait:
        """Ask Nova once, before `ends_at` by the monotonic clock.  What it returns, or raises, is
        committed without the announcement.

        :raises RebuildConflict: it takes none now.
        """
        try:
            self.nova.rebuild(
                server, upgrade.wanted_image_id, upgrade.marker, rendered, ends_at=ends_at
            )
        except exceptions.ComputeUnavailable as error:
            message = f'{error.message} Whether it was accepted is read from the server.'
            return Wait(upgrade=upgrade, seconds=self.poll_seconds, message=message)
        except exceptions.RebuildRefused as error:
            self._refused(upgrade, error)
            return Wait(
                upgrade=_accepted(upgrade),
                seconds=self.poll_seconds,
                message='Nova has accepted the rebuild before.',
            )
        return Wait(
            upgrade=_accepted(upgrade),
            seconds=self.poll_seconds,
            message='Nova has accepted the rebuild.',
        )

    def _refused(self, upgrade: Upgrade, error: exceptions.RebuildRefused) -> None:
        """Returns only if the server carries our marker all the same: an earlier POST was
        accepted.
        """
        if self.nova.server(upgrade.server_id).marker == upgrade.marker:
            return
        if upgrade.former_guest_is_gone:
            raise exceptions.StepFailed(error.message, error.code) from error
        raise exceptions.StepRefused(error.message, error.code) from error


def _accepted(upgrade: Upgrade) -> Upgrade:
    """Return what is known once Nova carries our marker; the first attempt that took the former
    guest away stays on record.
    """
    if upgrade.former_guest_is_gone:
        return upgrade.evolve(progress=upgrade.progress.post_ended())
    return upgrade.evolve(progress=upgrade.progress.rebuild_accepted(upgrade.attempt))
