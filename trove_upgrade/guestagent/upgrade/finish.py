# SPDX-License-Identifier: Apache-2.0
"""finish_upgrade: it is COMPLETED or ROLLED_BACK; the stash has its hours, then it goes."""

import dataclasses
import datetime

from trove_upgrade.domain import exceptions, markers
from trove_upgrade.domain.guest_results import Finished
from trove_upgrade.guestagent.upgrade import carried_image, undo
from trove_upgrade.guestagent.upgrade.mark_facts import FinishedFacts
from trove_upgrade.guestagent.upgrade.marks import Mark
from trove_upgrade.guestagent.upgrade.work import Guest, JobOutcome, Work


def finish(work: Work) -> JobOutcome:
    """Start the hours; a repetition does not start them again.

    :raises StepFailed: FINISHED_TOO_EARLY; the upgrade needs its stash still.
    """
    guest, upgrade_id = work.guest, work.call.upgrade_id
    finished = guest.marks.get(FinishedFacts, upgrade_id)
    if finished is None:
        _require_over(guest, upgrade_id)
        remove_at = guest.clock.now() + datetime.timedelta(hours=guest.settings.stash_keep_hours)
        guest.marks.record(FinishedFacts(upgrade_id=upgrade_id, remove_at=remove_at.isoformat()))
        carried_image.discard(guest)
    else:
        remove_at = datetime.datetime.fromisoformat(finished.remove_at)
    seconds_until_removal(guest)
    return JobOutcome(
        f'The stash is kept until {remove_at:%Y-%m-%d %H:%M} UTC.',
        Finished(remove_at.isoformat()).to_wire(),
    )


def seconds_until_removal(guest: Guest) -> float | None:
    """Remove the stash if its hours are over; otherwise say how long it has still.  None: there is
    nothing to remove.
    """
    finished = guest.marks.get(FinishedFacts)
    if finished is None or finished.removed:
        return None
    remove_at = datetime.datetime.fromisoformat(finished.remove_at)
    left = (remove_at - guest.clock.now()).total_seconds()
    if left > 0:
        return left
    if guest.volume.mounted() is None:
        return _LOOK_AGAIN_SECONDS
    upgrade_id = finished.upgrade_id
    if guest.marks.has(Mark.QUIESCING, upgrade_id) or guest.marks.has(Mark.QUIESCED, upgrade_id):
        return _LOOK_AGAIN_SECONDS  # it has been begun again: the stash is another one
    undo.remove_stashes(guest, upgrade_id)
    guest.marks.clear(Mark.STASHED, Mark.UPGRADED, Mark.COMPARED)
    guest.marks.record(dataclasses.replace(finished, removed=True))
    return None


_LOOK_AGAIN_SECONDS = 600.0
#: Between the first of quiesce and verify_upgrade one of these is there, on the root disk or on the
#: volume.
_UNDER_WAY = (
    Mark.QUIESCING,
    Mark.QUIESCED,
    Mark.STASHED,
    Mark.CONFIGURED,
    Mark.SERVER_STARTED,
    Mark.RESTORED,
)


def _require_over(guest: Guest, upgrade_id: str) -> None:
    """Refuse, unless this root disk was restored and verified, on either image, or the upgrade was
    undone and nothing is kept.

    A root disk that was rebuilt for the upgrade tells so by its marker before it has any mark, also
    while no volume is mounted.
    """
    marks = guest.marks
    if marks.has(Mark.RESTORED, upgrade_id) and marks.has(Mark.VERIFIED, upgrade_id):
        return
    is_of_upgrade = markers.upgrade_of(guest.marker() or '') == upgrade_id
    if is_of_upgrade or any(marks.has(mark, upgrade_id) for mark in _UNDER_WAY):
        raise exceptions.StepFailed(
            f'The stash of upgrade {upgrade_id} was not given up: this root disk was not restored '
            'and verified, so the upgrade needs it still. Look at the upgrade; it removes its '
            'stash by itself when it has completed or was rolled back.',
            'FINISHED_TOO_EARLY',
        )
