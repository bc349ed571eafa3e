# SPDX-License-Identifier: Apache-2.0
"""Rows of `instance_upgrades` as the domain's dataclass, and back."""
import dataclasses
import datetime
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import columns
from trove_upgrade.db.models import instance_upgrades as _upgrades
from trove_upgrade.domain import exceptions, states, upgrade

_FIELDS = tuple(field.name for field in dataclasses.fields(upgrade.Upgrade))
_STEP_RUN_FIELDS = frozenset(field.name for field in dataclasses.fields(upgrade.StepRun))
_FETCH = sa.select(*(_upgrades.c[name] for name in _FIELDS)).where(_upgrades.c.id == sa.bindparam('upgrade_id'))


def upgrade_from(row: sa.Row[Any]) -> upgrade.Upgrade:
    """A whole row of instance_upgrades."""
    fields = {name: getattr(row, name) for name in _FIELDS}
    fields.update(state=states.UpgradeState(row.state), step=states.Step(row.step),
                  steps=tuple(_step_run_from(entry) for entry in row.steps))
    return upgrade.Upgrade(**fields)


def fetch(connection: sa.Connection, upgrade_id: str) -> upgrade.Upgrade:
    """:raises UpgradeNotFound: there is none."""
    row = connection.execute(_FETCH, {'upgrade_id': upgrade_id}).one_or_none()
    if row is None:
        raise exceptions.UpgradeNotFound(upgrade_id=upgrade_id)
    return upgrade_from(row)


def journal_of(held: upgrade.Upgrade) -> dict[str, Any]:
    """What a taskmanager may write of a row that it holds."""
    return {'step': str(held.step), 'steps': [_step_run_to(run) for run in held.steps], 'data': dict(held.data),
            'rebuild_attempt': held.rebuild_attempt, 'former_image_id': held.former_image_id,
            'target_image_id': held.target_image_id, 'cause': columns.fitting(_upgrades.c.cause, held.cause),
            'error_code': columns.fitting(_upgrades.c.error_code, held.error_code), 'step_deadline': held.step_deadline}


def _step_run_to(run: upgrade.StepRun) -> dict[str, Any]:
    entry = dataclasses.asdict(run)
    entry.update(step=str(run.step), started_at=run.started_at.isoformat(),
                 ended_at=run.ended_at.isoformat() if run.ended_at else None)
    return entry


def _step_run_from(entry: dict[str, Any]) -> upgrade.StepRun:
    """Keys that a newer release has added are dropped."""
    known = {name: value for name, value in entry.items() if name in _STEP_RUN_FIELDS}
    known.update(step=states.Step(entry['step']), started_at=datetime.datetime.fromisoformat(entry['started_at']),
                 ended_at=datetime.datetime.fromisoformat(entry['ended_at']) if entry.get('ended_at') else None)
    return upgrade.StepRun(**known)
