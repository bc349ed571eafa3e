# SPDX-License-Identifier: Apache-2.0
"""`instance_upgrades`: begin, claim, journal, end, retry and rollback, each in one transaction.

The winner is decided by conditional UPDATEs and unique keys alone: no SELECT ... FOR UPDATE, no
named lock, so that it holds on a Galera cluster too.  The instance's row is always written before
the upgrade's, so that no two of these transactions wait for each other.
"""

import datetime
import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import columns, guests, outbox, rows, tasks
from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import instance_upgrades as _upgrades
from trove_upgrade.db.page import Page, plausible_id
from trove_upgrade.db.repetition import repeat_on_new_columns, retry_on_deadlock
from trove_upgrade.domain import answers, exceptions, instance, notes, states, upgrade
from trove_upgrade.domain.turn import Turn

#: Of the data of one row that a list reads: usual ones have a few thousand characters, and a page
#: can have a thousand rows.
MOST_LISTED = 32_768
#: Of one that is shown alone: no release from borealis on writes as many.
MOST_SHOWN = 1_048_576

_S = states.UpgradeState
_ACTIVE = tuple(str(state) for state in sorted(states.ACTIVE))

_NOW = sa.select(columns.now())

_TURN = ('id', 'project_id', 'stalls')
_RESTS = sa.and_(_upgrades.c.next_run_at.is_not(None), _upgrades.c.next_run_at > columns.now())

#: Trove's `reset_status` and `reset-task-status`, and a configuration group that was applied, set
#: the task to NONE whatever runs.
_RESET = 'Somebody has set the task of the instance back to NONE while it was upgraded.'


