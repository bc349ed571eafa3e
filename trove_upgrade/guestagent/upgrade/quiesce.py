# SPDX-License-Identifier: Apache-2.0
"""pre_upgrade: checked, fingerprinted and stopped in one session, stashed, unmounted; or undone."""

from collections.abc import Mapping
from typing import Any, NoReturn

from trove_upgrade.domain import exceptions, origin
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.guest_results import Quiesced
from trove_upgrade.domain.upgrade_info import UpgradeInfo
from trove_upgrade.guestagent.datastores.base import Fingerprint
from trove_upgrade.guestagent.machine.progress import within
from trove_upgrade.guestagent.storage import data_files, volume_ownership
from trove_upgrade.guestagent.storage.stash import publish
from trove_upgrade.guestagent.storage.volume import Mounted
from trove_upgrade.guestagent.upgrade import check, generations, image_saving, undo
from trove_upgrade.guestagent.upgrade.mark_facts import (
    QuiescedFacts,
    QuiescingFacts,
    StashedFacts,
)
from trove_upgrade.guestagent.upgrade.work import Guest, JobOutcome, Work

#: Percent of it at which these begin.
_STOPPING, _STASHING = 10, 80


def quiesce(work: Work) -> JobOutcome:
    """Stop all that writes to the volume, and put on it all that must survive.

    A run that an agent's death has cut short is undone and begun anew: writes may have come
    meanwhile.

    :raises StepRefused: a check said no, or it could not be done and was undone; the database
        serves.
    :raises StepFailed: it could not be undone either.
    """
    guest, call = work.guest, work.call
    ends_at = guest.clock.monotonic() + call.seconds_from(guest.clock.now())
    done = guest.marks.get(QuiescedFacts, call.upgrade_id)
    if done is not None and guest.driver.server_version() is None:
        guest.volume.unmount()  # a reboot since has mounted it again
        return _outcome(done.upgrade_info, done.quiesced_at)
    undo.undo(guest)
    check.require(work)
    guest.driver.prepare_target(call.target, call.options, work.progress)
    with image_saving.saved(work, ends_at) as images:
        return _quiesce(work, images)


def _quiesce(work: Work, images: image_saving.SavedImages) -> JobOutcome:
    """All from the first mark on."""
    guest, call = work.guest, work.call
    mounted = _mounted(guest)
    found = _found(work, mounted)
    guest.marks.record(found)
    try:
        with guest.awake():
            info = _stop_and_stash(work, mounted, images).to_wire()
            guest.volume.unmount()
        quiesced_at = guest.clock.now().isoformat()
        guest.marks.record(
            QuiescedFacts(
                upgrade_id=call.upgrade_id,
                volume_uuid=found.volume_uuid,
                mount_options=found.mount_options,
                top=found.top,
                upgrade_info=info,
                quiesced_at=quiesced_at,
            )
        )
    except Exception as error:  # noqa: BLE001 - whatever it was, the database must serve again; nothing is swallowed
        _undo(guest, error)
    return _outcome(info, quiesced_at, images.remark)


def _found(work: Work, mounted: Mounted) -> QuiescingFacts:
    """Return what an undo needs to know of the volume."""
    top = volume_ownership.Top.of(work.guest.layout.volume)
    return QuiescingFacts(
        upgrade_id=work.call.upgrade_id,
        volume_uuid=mounted.uuid,
        mount_options=mounted.options,
        top=None if top == volume_ownership.TAKEN else top,
    )


def _outcome(info: Mapping[str, Any], quiesced_at: str | None, remark: str = '') -> JobOutcome:
    return JobOutcome(
        'The database is stopped, its files are kept on the volume, and the volume is unmounted.'
        f'{remark}',
        Quiesced(info, quiesced_at).to_wire(),
    )


def _mounted(guest: Guest) -> Mounted:
    mounted = guest.volume.mounted()
    if mounted is None:
        raise exceptions.StepRefused(
            f'Nothing is mounted at {guest.layout.volume} any more. Mount the volume there.',
            Code.VOLUME_NOT_MOUNTED,
        )
    return mounted


def _undo(guest: Guest, error: Exception) -> NoReturn:
    reason, code = _told('The database could not be stopped and kept', error)
    try:
        undo.undo(guest)
    except Exception as failure:  # noqa: BLE001 - whatever it was, both reasons are told; nothing is swallowed
        found, failed_code = _told('The database may not serve', failure)
        # the log has the traceback of what was not expected
        raise exceptions.StepFailed(
            f'{reason} And this could not be undone: {found}', failed_code
        ) from (error if isinstance(failure, exceptions.TroveUpgradeError) else failure)
    raise exceptions.StepRefused(
        f'{reason} All was undone, the database serves as before.', code
    ) from error


def _told(what: str, error: Exception) -> tuple[str, str]:
    """The message and the code of an error that was expected, or of one that was not."""
    if isinstance(error, exceptions.TroveUpgradeError):
        return error.message, error.code
    return origin.unexpected(what, error, 'the log of the guest agent'), Code.INTERNAL_ERROR


def _stop(work: Work) -> Fingerprint:
    driver = work.guest.driver
    work.progress(5, 'Switching off the start at boot.')
    driver.set_autostart(enabled=False)
    work.progress(_STOPPING, 'Taking the fingerprint and stopping the database.')
    fingerprint = driver.fingerprint_and_stop(
        work.call.options, within(work.progress, _STOPPING, _STASHING)
    )
    if not driver.shutdown_was_clean():
        raise exceptions.StepFailed(
            'The database was stopped, but not cleanly: its log does not end with a clean '
            'shutdown. Look into its error log, restart it and try again.',
            Code.SHUTDOWN_NOT_CLEAN,
        )
    return fingerprint


def _stop_and_stash(work: Work, mounted: Mounted, images: image_saving.SavedImages) -> UpgradeInfo:
    guest, call = work.guest, work.call
    fingerprint = _stop(work)
    work.progress(_STASHING, 'Keeping the configuration on the volume.')
    volume_ownership.anew(guest.layout.on_volume)  # nothing of the database's user runs now
    check.require_layout(guest)  # the top's owner may have changed it since the check
    documents = {
        'fingerprint': fingerprint.to_document(),
        'files': data_files.listing(guest.layout.data_directory),
    }
    published = publish.publish(
        check.stash_roots(guest),
        guest.layout.on_volume,
        call.upgrade_id,
        call.attempt,
        documents,
        guest.accounts,
    )
    guest.marks.record(
        StashedFacts(upgrade_id=call.upgrade_id, stash=published.name, digest=published.digest)
    )
    images.publish(guest.layout)
    generations.carry_over(guest, call)  # now there is a directory on the volume to keep it in
    work.progress(95, 'Unmounting the volume.')
    return UpgradeInfo(
        upgrade_id=call.upgrade_id,
        attempt=call.attempt,
        volume_uuid=mounted.uuid,
        filesystem=mounted.filesystem,
        stash=published.name,
        stash_digest=published.digest,
        fingerprint_digest=published.documents['fingerprint'],
        files_digest=published.documents['files'],
        former_server_version=fingerprint.server_version,
        former_agent_version=guest.agent_version,
        former_boot_id=guest.boot_id(),
        stopped_at=fingerprint.taken_at,
        image_archive=images.target.archive,
        former_image_archive=images.former.archive,
    )
