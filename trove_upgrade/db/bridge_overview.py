# SPDX-License-Identifier: Apache-2.0
"""Overview of a run: counts that the database makes, and the rows of the members that are held."""

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import bridge_pace, columns
from trove_upgrade.db.bridge_runs import BridgeRuns
from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import upgrade_bridge_members as _members
from trove_upgrade.db.models import upgrade_bridge_runs as _runs
from trove_upgrade.domain.bridge_ends import NO_FAILURES
from trove_upgrade.domain.bridge_overview import EndedMember, Held, Overview
from trove_upgrade.domain.bridge_runs import (
    MemberState,
    MemberStep,
    RunNotFound,
    RunState,
)
from trove_upgrade.domain.pace import Standing, Wait

_GOING = _members.c.state.not_in(bridge_pace.ENDED_NAMES)
_HAS_FAILED = sa.or_(
    _members.c.state == str(MemberState.FAILED),
    sa.and_(
        _GOING,
        _members.c.is_undoing,
        _members.c.error_code.not_in([code for code in NO_FAILURES if code is not None]),
    ),
)


class BridgeOverview:
    """Implements domain.bridge_overview.OverviewSource."""

    def __init__(self, database: Database, runs: BridgeRuns) -> None:
        self._database, self._runs = database, runs

    def look(self, run_id: str, since: datetime.datetime | None) -> Overview:
        with self._database.read() as connection:
            row = connection.execute(
                sa.select(_runs.c.state, columns.now().label('now')).where(_runs.c.id == run_id)
            ).one_or_none()
            if row is None:
                raise RunNotFound(run_id=run_id)
            counted = connection.execute(_counts(run_id)).all()
            going = [one for one in counted if one.state not in bridge_pace.ENDED_NAMES]
            return Overview(
                now=row.now,
                state=RunState(row.state),
                states=_by_state(counted),
                turned_back=sum(one.members for one in going if one.is_undoing),
                wave=min(_waves(one for one in going if _holds_its_wave(one)), default=None),
                last_wave=max(_waves(counted), default=None),
                failures=_by_code(connection.execute(_failures(run_id))),
                held=tuple(_held(one) for one in connection.execute(_of_held(run_id))),
                ended=() if since is None else _ended(connection, run_id, since),
            )

    def waits(self, run_id: str) -> Mapping[Wait, int]:
        return Counter(self._runs.turn(run_id).waits.values())


def _counts(run_id: str) -> sa.Select[Any]:
    kind = (_members.c.state, _members.c.wave, _members.c.is_undoing)
    members = sa.func.count().label('members')
    held = sa.func.sum(sa.case((bridge_pace.IS_HELD, 1), else_=0)).label('held')
    return sa.select(*kind, members, held).where(_members.c.run_id == run_id).group_by(*kind)


def _holds_its_wave(counted: sa.Row[Any]) -> bool:
    """Return whether the next wave waits for one of these members, which have not ended."""
    one = Standing(
        instance_id='', wave=counted.wave, is_held=counted.held > 0, is_undoing=counted.is_undoing
    )
    return one.holds_its_wave


def _by_state(counted: Iterable[sa.Row[Any]]) -> Mapping[MemberState, int]:
    found: Counter[MemberState] = Counter()
    for one in counted:
        found[MemberState(one.state)] += one.members
    return found


def _waves(counted: Iterable[sa.Row[Any]]) -> list[int]:
    return [one.wave for one in counted if one.wave is not None]


def _failures(run_id: str) -> sa.Select[Any]:
    code = _members.c.error_code
    members = sa.func.count().label('members')
    return sa.select(code, members).where(_members.c.run_id == run_id, _HAS_FAILED).group_by(code)


def _by_code(counted: Iterable[sa.Row[Any]]) -> Mapping[str, int]:
    return {one.error_code or '-': one.members for one in counted}


def _of_held(run_id: str) -> sa.Select[Any]:
    return (
        sa.select(
            _members.c.instance_id,
            _members.c.name,
            _members.c.step,
            _members.c.steps,
            _members.c.is_undoing,
        )
        .where(_members.c.run_id == run_id, bridge_pace.IS_HELD)
        .order_by(_members.c.instance_id)
    )


def _held(row: sa.Row[Any]) -> Held:
    last = row.steps[-1] if row.steps else None
    return Held(
        instance_id=row.instance_id,
        name=row.name,
        step=MemberStep(row.step),
        since=last and datetime.datetime.fromisoformat(last['started_at']),
        is_undoing=bool(row.is_undoing),
    )


def _ended(
    connection: sa.Connection, run_id: str, since: datetime.datetime
) -> tuple[EndedMember, ...]:
    query = (
        sa.select(
            _members.c.instance_id,
            _members.c.name,
            _members.c.state,
            _members.c.error_code,
            _members.c.cause,
        )
        .where(
            _members.c.run_id == run_id,
            _members.c.state != str(MemberState.LEFT_OUT),
            _members.c.ended_at >= since,
        )
        .order_by(_members.c.ended_at, _members.c.instance_id)
    )
    return tuple(
        EndedMember(
            instance_id=row.instance_id,
            name=row.name,
            state=MemberState(row.state),
            error_code=row.error_code,
            cause=row.cause,
        )
        for row in connection.execute(query)
    )
