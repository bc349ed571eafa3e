# SPDX-License-Identifier: Apache-2.0
"""Growth of the history of steps in a row.  Pure: row in, row out."""

import datetime

from trove_upgrade.domain import states, upgrade


def open_run(row: upgrade.Upgrade) -> upgrade.StepRun | None:
    """The entry of the row's step in this attempt, if it has begun and not ended."""
    last = row.steps[-1] if row.steps else None
    if (
        last is not None
        and last.step is row.step
        and last.attempt == row.attempt
        and last.ended_at is None
    ):
        return last
    return None


def begun(
    row: upgrade.Upgrade, step: states.Step, now: datetime.datetime, timeout_seconds: float
) -> upgrade.Upgrade:
    """The row at the beginning of `step`."""
    entry = upgrade.StepRun(step=step, attempt=row.attempt, started_at=now)
    return row.evolve(
        step=step,
        steps=(*row.steps, entry),
        step_deadline=now + datetime.timedelta(seconds=timeout_seconds),
    )


def ran(row: upgrade.Upgrade, message: str | None, percent: int | None) -> upgrade.Upgrade:
    """One more run of the step that goes on."""
    return _last(row, runs=_runs(row) + 1, message=message, percent=percent)


def ended(
    row: upgrade.Upgrade, now: datetime.datetime, outcome: str, message: str | None
) -> upgrade.Upgrade:
    """The step has ended: 'done', 'refused' or 'failed'."""
    percent = 100 if outcome == 'done' else (row.steps[-1].percent if row.steps else None)
    return _last(
        row, runs=_runs(row) + 1, ended_at=now, outcome=outcome, message=message, percent=percent
    )


def _runs(row: upgrade.Upgrade) -> int:
    return row.steps[-1].runs if row.steps else 0


def _last(row: upgrade.Upgrade, **changes: object) -> upgrade.Upgrade:
    """An entry that has ended stays as it is: undo goes on after a step's own end."""
    if open_run(row) is None:
        return row
    last = row.steps[-1]
    return row.evolve(steps=(*row.steps[:-1], upgrade.StepRun(**{**vars(last), **changes})))
