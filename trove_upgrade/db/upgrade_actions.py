# SPDX-License-Identifier: Apache-2.0
"""Actions on `instance_upgrades` that a user or an operator takes, each in one transaction.

Two at once, or one and the taskmanager that works on the row, are told apart by conditional UPDATEs
and the claim's generation: an abort raises it, so that what the former holder writes next is
refused, the announcement of a call to Nova too.
"""

import sqlalchemy as sa

from trove_upgrade.db import (
    columns,
    fence,
    outbox,
    progress_codec,
    rows,
    tasks,
    upgrade_end,
)
from trove_upgrade.db.engine import Database
from trove_upgrade.db.repetition import retry_on_deadlock
from trove_upgrade.db.upgrades import Upgrades
from trove_upgrade.domain import actions, exceptions, refusals, states
from trove_upgrade.domain.actions import UNDO_SECONDS, Action, Taken, Verdict
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.events import EventKind
from trove_upgrade.domain.upgrades import Upgrade

_S = states.UpgradeState
_WORKED_ON = tuple(str(state) for state in sorted(states.WORKED_ON))
_ABORTED = 'It was aborted on request, before its server was rebuilt.'
_NOW = sa.select(columns.now())
#: How often a row may move between the look at it and the act.
_TRIES = 10


class UpgradeActions:
    """Implements domain.actions.UpgradeActions."""

    def __init__(
        self, database: Database, upgrades: Upgrades, undo_seconds: float = UNDO_SECONDS
    ) -> None:
        """`undo_seconds`: how long a guest may take that has to undo its part."""
        self._database = database
        self._upgrades = upgrades
        self._undo_seconds = undo_seconds

    def take(self, action: Action, upgrade_id: str, project_id: str | None = None) -> Taken:
        """Take an action, unless it is taken already.

        :raises UpgradeNotFound: none, or of another project than `project_id` where that is given.
        :raises AbortRefused, ProceedRefused, RetryRefused, RollbackRefused: its state does not
            allow it; nothing was written.
        :raises InstanceBusy, InstanceChanged: the instance does not; nothing was written.
        """
        error: exceptions.TroveUpgradeError | None = None
        for _ in range(_TRIES):
            found = self._upgrades.get(upgrade_id, project_id)
            if actions.is_taken(action, found):
                return Taken(found, is_new=False)
            if error is not None and not isinstance(error, refusals.ActionOvertaken):
                # what another action has made of the row tells more than what it was met at
                raise actions.refusal(action, found) or error
            try:
                return Taken(self._taken(action, found), is_new=True)
            except exceptions.TroveUpgradeError as refused:
                error = refused  # another one may have been quicker
        raise error or refusals.ActionOvertaken(upgrade_id=upgrade_id)

    def _taken(self, action: Action, found: Upgrade) -> Upgrade:
        match action:
            case Action.ABORT:
                return self._abort(found)
            case Action.PROCEED:
                return self._proceed(found)
            case Action.RETRY:
                return self._upgrades.retry(found.id)
            case Action.ROLLBACK:
                return self._upgrades.rollback(found.id)

    def verdicts(self, found: Upgrade) -> list[Verdict]:
        """Judge each action as `take` would now, by the upgrade and by its instance."""
        obstacle = self.instance_obstacle(found)
        return [actions.verdict(each, found, obstacle) for each in Action]

    def instance_obstacle(self, found: Upgrade) -> exceptions.TroveUpgradeError | None:
        """Return what its instance does not allow now; None: an action takes no instance."""
        if found.state not in {_S.HELD, _S.FAILED}:
            return None
        ask = tasks.why_not_held if found.state is _S.HELD else tasks.why_not_again
        with self._database.read() as connection:
            return ask(connection, found)

    def expire(self, held: Upgrade, cause: str, error_code: str) -> Upgrade:
        """HELD -> ABORTED, for that reason.

        :raises ActionOvertaken: it is HELD no more; nothing was written.
        """
        return self._end_hold(held, cause, error_code)

    def _abort(self, found: Upgrade) -> Upgrade:
        """End it, or have the guest undo its part: Nova has been asked for nothing.

        :raises AbortRefused: it has.
        """
        obstacle = actions.abort_obstacle(found)
        if obstacle is not None:
            raise obstacle
        if found.state is _S.HELD:
            return self._end_hold(found, _ABORTED, Code.ABORTED_ON_REQUEST)
        return self._abort_working(found)

    @retry_on_deadlock
    def _abort_working(self, found: Upgrade) -> Upgrade:
        with self._database.write() as connection:
            form = rows.form(self._database, connection)
            tasks.lock(connection, found.instance_id)
            taken = _take_over(connection, form, found.id)
            if taken is None:
                raise _overtaken(found)
            if taken.is_undoing:
                return taken
            obstacle = actions.abort_obstacle(taken)
            if obstacle is not None:
                raise obstacle
            now = connection.execute(_NOW).scalar_one()
            ended = taken.step_ended(now, states.StepOutcome.REFUSED, _ABORTED)
            if taken.guest_told_in_attempt is None:
                ended = ended.evolve(cause=_ABORTED, error_code=Code.ABORTED_ON_REQUEST)
                return upgrade_end.end(self._database, connection, ended, _S.ABORTED).upgrade
            given_up = taken.progress.given_up(taken.attempt, _ABORTED, Code.ABORTED_ON_REQUEST)
            # here, as a taskmanager of an earlier release, which may take it up, sets none
            undone = ended.evolve(progress=given_up).due_in(self._undo_seconds, now)
            fence.write_held(connection, form, undone, form.journal_of(undone))
            return form.written(connection, undone.id, undone)

    @retry_on_deadlock
    def _proceed(self, found: Upgrade) -> Upgrade:
        """HELD -> RUNNING, and the instance's task is taken again.

        :raises ProceedRefused: it is not HELD.
        :raises InstanceBusy, InstanceChanged: another action has the instance, or has changed it.
        """
        obstacle = actions.proceed_obstacle(found)
        if obstacle is not None:
            raise obstacle
        with self._database.write() as connection:
            tasks.take_held(connection, found)
            now = connection.execute(_NOW).scalar_one()
            onward = found.progress.hold_over(now)
            values = {
                'state': str(_S.RUNNING),
                'data': progress_codec.encode(onward),
                'next_run_at': columns.now(),
                'updated_at': columns.now(),
                'stalls': 0,
            }
            form = rows.form(self._database, connection)
            if not _move_held(connection, form, found, values):
                raise _overtaken(found)
            return form.written(connection, found.id)

    @retry_on_deadlock
    def _end_hold(self, found: Upgrade, cause: str, error_code: str) -> Upgrade:
        """HELD -> ABORTED.  The instance is not touched: it has no task of the upgrade."""
        with self._database.write() as connection:
            form = rows.form(self._database, connection)
            values = {
                **upgrade_end.OF_AN_END,
                'state': str(_S.ABORTED),
                'cause': cause,
                'error_code': error_code,
            }
            if not _move_held(connection, form, found, values):
                raise _overtaken(found)
            ended = form.written(connection, found.id)
            outbox.write(connection, EventKind.ERROR, ended)
            return ended