class Upgrades:
    """Implements ports.UpgradeRepository, begins upgrades and lists them."""

    def __init__(self, database: Database, *, takeover_grace_seconds: float = 0) -> None:
        """`takeover_grace_seconds`: how long after a lease has run out the row may be taken from
        its owner.

        Set it to the whole deadline of a call to Nova: one that was sent just before the lease
        ended may still be on its way.
        """
        self._database = database
        self._grace = takeover_grace_seconds

    @retry_on_deadlock
    def begin(
        self,
        target_instance: instance.Instance,
        target: instance.DatastoreVersion,
        *,
        target_image_id: str,
        request_id: str | None,
        user_id: str | None,
    ) -> upgrade.Upgrade:
        """One transaction: the instance's task NONE -> UPGRADING, a PENDING row, its 'start' event.

        `target_instance` is as it was read; its version and server must still be those.

        :raises InstanceBusy: the instance has another task, or has changed since it was read;
            nothing was written.
        :raises InstanceNeedsRetry: its last upgrade has FAILED and holds it still, or may have left
            its data half-upgraded.
        :raises InstanceNotFound: it has been deleted since.
        """
        try:
            with self._database.write() as connection:
                if target_instance.server_id is None or not tasks.take(connection, target_instance):
                    raise tasks.refusal(connection, target_instance)
                half = tasks.half_upgraded(
                    connection, target_instance
                )  # now that the row is held: none fails meanwhile
                if half is not None:
                    raise half
                now = connection.execute(_NOW).scalar_one()
                begun = upgrade.Upgrade(
                    id=str(uuid.uuid4()),
                    instance_id=target_instance.id,
                    project_id=target_instance.project_id,
                    instance_name=target_instance.name,
                    server_id=target_instance.server_id,
                    state=_S.PENDING,
                    step=states.STEPS[0],
                    attempt=1,
                    rebuild_attempt=0,
                    former_version_id=target_instance.version.id,
                    target_version_id=target.id,
                    former_image_id=None,
                    target_image_id=target_image_id,
                    datastore_manager=target.manager,
                    target_number=target.number,
                    generation=0,
                    created_at=now,
                    updated_at=now,
                    next_run_at=now,
                    request_id=columns.fitting(_upgrades.c.request_id, request_id),
                    user_id=user_id,
                )
                self._form(connection).begin(connection, begun)
                outbox.write(connection, 'start', begun, [target_instance.version, target])
        except db_exc.DBDuplicateEntry as error:
            raise exceptions.InstanceBusy(
                instance_id=target_instance.id, status='UPGRADE'
            ) from error
        return begun

    @repeat_on_new_columns
    def half_upgraded(self, target: instance.Instance) -> exceptions.InstanceNeedsRetry | None:
        """As `begin` finds out: why nothing but a retry may work on this instance's data, whatever
        its task.
        """
        with self._database.read() as connection:
            return tasks.half_upgraded(connection, target)

    @repeat_on_new_columns
    def shown(self, upgrade_id: str, project_id: str | None = None) -> tuple[upgrade.Upgrade, bool]:
        """As `get`, and whether its `data` was read: it is empty where it holds more than
        MOST_SHOWN characters.

        :raises UpgradeNotFound: as `get`.
        """
        if not plausible_id(upgrade_id):
            raise exceptions.UpgradeNotFound(upgrade_id=upgrade_id)
        with self._database.read() as connection:
            found = self._form(connection).fetch_listed(connection, upgrade_id)
        if project_id is not None and found.project_id != project_id:
            raise exceptions.UpgradeNotFound(upgrade_id=upgrade_id)
        data = self.data_of([upgrade_id], MOST_SHOWN)
        return found.evolve(data=data.get(upgrade_id, {})), upgrade_id in data

    @repeat_on_new_columns
    def get(self, upgrade_id: str, project_id: str | None = None) -> upgrade.Upgrade:
        """:raises UpgradeNotFound: none, or of another project than `project_id` where that is
        given.
        """
        if not plausible_id(upgrade_id):
            raise exceptions.UpgradeNotFound(upgrade_id=upgrade_id)
        with self._database.read() as connection:
            found = self._form(connection).fetch(connection, upgrade_id)
        if project_id is not None and found.project_id != project_id:
            raise exceptions.UpgradeNotFound(upgrade_id=upgrade_id)
        return found

    @repeat_on_new_columns
    def list(
        self,
        *,
        limit: int,
        project_id: str | None = None,
        instance_id: str | None = None,
        state: states.UpgradeState | None = None,
        marker: str | None = None,
    ) -> Page[upgrade.Upgrade]:
        """Newest first; `marker` is the last id of the page before.  Their `data` is not read, and
        empty: see `data_of` and `get`.

        :raises UpgradeNotFound: the marker names none that the filters let through.
        """
        wanted: list[sa.ColumnElement[bool]] = [
            column == value
            for column, value in (
                (_upgrades.c.project_id, project_id),
                (_upgrades.c.instance_id, instance_id),
                (_upgrades.c.state, state and str(state)),
            )
            if value is not None
        ]
        with self._database.read() as connection:
            if marker is not None:
                wanted.append(_behind(connection, marker, project_id))
            found = self._form(connection).page(connection, wanted, limit + 1)
        return Page(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)

    def data_of(
        self, upgrade_ids: Sequence[str], most: int = MOST_LISTED
    ) -> dict[str, upgrade.Json]:
        """`data` of these rows by id, for a list; without those that hold more than `most`
        characters.
        """
        query = sa.select(_upgrades.c.id, _upgrades.c.data).where(
            _upgrades.c.id.in_(upgrade_ids), sa.func.length(_upgrades.c.data) <= most
        )
        with self._database.read() as connection:
            return (
                {row.id: answers.stored(row.data) for row in connection.execute(query)}
                if upgrade_ids
                else {}
            )

    def _form(self, connection: sa.Connection) -> rows.Rows:
        return rows.form(self._database, connection)

    def now(self) -> datetime.datetime:
        """By the database's clock, which leases and times of rows are of."""
        with self._database.read() as connection:
            moment: datetime.datetime = connection.execute(_NOW).scalar_one()
        return moment

    @repeat_on_new_columns
    def due(self, limit: int) -> Sequence[Turn]:
        """PENDING or RUNNING rows whose next_run_at has come and whose lease is free or has run
        out.

        The oldest first, and of each project the first before any other's second, so that a limit
        leaves out none.
        """
        row = _upgrades.c
        oldest = (row.next_run_at, row.created_at)
        with self._database.read() as connection:
            form = self._form(connection)
            slow = sa.case(
                (form.column('stalls') > 0, 1), else_=0
            )  # a project's rows that keep workers waiting come after its others
            place = (
                sa.func.row_number()
                .over(partition_by=row.project_id, order_by=[slow, *oldest])
                .label('place')
            )
            found = (
                sa.select(*map(form.column, _TURN), *oldest, place)
                .where(row.state.in_(_ACTIVE), self._lease_is_free(), ~_RESTS)
                .subquery()
            )
            query = (
                sa.select(found)
                .order_by(found.c.place, found.c.next_run_at, found.c.created_at)
                .limit(limit)
            )
            return [
                _turn(each.id, each.project_id, each.stalls) for each in connection.execute(query)
            ]

    @repeat_on_new_columns
    def turn(self, upgrade_id: str) -> Turn | None:
        """Return the turn that a nudge may put in; None: it has ended, was never there, or rests
        after a call without answer.
        """
        if not plausible_id(upgrade_id):
            return None
        with self._database.read() as connection:
            form = self._form(connection)
            query = sa.select(*map(form.column, _TURN)).where(
                _upgrades.c.id == upgrade_id,
                _upgrades.c.state.in_(_ACTIVE),
                sa.or_(form.column('stalls') == 0, ~_RESTS),
            )
            found = connection.execute(query).one_or_none()
        return None if found is None else _turn(found.id, found.project_id, found.stalls)

    def _lease_is_free(self) -> sa.ColumnElement[bool]:
        return sa.or_(
            _upgrades.c.lease_until.is_(None),
            _upgrades.c.lease_until <= columns.ahead(-self._grace),
        )

    @retry_on_deadlock
    def claim(self, upgrade_id: str, owner: str, lease_seconds: float) -> upgrade.Upgrade:
        """Take the row: generation + 1, PENDING becomes RUNNING.

        :raises LeaseLost: another taskmanager holds it, or it has ended.
        """
        with self._database.write() as connection:
            taken = connection.execute(
                sa.update(_upgrades)
                .where(
                    _upgrades.c.id == upgrade_id,
                    _upgrades.c.state.in_(_ACTIVE),
                    self._lease_is_free(),
                )
                .values(
                    owner=owner,
                    lease_until=columns.ahead(lease_seconds),
                    generation=_upgrades.c.generation + 1,
                    state=str(_S.RUNNING),
                    updated_at=columns.now(),
                )
            )
            if not taken.rowcount:
                raise exceptions.LeaseLost(upgrade_id=upgrade_id, generation='any')
            return self._form(connection).written(connection, upgrade_id)

    @retry_on_deadlock
    def renew(self, held: upgrade.Upgrade, lease_seconds: float) -> upgrade.Upgrade:
        """:raises LeaseLost: overtaken; stop at once."""
        with self._database.write() as connection:
            form = self._form(connection)
            _fenced(connection, form, held, {'lease_until': columns.ahead(lease_seconds)})
            return form.written(connection, held.id)

    @retry_on_deadlock
    def save(
        self, held: upgrade.Upgrade, *, release_for_seconds: float | None = None
    ) -> upgrade.Upgrade:
        """Write step, steps, data, rebuild_attempt, cause, error_code, step_deadline, stalls WHERE
        the generation is still ours.

        With `release_for_seconds` the lease is let go and next_run_at set that far ahead (0: at
        once).

        :raises LeaseLost: overtaken; nothing was written.
        """
        values: dict[str, object] = {'updated_at': columns.now()}
        if release_for_seconds is not None:
            values.update(
                owner=None, lease_until=None, next_run_at=columns.ahead(release_for_seconds)
            )
        with self._database.write() as connection:
            form = self._form(connection)
            _fenced(connection, form, held, {**form.journal_of(held), **values})
            return form.written(connection, held.id, held.steps)

    @retry_on_deadlock
    def end(
        self,
        held: upgrade.Upgrade,
        state: states.UpgradeState,
        *,
        cause: str | None = None,
        error_code: str | None = None,
    ) -> upgrade.Upgrade:
        """One transaction: final state, outbox event, the instance's task FROM UPGRADING, its fault
        or its new version.

        COMPLETED and ROLLED_BACK also write the 'finish' event: a guest serves, and its stash may
        go.  If the compare-and-set on the instance fails, its task is not overwritten, and the
        upgrade ends FAILED with INSTANCE_CHANGED or INSTANCE_DELETED (and its error event); only
        the version is told, where it COMPLETED.  A task that was set back to NONE is no action's:
        it ends as it would.

        :raises LeaseLost: overtaken; nothing was written.
        :raises IllegalMove: `state` ends nothing.
        """
        states.check_move(held.state, state)
        with self._database.write() as connection:
            held = held.evolve(cause=cause, error_code=error_code)
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
            form = self._form(connection)
            _fenced(
                connection,
                form,
                held,
                {
                    **form.journal_of(held),
                    'state': str(state),
                    'owner': None,
                    'lease_until': None,
                    'next_run_at': None,
                    'step_deadline': None,
                    'active_instance_id': None,
                    'ended_at': columns.now(),
                    'updated_at': columns.now(),
                },
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

    @retry_on_deadlock
    def retry(self, upgrade_id: str) -> upgrade.Upgrade:
        """FAILED -> RUNNING for the next attempt, UPGRADING_ERROR -> UPGRADING, 'start' event: one
        transaction.

        Step, data and rebuild_attempt stay: the taskmanager that runs the row looks at the world
        and decides what is asked anew.  One whose rollback has failed goes to the target again,
        unless the former server may have written meanwhile.

        :raises UpgradeNotFound, RetryRefused, InstanceChanged: and nothing was written.
        """
        with self._database.write() as connection:
            form = self._form(connection)
            failed = form.fetch(connection, upgrade_id)
            if failed.state is not _S.FAILED:
                raise _retry_refused(failed)
            if failed.is_rolling_back and failed.may_have_served_again:
                raise exceptions.RetryLeadsBack(upgrade_id=failed.id)
            again = _continue(
                connection,
                form,
                failed,
                failed.turned_forward() if failed.is_rolling_back else failed,
            )
            if again is None:
                raise _retry_refused(form.fetch(connection, upgrade_id))
        return again

    @retry_on_deadlock
    def rollback(self, upgrade_id: str) -> upgrade.Upgrade:
        """As `retry`, and the next attempt leads back to the former image; a rollback that has
        failed goes on where it stopped.

        :raises UpgradeNotFound, RollbackRefused, InstanceChanged: and nothing was written.
        """
        with self._database.write() as connection:
            form = self._form(connection)
            failed = form.fetch(connection, upgrade_id)
            if failed.state is not _S.FAILED:
                raise _rollback_refused(failed)
            found = failed.why_no_rollback()
            if found is not None:
                advice = (
                    f'Mend the cause and retry it: trove-upgrade-manage upgrade retry {failed.id}'
                )
                raise exceptions.RollbackRefused(upgrade_id=failed.id, found=found, advice=advice)
            back = (
                failed
                if failed.is_rolling_back
                else failed.turned_back(failed.cause, failed.error_code)
            )
            again = _continue(connection, form, failed, back)
            if again is None:
                raise _rollback_refused(form.fetch(connection, upgrade_id))
        return again


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


def _continue(
    connection: sa.Connection, form: rows.Rows, failed: upgrade.Upgrade, onward: upgrade.Upgrade
) -> upgrade.Upgrade | None:
    """FAILED -> RUNNING as `onward` says, for the next attempt, with its 'start' event; None:
    another operator was quicker.

    :raises InstanceChanged: the instance's task is not UPGRADING_ERROR, nor one that may be taken
        again.
    """
    if not tasks.take_again(connection, failed):
        raise tasks.changed(connection, failed, 'UPGRADING_ERROR')
    moved = connection.execute(
        sa.update(_upgrades)
        .where(
            _upgrades.c.id == failed.id,
            _upgrades.c.state == str(_S.FAILED),
            _upgrades.c.attempt == failed.attempt,
        )
        .values(
            **form.writable(
                {
                    'state': str(_S.RUNNING),
                    'attempt': failed.attempt + 1,
                    'active_instance_id': failed.instance_id,
                    'cause': None,
                    'error_code': None,
                    'ended_at': None,
                    'step_deadline': None,
                    'stalls': 0,
                    'owner': None,
                    'lease_until': None,
                    'step': str(onward.step),
                    'data': dict(onward.data),
                    'next_run_at': columns.now(),
                    'updated_at': columns.now(),
                }
            )
        )
    )
    if not moved.rowcount:
        return None
    again = form.written(connection, failed.id)
    outbox.write(connection, 'start', again)
    return again


def _turn(upgrade_id: str, project_id: str, stalls: int) -> Turn:
    return Turn(upgrade_id, project_id, is_slow=stalls > 0)


def _behind(
    connection: sa.Connection, marker: str, project_id: str | None
) -> sa.ColumnElement[bool]:
    """Return what comes after that upgrade in a list.

    :raises UpgradeNotFound: none, or of another project than `project_id` where that is given.
    """
    of_project = () if project_id is None else (_upgrades.c.project_id == project_id,)
    last = (
        connection.execute(
            sa.select(_upgrades.c.id, _upgrades.c.created_at).where(
                _upgrades.c.id == marker, *of_project
            )
        ).one_or_none()
        if plausible_id(marker)
        else None
    )
    if last is None:
        raise exceptions.UpgradeNotFound(upgrade_id=marker)
    return sa.or_(
        _upgrades.c.created_at < last.created_at,
        sa.and_(_upgrades.c.created_at == last.created_at, _upgrades.c.id < last.id),
    )


def _fenced(
    connection: sa.Connection, form: rows.Rows, held: upgrade.Upgrade, values: dict[str, object]
) -> None:
    """Write a row that we hold, or leave the transaction: what it has written before goes with
    it.
    """
    row = form.table.c
    written = connection.execute(
        sa.update(form.table)
        .where(row.id == held.id, row.generation == held.generation, row.state == str(_S.RUNNING))
        .values(**values)
    )
    if not written.rowcount:
        raise exceptions.LeaseLost(upgrade_id=held.id, generation=held.generation)


def _retry_refused(found: upgrade.Upgrade) -> exceptions.RetryRefused:
    advice = _ADVICE.get(found.state, 'Begin a new one with "trove upgrade".')
    return exceptions.RetryRefused(upgrade_id=found.id, state=found.state, advice=advice)


def _rollback_refused(found: upgrade.Upgrade) -> exceptions.RollbackRefused:
    return exceptions.RollbackRefused(
        upgrade_id=found.id,
        found=f'it is {found.state}, and only a FAILED one can',
        advice=_ADVICE.get(found.state, 'The former version serves: there is nothing left to do.'),
    )


_ADVICE = {
    _S.PENDING: 'It has not begun yet: wait.',
    _S.RUNNING: 'It goes on by itself: wait.',
    _S.COMPLETED: 'There is nothing left to do.',
}
