# SPDX-License-Identifier: Apache-2.0
"""Undoing a quiesce on the former image, and abort_upgrade, which is nothing else."""

from trove_upgrade.domain import exceptions, logs
from trove_upgrade.domain.codes import Code
from trove_upgrade.guestagent.machine import listing
from trove_upgrade.guestagent.storage import volume_ownership
from trove_upgrade.guestagent.storage.stash import publish
from trove_upgrade.guestagent.upgrade import carried_image
from trove_upgrade.guestagent.upgrade.mark_facts import QuiescedFacts, QuiescingFacts
from trove_upgrade.guestagent.upgrade.marks import Mark
from trove_upgrade.guestagent.upgrade.work import Guest, JobOutcome, Work

LOG = logs.get_logger(__name__)


def undo(guest: Guest) -> None:
    """Let the database serve as before, from whichever point quiesce has come to.  Safe to repeat;
    without marks it does nothing.

    :raises StepFailed: it does not serve.  The marks stay, so that the next try goes on.
    """
    stopped = guest.marks.get(QuiescedFacts) or guest.marks.get(QuiescingFacts)
    if stopped is None:
        return
    upgrade_id = stopped.upgrade_id
    guest.volume.mount(stopped.volume_uuid, stopped.mount_options)
    if guest.server_started(upgrade_id):
        raise exceptions.StepFailed(
            f'Upgrade {upgrade_id} cannot be undone: the new server has been started on the data '
            'already. Retry the upgrade, or restore a backup.',
            Code.SERVER_STARTED_ON_DATA,
        )
    guest.driver.undo_autostart()
    if guest.driver.server_version() is None:
        with guest.awake():
            guest.driver.start()
    if guest.driver.server_version() is None:
        raise exceptions.StepFailed(
            f'Upgrade {upgrade_id} cannot be undone: the database was started again and does not '
            'answer. Look into its error log in the guest.',
            Code.DATABASE_NOT_SERVING,
        )
    guest.driver.publish()
    # not later: a stop that counts as done, without its stash, would be answered once more
    guest.marks.clear(Mark.QUIESCED)
    remove_stashes(guest, upgrade_id)
    guest.marks.clear(Mark.STASHED)
    if stopped.top is not None:
        volume_ownership.give_back(guest.layout.volume, stopped.top)
    guest.marks.clear(Mark.QUIESCING)


def remove_stashes(guest: Guest, upgrade_id: str) -> None:
    """Remove what this upgrade has kept on the mounted volume: it holds secrets, and takes room.
    Safe to repeat.
    """
    directory = guest.layout.on_volume
    if volume_ownership.is_ours(directory):
        for path in listing.matching(directory):
            if path.name.lstrip('.').startswith(f'stash-{upgrade_id}-'):
                publish.remove(directory, path.name)
        carried_image.discard(guest)
    elif volume_ownership.is_of_others(directory):
        LOG.warning(
            "%s is not root's alone: no stash is removed there; the next upgrade removes all of it",
            directory,
        )


def abort(work: Work) -> JobOutcome:
    """The database serves again, or never stopped.

    :raises StepFailed: it does not serve.
    """
    work.progress(None, 'Bringing the database back.')
    undo(work.guest)
    if not work.guest.serving():
        raise exceptions.StepFailed(
            f'Instance {work.guest.instance_id} does not serve: its database does not answer, and '
            'this upgrade has nothing left to undo. Look into its error log in the guest.',
            Code.DATABASE_NOT_SERVING,
        )
    return JobOutcome('The database serves as before.')
