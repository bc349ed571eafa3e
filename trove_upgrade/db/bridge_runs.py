# SPDX-License-Identifier: Apache-2.0
"""`upgrade_bridge_runs` and `upgrade_bridge_members`: what the bridge works on, and how far it is.

A claim raises the generation of a member; each write names it.
"""

import dataclasses
import uuid
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import bridge_members, bridge_pace, columns, errors
from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import upgrade_bridge_members as _members
from trove_upgrade.db.models import upgrade_bridge_runs as _runs
from trove_upgrade.db.page import plausible_id
from trove_upgrade.db.repetition import retry_on_deadlock
from trove_upgrade.domain.bridge_runs import (
    Claim,
    InstanceInOtherRun,
    Member,
    MemberLost,
    MemberState,
    NoRoom,
    Run,
    RunNotFound,
    RunPlan,
    RunScope,
    RunState,
)
from trove_upgrade.domain.inventory import Listed
from trove_upgrade.domain.pace import WAITS, Hosts, LimitChanges, Turn, has_room, turn

_ENDED = bridge_pace.ENDED_NAMES
#: Runs in which a member may be begun, or in which those that were begun come to their end.
_GOING = tuple(str(state) for state in (RunState.RUNNING, RunState.STOPPED))
_NO_PLAN = RunPlan()


