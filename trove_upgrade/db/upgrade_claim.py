# SPDX-License-Identifier: Apache-2.0
"""Claim of an upgrade: which rows may be taken, and the statement that takes one."""

import sqlalchemy as sa

from trove_upgrade.db import columns, rows, services
from trove_upgrade.db.models import instance_upgrades as _upgrades
from trove_upgrade.domain import exceptions, states
from trove_upgrade.domain.upgrades import Upgrade

WORKED_ON = tuple(str(state) for state in sorted(states.WORKED_ON))
#: One at a step that only a later release knows is left to that release's taskmanagers.
AT_KNOWN_STEP = _upgrades.c.step.in_([str(step) for step in states.STEPS])


def lease_is_free(grace_seconds: float) -> sa.ColumnElement[bool]:
    """Select rows without a lease, or with one that has run out: of an owner of an earlier release
    since `grace_seconds`.
    """
    return sa.or_(
        _upgrades.c.lease_until.is_(None),
        _upgrades.c.lease_until <= columns.ahead(-grace_seconds),
        sa.and_(services.is_place(_upgrades.c.owner), _upgrades.c.lease_until <= columns.now()),
    )


def claim(
    connection: sa.Connection,
    form: rows.Rows,
    upgrade_id: str,
    *,
    owner: str,
    lease_seconds: float,
    grace_seconds: float,
) -> tuple[Upgrade, bool]:
    """Take the row inside a transaction of the caller's: generation + 1, PENDING becomes RUNNING.
    Return it, and whether another had not let go of it.

    A second statement is sent only where the row is another's, or cannot be had.

    :raises LeaseLost: another taskmanager holds it, or it has ended.
    """
    claimed = (
        sa.update(_upgrades)
        .where(
            _upgrades.c.id == upgrade_id,
            _upgrades.c.state.in_(WORKED_ON),
            AT_KNOWN_STEP,
            lease_is_free(grace_seconds),
        )
        .values(
            owner=owner,
            lease_until=columns.ahead(lease_seconds),
            generation=_upgrades.c.generation + 1,
            state=str(states.UpgradeState.RUNNING),
            updated_at=columns.now(),
        )
    )
    let_go = sa.or_(_upgrades.c.owner.is_(None), _upgrades.c.owner == owner)
    for is_takeover in (False, True):
        if connection.execute(claimed if is_takeover else claimed.where(let_go)).rowcount:
            return form.written(connection, upgrade_id), is_takeover
    raise exceptions.LeaseLost(upgrade_id=upgrade_id, generation='any')
