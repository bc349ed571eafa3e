# SPDX-License-Identifier: Apache-2.0
"""`instance_upgrades`: begin, claim, journal, end, retry and rollback, each in one transaction.

The winner is decided by conditional UPDATEs and unique keys alone: no SELECT ... FOR UPDATE, no
named lock, so that it holds on a Galera cluster too.  The instance's row is always written before
the upgrade's, so that no two of these transactions wait for each other.
"""

import dataclasses
import datetime
from collections.abc import Callable, Sequence

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import (
    columns,
    fence,
    outbox,
    progress_codec,
    rows,
    service_status,
    taken_instances,
    tasks,
    upgrade_beginning,
    upgrade_claim,
    upgrade_continuation,
    upgrade_end,
    upgrade_lists,
)
from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import instance_upgrades as _upgrades
from trove_upgrade.db.page import Page, plausible_id
from trove_upgrade.db.repetition import repeat_on_new_columns, retry_on_deadlock
from trove_upgrade.domain import admission, exceptions, instances, states
from trove_upgrade.domain.endings import Ending
from trove_upgrade.domain.events import EventKind
from trove_upgrade.domain.holds import NO_CHOICES, Choices
from trove_upgrade.domain.progress import Progress
from trove_upgrade.domain.turn import Turn
from trove_upgrade.domain.upgrades import Upgrade

#: Of the data of one row that a list reads: usual ones have a few thousand characters, and a page
#: can have a thousand rows.
MOST_LISTED = 32_768
#: Of one that is shown alone: no release from borealis on writes as many.
MOST_SHOWN = 1_048_576

_S = states.UpgradeState
_NOW = sa.select(columns.now())

_TURN = ('id', 'project_id', 'stalls')
_RESTS = sa.and_(_upgrades.c.next_run_at.is_not(None), _upgrades.c.next_run_at > columns.now())


