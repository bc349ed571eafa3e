# SPDX-License-Identifier: Apache-2.0
"""End of an upgrade: its row, its instance's task, fault and version, and its events."""

import sqlalchemy as sa

from trove_upgrade.db import columns, fence, guests, outbox, rows, tasks
from trove_upgrade.db.engine import Database
from trove_upgrade.domain import instances, notes, states
from trove_upgrade.domain.endings import Ending, displaced
from trove_upgrade.domain.events import EventKind
from trove_upgrade.domain.upgrades import Upgrade

_S = states.UpgradeState

#: Trove's `reset_status` and `reset-task-status`, and a configuration group that was applied, set
#: the task to NONE whatever runs.
_RESET = (
    'The task of the instance was set back to NONE during the upgrade: by reset_status, or by a '
    'configuration group that was applied.'
)

#: Values of a row that has ended.
OF_AN_END: dict[str, object] = {
    'owner': None,
    'lease_until': None,
    'next_run_at': None,
    'step_deadline': None,
    'active_instance_id': None,
    'ended_at': columns.now(),
    'updated_at': columns.now(),
}


def end(
    database: Database, connection: sa.Connection, held: Upgrade, state: states.UpgradeState
) -> Ending:
    """Write the end of `held`, in a transaction of the caller's, as `Upgrades.end` promises.

    :raises LeaseLost: overtaken.
    """
    done = state is _S.COMPLETED
    is_displaced = False
    if not tasks.release(connection, held, state):
        if tasks.release(connection, held, state, former=instances.Task.NONE):
            remark = notes.Note(held.step, notes.NoteCode.INSTANCE_RESET, _RESET)
            held = held.evolve(progress=held.progress.remarked(remark))
        else:
            changed = tasks.changed(connection, held)
            done = done and tasks.record_version(connection, held)
            held = displaced(held, changed, version_recorded=done)
            is_displaced, state = True, _S.FAILED
    form = rows.form(database, connection)
    fence.write_held(
        connection, form, held, {**form.journal_of(held), **OF_AN_END, 'state': str(state)}
    )
    ended = form.written(connection, held.id, held)
    if state is _S.FAILED and not is_displaced:
        tasks.write_fault(connection, ended)
    serving = ended.target_image_id if done else _former_image(ended, state)
    if serving is not None:
        guests.upsert(connection, ended.instance_id, image_id=serving)
    outbox.write(connection, EventKind.END if state is _S.COMPLETED else EventKind.ERROR, ended)
    if done or state is _S.ROLLED_BACK:
        outbox.write(connection, EventKind.FINISH, ended)
    return Ending(ended, is_displaced)


def _former_image(ended: Upgrade, state: states.UpgradeState) -> str | None:
    """Return the image that a rollback has brought back, where it was told."""
    return ended.former_image_id if state is _S.ROLLED_BACK else None