class BridgeRuns:
    """Implements domain.bridge_runs.RunRepository."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @retry_on_deadlock
    def begin(self, members: Sequence[Listed], scope: RunScope, plan: RunPlan = _NO_PLAN) -> Run:
        """Freeze the membership, with what was decided for each.

        :raises InstanceInOtherRun: one is a member of a run that has not ended.
        :raises SchemaMissing: the expand of this release has not been run.
        """
        run_id = str(uuid.uuid4())
        with self._database.write() as connection:
            self._require_tables(connection)
            connection.execute(
                sa.insert(_runs).values(
                    id=run_id,
                    state=str(RunState.RUNNING),
                    scope=str(scope),
                    created_at=columns.now(),
                    updated_at=columns.now(),
                    pace=bridge_pace.pace_to(plan.pace),
                )
            )
            self._insert(connection, run_id, members, plan)
            _end_run_with_its_last(connection, run_id)
            return self._run(connection, run_id)

    def _require_tables(self, connection: sa.Connection) -> None:
        """Look for what the expand adds last."""
        last = _members.c.wave
        if last.name not in self._database.columns(connection, _members.name):
            self._database.forget_columns()  # the expand may be run at any moment
            found = f'column {last} is missing'
            raise errors.SchemaMissing(found=found, advice=errors.EXPAND_TABLES)

    @staticmethod
    def _insert(
        connection: sa.Connection, run_id: str, members: Sequence[Listed], plan: RunPlan
    ) -> None:
        rows = bridge_members.rows_of(run_id, members, plan)
        left_out = [row for row in rows if row['active_instance_id'] is None]
        waiting = [row for row in rows if row['active_instance_id'] is not None]
        insert = sa.insert(_members)
        try:
            with connection.begin_nested():
                if waiting:
                    connection.execute(insert, waiting)
                if left_out:
                    connection.execute(insert.values(ended_at=columns.now()), left_out)
        except db_exc.DBDuplicateEntry:
            ids = [row['instance_id'] for row in waiting]
            other = connection.execute(
                sa.select(_members.c.run_id, _members.c.instance_id).where(
                    _members.c.active_instance_id.in_(ids)
                )
            ).first()
            if other is None:  # that run has just ended
                raise
            raise InstanceInOtherRun(instance_id=other.instance_id, run_id=other.run_id) from None

    def get(self, run_id: str) -> Run:
        """Return a run.

        :raises RunNotFound: there is none.
        """
        with self._database.read() as connection:
            self._require_tables(connection)
            return self._run(connection, run_id)

    def all(self) -> list[Run]:
        """Return every run, the newest first."""
        query = sa.select(_runs.c.id).order_by(_runs.c.created_at.desc(), _runs.c.id)
        with self._database.read() as connection:
            if not self._database.columns(connection, _runs.name):
                return []
            self._require_tables(connection)
            return [self._run(connection, run_id) for run_id in connection.execute(query).scalars()]

    @staticmethod
    def _run(connection: sa.Connection, run_id: str) -> Run:
        row = None
        if plausible_id(run_id):
            row = connection.execute(sa.select(_runs).where(_runs.c.id == run_id)).one_or_none()
        if row is None:
            raise RunNotFound(run_id=run_id)
        counted = connection.execute(
            sa.select(_members.c.state, sa.func.count())
            .where(_members.c.run_id == run_id)
            .group_by(_members.c.state)
        )
        return Run(
            id=row.id,
            state=RunState(row.state),
            scope=RunScope(row.scope),
            created_at=row.created_at,
            updated_at=row.updated_at,
            ended_at=row.ended_at,
            members={MemberState(state): count for state, count in counted.tuples()},
            pace=bridge_pace.pace_from(row.pace),
            accepted_failures=row.accepted_failures,
        )

    def members(self, run_id: str) -> list[Member]:
        """Return all members, by instance id."""
        query = (
            sa.select(_members).where(_members.c.run_id == run_id).order_by(_members.c.instance_id)
        )
        with self._database.read() as connection:
            return [bridge_members.member_from(row) for row in connection.execute(query)]

    def member(self, run_id: str, instance_id: str) -> Member:
        """Return a member as it is now."""
        with self._database.read() as connection:
            return self._member(connection, run_id, instance_id)

    @retry_on_deadlock
    def claim(
        self, run_id: str, owner: str, lease_seconds: float, passed_over: Collection[str] = ()
    ) -> Claim:
        """Take the next member that the run's pace lets begin; a run with too many failures is
        STOPPED.
        """
        with self._database.write() as connection:
            bridge_pace.lock(connection, run_id)
            run = self._run(connection, run_id)
            standings = bridge_pace.standings(connection, run_id)
            found = turn(standings, run.pace, run.accepted_failures)
            if found.stop is not None:
                _stop(connection, run_id)
            waits = {one: wait for one, wait in found.waits.items() if one not in passed_over}
            taken = next((one for one in found.takeable if one in waits), None)
            if taken is None:
                return Claim(member=None, waits=waits, stop=found.stop)
            connection.execute(
                sa.update(_members)
                .where(_members.c.run_id == run_id, _members.c.instance_id == taken)
                .values(
                    state=str(MemberState.RUNNING),
                    owner=owner,
                    generation=_members.c.generation + 1,
                    lease_until=columns.ahead(lease_seconds),
                )
            )
            member = self._member(connection, run_id, taken)
            return Claim(member=member, waits=waits, stop=found.stop)

    def turn(self, run_id: str) -> Turn:
        """Return why members wait, and whether the run has stopped."""
        with self._database.read() as connection:
            run = self._run(connection, run_id)
            standings = bridge_pace.standings(connection, run_id)
        return turn(standings, run.pace, run.accepted_failures)

    @retry_on_deadlock
    def settle(self, member: Member, hosts: Hosts) -> Member:
        """Write which hosts the work on a member loads.

        :raises NoRoom: enough others load them.
        :raises MemberLost: another host has it.
        """
        if hosts == member.hosts:
            return member
        with self._database.write() as connection:
            bridge_pace.lock(connection, member.run_id)
            run = self._run(connection, member.run_id)
            others = [
                one.hosts
                for one in bridge_pace.standings(connection, member.run_id)
                if one.is_load and one.instance_id != member.instance_id
            ]
            self._write(connection, member, **bridge_members.hosts_to(hosts))
            settled = self._member(connection, member.run_id, member.instance_id)
        wait = has_room(hosts, others, run.pace.limits)
        if wait is not None:
            raise NoRoom(instance_id=member.instance_id, run_id=member.run_id, found=WAITS[wait])
        return settled

    @retry_on_deadlock
    def change_limits(self, run_id: str, changes: LimitChanges) -> Run:
        """Change them, for every host at its next claim."""
        with self._database.write() as connection:
            bridge_pace.lock(connection, run_id)
            pace = self._run(connection, run_id).pace
            pace = dataclasses.replace(pace, limits=changes.of(pace.limits))
            self._update_run(connection, run_id, pace=bridge_pace.pace_to(pace))
            return self._run(connection, run_id)

    @retry_on_deadlock
    def accept_failures(self, run_id: str) -> Run:
        """Let a run that was STOPPED begin others again: what has failed so far counts no more.
        Another one stays as it is.
        """
        with self._database.write() as connection:
            bridge_pace.lock(connection, run_id)
            if self._run(connection, run_id).state is RunState.STOPPED:
                failed = sum(one.has_failed for one in bridge_pace.standings(connection, run_id))
                self._update_run(
                    connection, run_id, accepted_failures=failed, state=str(RunState.RUNNING)
                )
            return self._run(connection, run_id)

    @staticmethod
    def _update_run(connection: sa.Connection, run_id: str, **values: Any) -> None:
        connection.execute(sa.update(_runs).where(_runs.c.id == run_id).values(**values))

    @retry_on_deadlock
    def save(self, member: Member) -> Member:
        """Write what its holder may change, and its steps.

        :raises MemberLost: another host has claimed it, or it has ended.
        """
        with self._database.write() as connection:
            self._write(connection, member, **bridge_members.journal_of(member))
            return self._member(connection, member.run_id, member.instance_id)

    @retry_on_deadlock
    def keep(self, member: Member, lease_seconds: float) -> None:
        """Let the lease end that many seconds from now.  Raises as `save`; also when it is over, as
        another member may have its place by now.
        """
        with self._database.write() as connection:
            is_held = _members.c.lease_until > columns.now()
            self._write(connection, member, is_held, lease_until=columns.ahead(lease_seconds))

    @retry_on_deadlock
    def release(self, member: Member) -> None:
        """Let any host go on with it at once.  Raises as `save`."""
        with self._database.write() as connection:
            self._write(connection, member, owner=None, lease_until=None)

    @retry_on_deadlock
    def end(self, member: Member, state: MemberState) -> Member:
        """Write the end of a member; the run ends with its last one.  Raises as `save`."""
        with self._database.write() as connection:
            bridge_pace.lock(connection, member.run_id)
            self._write(
                connection,
                member,
                **bridge_members.journal_of(member),
                **bridge_members.end_of(state),
            )
            _end_run_with_its_last(connection, member.run_id)
            return self._member(connection, member.run_id, member.instance_id)

    @retry_on_deadlock
    def abort(self, run_id: str, *, leaves_agents: bool = False) -> Run:
        """Turn every member that a host works on back; the others end at once, but, unless
        `leaves_agents`, those in whose guest something may be.
        """
        with self._database.write() as connection:
            bridge_pace.lock(connection, run_id)
            self._run(connection, run_id)
            going = sa.and_(_members.c.run_id == run_id, _members.c.state.not_in(_ENDED))
            connection.execute(sa.update(_members).where(going).values(is_undoing=True))
            rows = connection.execute(
                sa.select(_members).where(going, sa.not_(bridge_pace.IS_HELD))
            )
            for row in rows.all():
                member = bridge_members.member_from(row)
                if leaves_agents or not member.facts.is_in_guest:
                    connection.execute(
                        sa.update(_members)
                        .where(*_same(run_id, row.instance_id, row.generation))
                        .values(**bridge_members.abort_of(member))
                    )
            connection.execute(
                sa.update(_runs)
                .where(_runs.c.id == run_id, _runs.c.state.in_(_GOING))
                .values(state=str(RunState.ABORTED), updated_at=columns.now())
            )
            _end_run_with_its_last(connection, run_id)
            return self._run(connection, run_id)

    @staticmethod
    def _write(
        connection: sa.Connection,
        member: Member,
        *conditions: sa.ColumnElement[bool],
        **values: Any,
    ) -> None:
        written = connection.execute(
            sa.update(_members)
            .where(
                *_same(member.run_id, member.instance_id, member.generation),
                _members.c.state == str(MemberState.RUNNING),
                *conditions,
            )
            .values(**values)
        )
        if not written.rowcount:
            raise MemberLost(run_id=member.run_id, instance_id=member.instance_id)

    @staticmethod
    def _member(connection: sa.Connection, run_id: str, instance_id: str) -> Member:
        query = sa.select(_members).where(
            _members.c.run_id == run_id, _members.c.instance_id == instance_id
        )
        return bridge_members.member_from(connection.execute(query).one())


def _same(run_id: str, instance_id: str, generation: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        _members.c.run_id == run_id,
        _members.c.instance_id == instance_id,
        _members.c.generation == generation,
    )


def _stop(connection: sa.Connection, run_id: str) -> None:
    """Write STOPPED.  An operator's end stays."""
    connection.execute(
        sa.update(_runs)
        .where(_runs.c.id == run_id, _runs.c.state == str(RunState.RUNNING))
        .values(state=str(RunState.STOPPED))
    )


def _end_run_with_its_last(connection: sa.Connection, run_id: str) -> None:
    """End the run where no member goes on; an ABORTED one keeps its state.  `lock` came before."""
    going = sa.select(_members.c.instance_id).where(
        _members.c.run_id == run_id, _members.c.state.not_in(_ENDED)
    )
    if connection.execute(going.limit(1)).first() is not None:
        return
    is_going = _runs.c.state.in_(_GOING)
    connection.execute(
        sa.update(_runs)
        .where(_runs.c.id == run_id, _runs.c.ended_at.is_(None))
        .values(
            state=sa.case((is_going, str(RunState.ENDED)), else_=_runs.c.state),
            updated_at=columns.now(),
            ended_at=columns.now(),
        )
    )
