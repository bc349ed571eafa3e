# SPDX-License-Identifier: Apache-2.0
"""End of an upgrade: its row, its instance's task, fault and version, and its events."""

import sqlalchemy as sa

from trove_upgrade.db import columns, fence, guests, outbox, rows, tasks
from trove_upgrade.db.engine import Database
from trove_upgrade.domain import instance, notes, states, upgrade

_S = states.UpgradeState

#: Trove's `reset_status` and `reset-task-status`, and a configuration group that was applied, set
#: the task to NONE whatever runs.
_RESET = 'Somebody has set the task of the instance back to NONE while it was upgraded.'

_OF_AN_END: dict[str, object] = {
    'owner': None,
    'lease_until': None,
    'next_run_at': None,
    'step_deadline': None,
    'active_instance_id': None,
    'ended_at': columns.now(),
    'updated_at': columns.now(),
}


def end(
    database: Database,
    connection: sa.Connection,
    held: upgrade.Upgrade,
    state: states.UpgradeState,
) -> upgrade.Upgrade:
    """Write the end of `held`, in a transaction of the caller's, as `Upgrades.end` promises.

    :raises LeaseLost: overtaken.
    """
    done = state is _S.COMPLETED
    released = tasks.release(connection, held, state)
    if not released and tasks.release(connection, held, state, former=instance.Task.NONE):
        released, held = (
            True,
            held.with_data(
                **notes.with_remark(
                    held.data, notes.Note(held.step, notes.Code.INSTANCE_RESET, _RESET)
                )
            ),
        )
    if not released:
        held, done = _of_somebody_else(connection, held, done=done)
        state = _S.FAILED
    form = rows.form(database, connection)
    fence.write_held(
        connection, form, held, {**form.journal_of(held), **_OF_AN_END, 'state': str(state)}
    )
    ended = form.written(connection, held.id, held.steps)
    if released and state is _S.FAILED:
        tasks.write_fault(connection, ended)
    if done:
        guests.upsert(connection, ended.instance_id, image_id=ended.target_image_id)
    outbox.write(connection, 'end' if state is _S.COMPLETED else 'error', ended)
    if done or state is _S.ROLLED_BACK:
        outbox.write(connection, 'finish', ended)
    return ended


def _of_somebody_else(
    connection: sa.Connection, held: upgrade.Upgrade, *, done: bool
) -> tuple[upgrade.Upgrade, bool]:
    """With the cause of an end whose instance is another action's by now; and whether its new
    version was told all the same.
    """
    changed = tasks.changed(connection, held)
    cause = (
        changed.message
        if held.cause in {None, changed.message}
        else f'{changed.message} Before that: {held.cause}'
    )
    told = done and tasks.record_version(connection, held)
    if told:
        cause = f'{cause} The upgrade itself was done: the instance runs its new version.'
    return held.evolve(cause=cause, error_code=changed.code), told
