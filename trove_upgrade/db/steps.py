# SPDX-License-Identifier: Apache-2.0
"""`instance_upgrade_steps`: the history of an upgrade's steps, a row for each, by their place in
it.

Their writer has written the upgrade's own row before, in the same transaction: that row's
lock is theirs, too.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import columns
from trove_upgrade.db.models import instance_upgrade_steps as _steps
from trove_upgrade.domain import states
from trove_upgrade.domain.upgrades import StepRun

History = tuple[StepRun, ...]

_FIELDS = tuple(field.name for field in dataclasses.fields(StepRun))

#: Built once: what every GET runs.
_READ = (
    sa.select(_steps.c.upgrade_id, *(_steps.c[name] for name in _FIELDS))
    .where(_steps.c.upgrade_id.in_(sa.bindparam('upgrade_ids', expanding=True)))
    .order_by(_steps.c.upgrade_id, _steps.c.position)
)
_INSERT = sa.insert(_steps)
_SAME = (
    _steps.c.upgrade_id == sa.bindparam('of_upgrade'),
    _steps.c.position == sa.bindparam('at_position'),
)
_UPDATE = sa.update(_steps).where(*_SAME)
_CUT = sa.delete(_steps).where(
    _steps.c.upgrade_id == sa.bindparam('of_upgrade'),
    _steps.c.position >= sa.bindparam('at_position'),
)


def read(connection: sa.Connection, upgrade_ids: Sequence[str]) -> dict[str, History]:
    """Read the steps of all these upgrades in one query; one that has no step yet is not in the
    answer.
    """
    if not upgrade_ids:
        return {}
    found: dict[str, list[StepRun]] = {}
    for row in connection.execute(_READ, {'upgrade_ids': list(upgrade_ids)}):
        found.setdefault(row.upgrade_id, []).append(_step_run_from(row))
    return {upgrade_id: tuple(runs) for upgrade_id, runs in found.items()}


def write(
    connection: sa.Connection,
    upgrade_id: str,
    history: Iterable[StepRun],
    known: History | None = None,
) -> History:
    """Make the rows this history, by writing what differs: mostly the last one.  Returns it as it
    will be read.

    `known`: what the rows are, where the holder of the upgrade's row has read or written them under
    its claim; None: they are read.
    """
    written = tuple(
        dataclasses.replace(run, message=columns.fitting(_steps.c.message, run.message, wide=True))
        for run in history
    )
    if known is None:
        known = read(connection, [upgrade_id]).get(upgrade_id, ())
    added = [
        {'upgrade_id': upgrade_id, 'position': position, **_values(run)}
        for position, run in enumerate(written)
        if position >= len(known)
    ]
    for position, (run, before) in enumerate(zip(written, known, strict=False)):
        if run != before:
            connection.execute(
                _UPDATE, {'of_upgrade': upgrade_id, 'at_position': position, **_values(run)}
            )
    if added:
        connection.execute(_INSERT, added)
    if len(known) > len(written):
        connection.execute(_CUT, {'of_upgrade': upgrade_id, 'at_position': len(written)})
    return written


def outcome_of(stored: str | None) -> states.StepOutcome | None:
    """Return the outcome that a row tells; None: the step goes on."""
    return None if stored is None else states.StepOutcome(stored)


def _values(run: StepRun) -> Mapping[str, Any]:
    return {**vars(run), 'step': str(run.step), 'outcome': run.outcome and str(run.outcome)}


def _step_run_from(row: sa.Row[Any]) -> StepRun:
    fields = {name: getattr(row, name) for name in _FIELDS}
    known = {'step': states.Step(row.step), 'outcome': outcome_of(row.outcome)}
    return StepRun(**{**fields, **known})