class Upgrades:
    """Implements ports.UpgradeRepository, begins upgrades and lists them."""

    def __init__(
        self,
        database: Database,
        takeover_grace_seconds: float = 0,
        on_takeover: Callable[[], None] = lambda: None,
    ) -> None:
        """`takeover_grace_seconds`: how long after a lease has run out the row may be taken from
        an owner of an earlier release, which does not announce its calls to Nova: the whole
        deadline of such a call, which may still be on its way.

        `on_takeover` is called after each claim of a row that another had not let go of.
        """
        self._database = database
        self._grace = takeover_grace_seconds
        self._on_takeover = on_takeover

    @retry_on_deadlock
    def begin(
        self,
        target_instance: instances.Instance,
        target: instances.DatastoreVersion,
        *,
        target_image_id: str,
        request_id: str | None,
        user_id: str | None,
        agent_silence_seconds: float | None = None,
        choices: Choices = NO_CHOICES,
    ) -> Upgrade:
        """One transaction: the instance's task NONE -> UPGRADING, a PENDING row, its 'start' event.

        `target_instance` is as it was read; its version and server must still be those.
        `agent_silence_seconds`: seconds after which a guest that was not heard counts as one
        without an agent of ours, 0: once heard is enough; None: the precheck asks the guest.

        :raises InstanceBusy: the instance has another task or a held upgrade, or has changed since
            it was read; nothing was written.
        :raises InstanceNeedsRetry: its last upgrade has FAILED and holds it still, or may have left
            its data half-upgraded.
        :raises InstanceNotFound: it has been deleted since.
        :raises InstanceHasNoServer: there is nothing to rebuild.
        :raises GuestAgentMissing: no agent of ours was heard from its guest lately.
        """
        try:
            with self._database.write() as connection:
                return upgrade_beginning.begin(
                    self._database,
                    connection,
                    target_instance,
                    target,
                    target_image_id=target_image_id,
                    request_id=request_id,
                    user_id=user_id,
                    agent_silence_seconds=agent_silence_seconds,
                    choices=choices,
                )
        except db_exc.DBDuplicateEntry as error:
            raise self._in_the_way(target_instance) from error

    def _in_the_way(self, target: instances.Instance) -> exceptions.InstanceBusy:
        with self._database.read() as connection:
            newest = tasks.newest(connection, target.id)
        return admission.upgrade_in_the_way(target, newest)

    @repeat_on_new_columns
    def why_not_leave(self, target: instances.Instance) -> exceptions.InstanceBusy | None:
        """Ask `admission.why_not_leave` about the upgrades of the instance as they are now."""
        with self._database.read() as connection:
            newest = tasks.newest(connection, target.id)
            return admission.why_not_leave(
                target, newest, taken_instances.latest(connection, target.id)
            )

    @repeat_on_new_columns
    def shown(self, upgrade_id: str, project_id: str | None = None) -> tuple[Upgrade, bool]:
        """Return an upgrade as `get` does, and whether its progress was read: it is empty where its
        row holds more than MOST_SHOWN characters of it.

        :raises UpgradeNotFound: as `get`.
        """
        if not plausible_id(upgrade_id):
            raise exceptions.UpgradeNotFound(upgrade_id=upgrade_id)
        with self._database.read() as connection:
            found = self._form(connection).fetch_listed(connection, upgrade_id)
        if project_id is not None and found.project_id != project_id:
            raise exceptions.UpgradeNotFound(upgrade_id=upgrade_id)
        progress = self.progress_of([upgrade_id], MOST_SHOWN).get(upgrade_id)
        return found if progress is None else found.evolve(progress=progress), progress is not None

    @repeat_on_new_columns
    def get(self, upgrade_id: str, project_id: str | None = None) -> Upgrade:
        """Return an upgrade with its whole progress.

        :raises UpgradeNotFound: none, or of another project than `project_id` where that is
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
        marker_time: datetime.datetime | None = None,
        filters: upgrade_lists.Filters = upgrade_lists.ALL,
        order: upgrade_lists.Order = upgrade_lists.NEWEST_FIRST,
    ) -> Page[Upgrade]:
        """List upgrades, the newest first; `marker` is the last id of the page before, and
        `marker_time` what it was sorted by then. Their progress is not read, and empty: see
        `progress_of` and `get`.

        :raises UpgradeNotFound: the marker names none of the project.
        """
        chosen = dataclasses.replace(
            filters,
            project_id=project_id,
            instance_id=instance_id,
            states=filters.states if state is None else (state,),
        )
        conditions = chosen.conditions()
        with self._database.read() as connection:
            if marker is not None:
                conditions.append(
                    upgrade_lists.behind(connection, marker, project_id, order, marker_time)
                )
            form = self._form(connection)
            found = form.page(connection, conditions, limit + 1, order.columns)
        return Page(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)

    def latest_of(self, instance_id: str) -> Upgrade | None:
        """Return the newest upgrade of an instance, as a list shows it; None: it has none."""
        return next(iter(self.list(limit=1, instance_id=instance_id).items), None)

    def progress_of(
        self, upgrade_ids: Sequence[str], most: int = MOST_LISTED
    ) -> dict[str, Progress]:
        """The progress of these by id, for a list; a row with more than `most` characters of it
        is left out.
        """
        query = sa.select(_upgrades.c.id, _upgrades.c.data).where(
            _upgrades.c.id.in_(upgrade_ids), sa.func.length(_upgrades.c.data) <= most
        )
        with self._database.read() as connection:
            return (
                {row.id: progress_codec.decode(row.data) for row in connection.execute(query)}
                if upgrade_ids
                else {}
            )

    def _form(self, connection: sa.Connection) -> rows.Rows:
        return rows.form(self._database, connection)

    def now(self) -> datetime.datetime:
        """Return the time of the database's clock, which leases and times of rows are of."""
        with self._database.read() as connection:
            moment: datetime.datetime = connection.execute(_NOW).scalar_one()
        return moment

    @repeat_on_new_columns
    def due(self, limit: int) -> Sequence[Turn]:
        """PENDING or RUNNING rows that are due, with a lease that is free or has run out.

        Oldest first, and of each project the first before any other's second.
        """
        row = _upgrades.c
        oldest = (row.next_run_at, row.created_at)
        with self._database.read() as connection:
            form = self._form(connection)
            # those that keep workers waiting come after their project's others
            slow = sa.case((form.column('stalls') > 0, 1), else_=0)
            place = (
                sa.func.row_number()
                .over(partition_by=row.project_id, order_by=[slow, *oldest])
                .label('place')
            )
            found = (
                sa.select(*map(form.column, _TURN), *oldest, place)
                .where(
                    row.state.in_(upgrade_claim.WORKED_ON),
                    upgrade_claim.AT_KNOWN_STEP,
                    upgrade_claim.lease_is_free(self._grace),
                    ~_RESTS,
                )
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
        """Return what a nudge may put in; None: it has ended, was never there, or rests."""
        return self._turn_where(_upgrades.c.id == upgrade_id) if plausible_id(upgrade_id) else None

    @repeat_on_new_columns
    def turn_of_instance(self, instance_id: str) -> Turn | None:
        """Return that of the upgrade that holds an instance; None where none does, too."""
        return self._turn_where(_upgrades.c.active_instance_id == instance_id)

    def _turn_where(self, wanted: sa.ColumnElement[bool]) -> Turn | None:
        with self._database.read() as connection:
            form = self._form(connection)
            query = sa.select(*map(form.column, _TURN)).where(
                wanted,
                _upgrades.c.state.in_(upgrade_claim.WORKED_ON),
                upgrade_claim.AT_KNOWN_STEP,
                sa.or_(form.column('stalls') == 0, ~_RESTS),
            )
            found = connection.execute(query).one_or_none()
        return None if found is None else _turn(found.id, found.project_id, found.stalls)

    def claim(self, upgrade_id: str, owner: str, lease_seconds: float) -> Upgrade:
        """Take the row: generation + 1, PENDING becomes RUNNING.

        :raises LeaseLost: another taskmanager holds it, or it has ended.
        """
        claimed, is_takeover = self._claimed(upgrade_id, owner, lease_seconds)
        if is_takeover:
            self._on_takeover()
        return claimed

    @retry_on_deadlock
    def _claimed(self, upgrade_id: str, owner: str, lease_seconds: float) -> tuple[Upgrade, bool]:
        with self._database.write() as connection:
            return upgrade_claim.claim(
                connection,
                self._form(connection),
                upgrade_id,
                owner=owner,
                lease_seconds=lease_seconds,
                grace_seconds=self._grace,
            )

    @retry_on_deadlock
    def save(
        self,
        held: Upgrade,
        *,
        release_for_seconds: float | None = None,
        event: EventKind | None = None,
        status: instances.ServiceStatus | None = None,
    ) -> Upgrade:
        """Write its journal as the port has it."""
        values: dict[str, object] = {'updated_at': columns.now()}
        if release_for_seconds is not None:
            values.update(
                owner=None, lease_until=None, next_run_at=columns.ahead(release_for_seconds)
            )
        with self._database.write() as connection:
            form = self._form(connection)
            fence.write_held(connection, form, held, {**form.journal_of(held), **values})
            if status is not None:
                service_status.write(connection, held.instance_id, status)
            if release_for_seconds is None and event is None:
                return form.saved(connection, held)
            saved = form.written(connection, held.id, held)
            if event is not None:
                outbox.write(connection, event, saved)
            return saved

    @retry_on_deadlock
    def end(
        self,
        held: Upgrade,
        state: states.UpgradeState,
        *,
        cause: str | None = None,
        error_code: str | None = None,
    ) -> Ending:
        """One transaction: final state, outbox event, the instance's task FROM UPGRADING, its fault
        or its new version.

        COMPLETED and ROLLED_BACK also write the 'finish' event: a guest serves, and its stash may
        go.  If the compare-and-set on the instance fails, its task is not overwritten, and the
        upgrade is displaced: it ends FAILED with INSTANCE_CHANGED or INSTANCE_DELETED (and its
        error event); only the version is told, where it COMPLETED.  A task that was set back to
        NONE is no action's: it ends as it would.

        :raises LeaseLost: overtaken; nothing was written.
        :raises IllegalMove: `state` ends nothing.
        """
        states.check_move(held.state, state)
        with self._database.write() as connection:
            return upgrade_end.end(
                self._database,
                connection,
                held.evolve(cause=cause, error_code=error_code),
                state,
            )

    @retry_on_deadlock
    def retry(self, upgrade_id: str) -> Upgrade:
        """FAILED -> RUNNING for the next attempt, UPGRADING_ERROR -> UPGRADING, 'start' event: one
        transaction.

        Step, data and rebuild_attempt stay: the taskmanager that runs the row looks at the world
        and decides what is asked anew.  One with a failed rollback goes to the target again,
        unless the former server may have written meanwhile.

        :raises UpgradeNotFound, RetryRefused, InstanceChanged: and nothing was written.
        """
        with self._database.write() as connection:
            return upgrade_continuation.retry(connection, self._form(connection), upgrade_id)

    @retry_on_deadlock
    def rollback(self, upgrade_id: str) -> Upgrade:
        """Continue as `retry` does, with an attempt that leads back to the former image; a rollback
        that has failed goes on where it stopped.

        :raises UpgradeNotFound, RollbackRefused, InstanceChanged: and nothing was written.
        """
        with self._database.write() as connection:
            return upgrade_continuation.rollback(connection, self._form(connection), upgrade_id)


def _turn(upgrade_id: str, project_id: str, stalls: int) -> Turn:
    return Turn(upgrade_id, project_id, is_slow=stalls > 0)
