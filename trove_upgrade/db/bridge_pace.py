# SPDX-License-Identifier: Apache-2.0
"""Pace of the bridge's runs in their rows.

Each look at a run's standings comes after `lock`: two hosts that claim at once see each other.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import columns
from trove_upgrade.db.bridge_members import facts_from
from trove_upgrade.db.models import upgrade_bridge_members as _members
from trove_upgrade.db.models import upgrade_bridge_runs as _runs
from trove_upgrade.domain.bridge_ends import NO_FAILURES
from trove_upgrade.domain.bridge_runs import ENDED, MemberState
from trove_upgrade.domain.pace import CANARY, Hosts, Limits, Pace, Standing, StopRule

#: Of a run that was begun before runs had one: its members are one wave, and no canary.
_OF_OLD_RUNS = Pace(canary=0, wave_size=0)
_OLD_WAVE = CANARY + 1

ENDED_NAMES = tuple(str(state) for state in ENDED)
IS_HELD = sa.func.coalesce(
    sa.and_(_members.c.state == str(MemberState.RUNNING), _members.c.lease_until > columns.now()),
    sa.false(),
)


#: Facts of what a host has taken and not ended: of the others none counts.
_FACTS_OF_BEGUN = sa.case(
    (sa.and_(_members.c.state.not_in(ENDED_NAMES), _members.c.generation > 0), _members.c.facts),
    else_=sa.null(),
)


def lock(connection: sa.Connection, run_id: str) -> None:
    """Wait for other claims and ends of this run's members.  It is the first statement of a
    transaction that reads them: what it reads is then as they left it.
    """
    connection.execute(
        sa.update(_runs).where(_runs.c.id == run_id).values(updated_at=columns.now())
    )


def standings(connection: sa.Connection, run_id: str) -> list[Standing]:
    """Return what of each member counts for the pace; those that were LEFT_OUT are not there."""
    query = sa.select(
        _members.c.instance_id,
        _members.c.state,
        _members.c.is_undoing,
        _members.c.error_code,
        _members.c.generation,
        _members.c.wave,
        _members.c.node,
        _members.c.hypervisor,
        IS_HELD.label('is_held'),
        _FACTS_OF_BEGUN.label('facts'),
    ).where(_members.c.run_id == run_id, _members.c.state != str(MemberState.LEFT_OUT))
    return [_standing(row) for row in connection.execute(query)]


def _standing(row: sa.Row[Any]) -> Standing:
    is_ended = row.state in ENDED_NAMES
    facts = facts_from(row.facts or {})
    is_undoing = bool(row.is_undoing) and not is_ended
    return Standing(
        instance_id=row.instance_id,
        wave=_OLD_WAVE if row.wave is None else row.wave,
        hosts=Hosts(node=row.node, hypervisor=row.hypervisor),
        tries=row.generation,
        is_ended=is_ended,
        is_held=bool(row.is_held),
        is_begun=is_undoing or facts.is_begun,
        is_upgrading=not is_ended and facts.is_handed_over,
        is_undoing=is_undoing,
        has_failed=row.state == str(MemberState.FAILED)
        or (is_undoing and row.error_code not in NO_FAILURES),
    )


def pace_to(pace: Pace) -> dict[str, Any]:
    """Return the column of a pace."""
    return dataclasses.asdict(pace)


def pace_from(entry: Mapping[str, Any] | None) -> Pace:
    """Return what this release knows of a pace."""
    if entry is None:
        return _OF_OLD_RUNS
    known = _known(Pace, entry)
    for name, kind in (('limits', Limits), ('stop', StopRule)):
        if name in known:
            known[name] = kind(**_known(kind, known[name]))
    return Pace(**known)


def _known(kind: type, entry: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(kind)}
    return {name: value for name, value in entry.items() if name in names}
