# SPDX-License-Identifier: Apache-2.0
"""Facts that decide whether an upgrade may begin, read in one statement by the transaction that has
taken the instance's task.

One statement, as a PATCH waits for each round trip; built once for each form, as building one costs
more than running it.
"""

import dataclasses
import datetime
import functools
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import columns, progress_codec, trove_tables
from trove_upgrade.db.instance_rows import running_backup
from trove_upgrade.db.models import instance_upgrades as _upgrades
from trove_upgrade.db.models import upgrade_guests as _guests
from trove_upgrade.domain import admission, states

_instances = trove_tables.instances
_INSTANCE = sa.bindparam('instance_id', type_=_instances.c.id.type)
_MICROSECONDS = sa.bindparam('silence', type_=sa.BigInteger)
_LATEST_COLUMNS = (
    _upgrades.c.id,
    _upgrades.c.state,
    _upgrades.c.data,
    _upgrades.c.error_code,
    _upgrades.c.former_version_id,
)


def _id_of_latest() -> sa.ScalarSelect[Any]:
    """Subquery of the id of the last upgrade that may have changed anything."""
    upgrades = _upgrades.alias('of_instance')
    is_untouched = sa.and_(
        upgrades.c.step == str(admission.UNTOUCHED_STEP),
        upgrades.c.state.in_([str(state) for state in admission.ENDED_UNTOUCHED]),
    )
    return (
        sa.select(upgrades.c.id)
        .where(upgrades.c.instance_id == _INSTANCE, sa.not_(is_untouched))
        .order_by(upgrades.c.created_at.desc())
        .limit(1)
        .scalar_subquery()
    )


_IS_LATEST = _upgrades.c.id == _id_of_latest()
_LATEST: sa.Select[Any] = sa.select(*_LATEST_COLUMNS).where(_IS_LATEST)


def latest(connection: sa.Connection, instance_id: str) -> admission.LatestUpgrade | None:
    """The last upgrade of an instance that may have changed anything there."""
    row = connection.execute(_LATEST, {'instance_id': instance_id}).one_or_none()
    return None if row is None else _latest_from(row)


def _latest_from(row: sa.Row[Any]) -> admission.LatestUpgrade:
    return admission.LatestUpgrade(
        id=row.id,
        has_failed=row.state == str(states.UpgradeState.FAILED),
        former_version_id=row.former_version_id,
        error_code=row.error_code,
        is_past_no_return=progress_codec.decode(row.data).restore.is_past_no_return,
    )


@dataclasses.dataclass(frozen=True)
class Taken:
    """Facts of the instance, and the time of the database's clock at which they were read."""

    instance: admission.TakenInstance
    now: datetime.datetime


def read(connection: sa.Connection, instance_id: str, agent_silence_seconds: float | None) -> Taken:
    """Read the facts; `agent_silence_seconds` as `Upgrades.begin` has it."""
    parameters: dict[str, Any] = {'instance_id': instance_id}
    if agent_silence_seconds:
        parameters['silence'] = -round(agent_silence_seconds * 1_000_000)
    query = _select(agent_silence_seconds is not None, bool(agent_silence_seconds))
    row = connection.execute(query, parameters).one()
    is_asked_for = agent_silence_seconds is not None
    return Taken(
        admission.TakenInstance(
            latest=None if row.id is None else _latest_from(row),
            backup_running=bool(row.backup_running),
            agent=admission.AgentHeard(row.seen_at, bool(row.is_lately)) if is_asked_for else None,
        ),
        now=row.now,
    )


@functools.cache
def _select(with_agent: bool, is_silence_bounded: bool) -> sa.Select[Any]:
    """SELECT of one row, also where the instance has no upgrade and no agent."""
    query = (
        sa.select(
            columns.now().label('now'),
            running_backup(_INSTANCE).label('backup_running'),
            *_LATEST_COLUMNS,
        )
        .select_from(_instances)
        .outerjoin(_upgrades, _IS_LATEST)
        .where(_instances.c.id == _INSTANCE)
    )
    if not with_agent:
        return query
    is_lately = (
        _guests.c.seen_at > columns.ahead_by(_MICROSECONDS)
        if is_silence_bounded
        else _guests.c.boot_id.is_not(None)
    )
    is_guests = sa.and_(_guests.c.instance_id == _INSTANCE, _guests.c.boot_id.is_not(None))
    return query.add_columns(_guests.c.seen_at, is_lately.label('is_lately')).outerjoin(
        _guests, is_guests
    )
