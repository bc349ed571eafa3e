# SPDX-License-Identifier: Apache-2.0
"""Parts of the time for which a database did not serve.

No two clocks are compared: stop and open are measured by the guest's clock, each within one boot;
rebuild and boot by the taskmanager's; restore is what is left of the whole, with the time between
the steps.
"""

import dataclasses
import datetime
from collections.abc import Sequence

from trove_upgrade.domain import states, upgrade_info
from trove_upgrade.domain.upgrades import StepRun, Upgrade

_OF_AN_OUTAGE = (
    states.Step.QUIESCE,
    states.Step.REBUILD,
    states.Step.BOOT,
    states.Step.RESTORE,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Downtime:
    """Seconds of each part; None where it is not known, as where an agent of an earlier release did
    not tell it.
    """

    stop: float | None  #: from the last served write until the volume is let go
    rebuild: float  #: by Nova
    boot: float  #: until the agent of the new root disk is heard
    restore: float | None  #: until the database is opened, and the time between the steps
    open: float | None  #: until clients are let in


def of(upgrade: Upgrade) -> Downtime | None:
    """Return the parts of the upgrade's downtime; None where the whole is not known, or where the
    steps of the outage did not follow each other in one attempt: the time in which an operator was
    waited for is no part of any step.
    """
    whole = upgrade.progress.restore.downtime_seconds
    runs = _runs_of_the_outage(upgrade.steps)
    if whole is None or runs is None:
        return None
    quiesce, restore = upgrade.progress.quiesce, upgrade.progress.restore
    stop = between(quiesce.stopped_at, quiesce.quiesced_at)
    rebuild, boot, opened = _lasted(runs[1]), _lasted(runs[2]), restore.open_seconds
    left = (
        None if stop is None or opened is None else round(whole - stop - rebuild - boot - opened, 3)
    )
    return Downtime(
        stop=stop,
        rebuild=rebuild,
        boot=boot,
        # a clock that was set in between makes it nonsense
        restore=left if left is not None and left >= 0 else None,
        open=opened,
    )


def between(began: object, ended: object) -> float | None:
    """Return the seconds between two ISO 8601 times of one clock; None where one is missing or of
    another form, or where they are in the wrong order, as where the clock was set.
    """
    if not upgrade_info.is_time(began) or not upgrade_info.is_time(ended):
        return None
    first, last = (datetime.datetime.fromisoformat(str(each)) for each in (began, ended))
    seconds = round((last - first).total_seconds(), 3)
    return seconds if seconds >= 0 else None


def _runs_of_the_outage(steps: Sequence[StepRun]) -> Sequence[StepRun] | None:
    """Return the runs from the stop to the opening, if each was done at once in one attempt."""
    last = max(
        (at for at, run in enumerate(steps) if run.step is states.Step.RESTORE), default=None
    )
    if last is None or last < len(_OF_AN_OUTAGE) - 1:
        return None
    runs = steps[last - len(_OF_AN_OUTAGE) + 1 : last + 1]
    follow = tuple(run.step for run in runs) == _OF_AN_OUTAGE
    done = all(run.outcome is states.StepOutcome.DONE and run.ended_at is not None for run in runs)
    return runs if follow and done and len({run.attempt for run in runs}) == 1 else None


def _lasted(run: StepRun) -> float:
    ended = run.ended_at or run.started_at
    return round(max(0.0, (ended - run.started_at).total_seconds()), 3)
