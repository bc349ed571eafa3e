# SPDX-License-Identifier: Apache-2.0
"""Holds of upgrades: entered by the taskmanager that has made the checks, and found again when
their time has come.

One that is HELD has no lease and no owner, and its instance no task of the upgrade: the next look
at it is `next_run_at`.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from trove_upgrade.db import columns, fence, outbox, progress_codec, rows, tasks
from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import instance_upgrades as _upgrades
from trove_upgrade.db.repetition import repeat_on_new_columns, retry_on_deadlock
from trove_upgrade.domain import instances, states
from trove_upgrade.domain.events import EventKind
from trove_upgrade.domain.turn import Turn
from trove_upgrade.domain.upgrades import Upgrade

_HELD = states.UpgradeState.HELD
_LET_GO: dict[str, object] = {
    'owner': None,
    'lease_until': None,
    'step_deadline': None,
    'updated_at': columns.now(),
}


class UpgradeHolds:
    """Implements domain.actions.UpgradeHolds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @retry_on_deadlock
    def hold(self, held: Upgrade, look_in_seconds: float) -> Upgrade:
        """RUNNING -> HELD, the instance's task UPGRADING -> NONE, 'held' event: one transaction.

        :raises LeaseLost: overtaken; nothing was written.
        :raises InstanceChanged: another action has the instance; nothing was written.
        """
        states.check_move(held.state, _HELD)
        with self._database.write() as connection:
            if not tasks.release(connection, held, _HELD) and not tasks.release(
                connection, held, _HELD, former=instances.Task.NONE
            ):
                raise tasks.changed(connection, held)
            form = rows.form(self._database, connection)
            next_look = {'next_run_at': columns.ahead(look_in_seconds), 'state': str(_HELD)}
            fence.write_held(
                connection, form, held, {**form.journal_of(held), **_LET_GO, **next_look}
            )
            saved = form.written(connection, held.id, held)
            outbox.write(connection, EventKind.HELD, saved)
            return saved

    @repeat_on_new_columns
    def due(self, limit: int) -> Sequence[Turn]:
        """Return those that are HELD and are to be looked at now, the oldest first."""
        row = _upgrades.c
        query = (
            sa.select(row.id, row.project_id)
            .where(row.state == str(_HELD), row.next_run_at <= columns.now())
            .order_by(row.next_run_at, row.created_at)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [Turn(each.id, each.project_id) for each in connection.execute(query)]

    @retry_on_deadlock
    def look_again(self, upgrade_id: str, seconds: float) -> None:
        """Let one that is HELD be looked at that many seconds from now."""
        with self._database.write() as connection:
            connection.execute(_of_held(upgrade_id, seconds))

    @retry_on_deadlock
    def stay(self, held: Upgrade, seconds: float, why: str) -> None:
        """Look at it again as `look_again` does, and record why it did not proceed at its time; one
        that is HELD no more stays as it is.
        """
        told = progress_codec.encode(held.progress.kept_held(why))
        with self._database.write() as connection:
            connection.execute(
                _of_held(held.id, seconds)
                .where(_upgrades.c.generation == held.generation)
                .values(data=told)
            )


def _of_held(upgrade_id: str, seconds: float) -> sa.Update:
    return (
        sa.update(_upgrades)
        .where(_upgrades.c.id == upgrade_id, _upgrades.c.state == str(_HELD))
        .values(next_run_at=columns.ahead(seconds))
    )
