# SPDX-License-Identifier: Apache-2.0
"""finish_upgrade: the upgrade is COMPLETED; the stash has its hours, then it goes."""
import datetime

from trove_upgrade.guestagent.flows import undo
from trove_upgrade.guestagent.flows.work import Guest, Outcome, Work
from trove_upgrade.guestagent.marks import Mark


def finish(work: Work) -> Outcome:
    """Start the hours; a repetition does not start them again."""
    guest, upgrade_id = work.guest, work.call.upgrade_id
    finished = guest.marks.get(Mark.FINISHED, upgrade_id)
    if finished is None:
        remove_at = guest.clock.now() + datetime.timedelta(hours=guest.settings.stash_keep_hours)
        guest.marks.set(Mark.FINISHED, upgrade_id, remove_at=remove_at.isoformat(), removed=False)
    else:
        remove_at = datetime.datetime.fromisoformat(finished['remove_at'])
    seconds_until_removal(guest)
    return Outcome(f'The stash is kept until {remove_at:%Y-%m-%d %H:%M} UTC.', {'stash_removed_at': remove_at.isoformat()})


def seconds_until_removal(guest: Guest) -> float | None:
    """Remove the stash if its hours are over; otherwise say how long it has still.  None: there is nothing to remove."""
    finished = guest.marks.get(Mark.FINISHED)
    if finished is None or finished.get('removed'):
        return None
    left = (datetime.datetime.fromisoformat(finished['remove_at']) - guest.clock.now()).total_seconds()
    if left > 0:
        return left
    if guest.volume.mounted() is None:
        return _LOOK_AGAIN_SECONDS
    upgrade_id = str(finished['upgrade_id'])
    undo.remove_stashes(guest, upgrade_id)
    guest.marks.clear(Mark.STASHED, Mark.UPGRADED, Mark.COMPARED)
    guest.marks.set(Mark.FINISHED, upgrade_id, remove_at=finished['remove_at'], removed=True)
    return None


_LOOK_AGAIN_SECONDS = 600.0
