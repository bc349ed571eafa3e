# SPDX-License-Identifier: Apache-2.0
"""Downtime to expect of an upgrade, told before it begins, and the time that is left of one."""

import dataclasses
import datetime
import enum
import math
import statistics
from collections.abc import Sequence

from trove_upgrade.domain.holds import Hold
from trove_upgrade.domain.upgrades import Upgrade

#: With fewer a percentile says nothing.
ENOUGH = 3
#: A volume of at most so many times the size, or of no less than that part of it, is a like one.
_LIKE = 2.0
#: The default of too few upgrades: the longest of them, and so many times that.
_MARGIN = 2.0


class Basis(enum.StrEnum):
    """Upgrades that an estimate rests on: all of this pair of versions, so of one kind of guest."""

    LIKE_VOLUME = 'like_volume'  #: those of instances with a volume of like size
    ANY_VOLUME = 'any_volume'  #: all of them, as too few are of like size
    #: fewer than three are known: the longest of them, and twice that, by default
    TOO_FEW = 'too_few'


@dataclasses.dataclass(frozen=True, kw_only=True)
class PastUpgrade:
    """One that has completed in its first attempt."""

    former_version_id: str
    target_version_id: str
    downtime_seconds: float
    volume_size_gb: int | None
    whole_seconds: float | None = None  #: from its beginning to its end, without a hold


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """Expected downtime, with what it rests on."""

    median_seconds: float
    percentile_90_seconds: float
    basis: Basis
    upgrades: int  #: how many it rests on


def estimate(
    history: Sequence[PastUpgrade],
    former_version_id: str,
    target_version_id: str,
    volume_size_gb: int | None,
) -> Estimate | None:
    """Return the expected downtime of an upgrade between two versions; None where no upgrade
    between them is known.
    """
    pair = [
        past
        for past in history
        if (past.former_version_id, past.target_version_id)
        == (former_version_id, target_version_id)
    ]
    like = [past for past in pair if _is_like(past.volume_size_gb, volume_size_gb)]
    if len(like) >= ENOUGH:
        return _of(like, Basis.LIKE_VOLUME)
    if len(pair) >= ENOUGH:
        return _of(pair, Basis.ANY_VOLUME)
    if not pair:
        return None
    longest = max(past.downtime_seconds for past in pair)
    return Estimate(
        median_seconds=round(longest, 1),
        percentile_90_seconds=round(longest * _MARGIN, 1),
        basis=Basis.TOO_FEW,
        upgrades=len(pair),
    )


def worked_seconds(began: datetime.datetime, ended: datetime.datetime, hold: Hold) -> float:
    """Return the seconds between two moments of an upgrade, without those of its hold."""
    held = datetime.timedelta()
    if hold.since is not None:
        held = (hold.over_at or ended) - hold.since
    return (ended - began - held).total_seconds()


def seconds_left(
    history: Sequence[PastUpgrade], upgrade: Upgrade, now: datetime.datetime
) -> float | None:
    """Return the seconds until the upgrade's end, by the median of those that were, without what is
    left of a hold; None where none is known, and where it takes longer or goes another way.
    """
    pair = upgrade.former_version_id, upgrade.target_version_id
    known = [
        past.whole_seconds
        for past in history
        if (past.former_version_id, past.target_version_id) == pair
        and past.whole_seconds is not None
    ]
    is_on_its_way = upgrade.attempt == 1 and not (upgrade.is_undoing or upgrade.is_rolling_back)
    if not known or not is_on_its_way:
        return None
    worked = worked_seconds(upgrade.created_at, now, upgrade.progress.hold)
    left = round(statistics.median(known) - worked, 1)
    return left if left > 0 else None


def _is_like(one: int | None, other: int | None) -> bool:
    if not one or not other:
        return False
    return max(one, other) <= _LIKE * min(one, other)


def _of(known: Sequence[PastUpgrade], basis: Basis) -> Estimate:
    seconds = sorted(past.downtime_seconds for past in known)
    return Estimate(
        median_seconds=round(statistics.median(seconds), 1),
        # one that has happened: the least that nine of ten did not exceed
        percentile_90_seconds=round(seconds[math.ceil(0.9 * len(seconds)) - 1], 1),
        basis=basis,
        upgrades=len(seconds),
    )