def _take_over(connection: sa.Connection, form: rows.Rows, upgrade_id: str) -> Upgrade | None:
    """Take the row from whichever taskmanager holds it, and return it as it is then; None: it is
    not worked on any more.

    The first statement of the row: what is read after it is what the row is held with.
    """
    row = form.table.c
    taken = connection.execute(
        sa.update(form.table)
        .where(row.id == upgrade_id, row.state.in_(_WORKED_ON))
        .values(
            state=str(_S.RUNNING),
            generation=row.generation + 1,
            owner=None,
            lease_until=None,
            next_run_at=columns.now(),
            updated_at=columns.now(),
        )
    )
    return form.fetch(connection, upgrade_id) if taken.rowcount else None


def _move_held(
    connection: sa.Connection, form: rows.Rows, found: Upgrade, values: dict[str, object]
) -> bool:
    """Write a row that is HELD as it was when it was read; False: it is not any more."""
    row = form.table.c
    moved = connection.execute(
        sa.update(form.table)
        .where(
            row.id == found.id,
            row.state == str(_S.HELD),
            row.generation == found.generation,
        )
        .values(**form.writable(values))
    )
    return bool(moved.rowcount)


def _overtaken(found: Upgrade) -> refusals.ActionOvertaken:
    return refusals.ActionOvertaken(upgrade_id=found.id)
