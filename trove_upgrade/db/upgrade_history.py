# SPDX-License-Identifier: Apache-2.0
"""Downtimes of upgrades that have completed, for estimates."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import cachetools
import sqlalchemy as sa

from trove_upgrade.db import batches, progress_codec, trove_tables
from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import instance_upgrades as _upgrades
from trove_upgrade.db.upgrades import MOST_LISTED
from trove_upgrade.domain.estimates import PastUpgrade, worked_seconds
from trove_upgrade.domain.states import UpgradeState

#: The newest of a project that are looked at, so that a look costs the same in any project.
_NEWEST = 100
#: How long, and for how many pairs of project and version, a process remembers.
_KEPT_SECONDS, _MOST_KEPT = 30.0, 1000
_instances = trove_tables.instances
_COLUMNS = (
    _upgrades.c.instance_id,
    _upgrades.c.target_version_id,
    _upgrades.c.data,
    _upgrades.c.created_at,
    _upgrades.c.ended_at,
)


class UpgradeHistory:
    """Past upgrades of one project: its own alone, as the times of others are theirs."""

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._recent: cachetools.TTLCache[tuple[str, str], Sequence[PastUpgrade]] = (
            cachetools.TTLCache(_MOST_KEPT, _KEPT_SECONDS, timer=monotonic)
        )

    def recent(self, project_id: str, former_version_id: str) -> Sequence[PastUpgrade]:
        """Return what `of` returns, some seconds old: clients ask again and again how much time is
        left.
        """
        key = project_id, former_version_id
        with self._lock:
            kept: Sequence[PastUpgrade] | None = self._recent.get(key)
        if kept is None:
            kept = self.of(project_id, former_version_id)
            with self._lock:
                self._recent[key] = kept
        return kept

    def of(self, project_id: str, former_version_id: str) -> Sequence[PastUpgrade]:
        """Return those from this version that have completed in their first attempt and told their
        downtime, among the newest of the project.
        """
        newest = (
            sa.select(_upgrades.c.id)
            .where(_upgrades.c.project_id == project_id)
            .order_by(_upgrades.c.created_at.desc())
            .limit(_NEWEST)
            .subquery()
        )
        query: sa.Select[Any] = (
            sa.select(*_COLUMNS)
            .join(newest, newest.c.id == _upgrades.c.id)
            .where(
                _upgrades.c.former_version_id == former_version_id,
                _upgrades.c.state == str(UpgradeState.COMPLETED),
                # in a later one an operator was waited for
                _upgrades.c.attempt == 1,
                sa.func.length(_upgrades.c.data) <= MOST_LISTED,
            )
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
            sizes = _sizes(connection, [row.instance_id for row in rows])
        past = (_past(row, former_version_id, sizes.get(row.instance_id)) for row in rows)
        return [each for each in past if each is not None]


def _past(row: sa.Row[Any], former_version_id: str, size: int | None) -> PastUpgrade | None:
    """Return an upgrade as an estimate wants it; None: it told no downtime, or none that can be, as
    where the clock of its guest was set meanwhile: it is longer than the whole upgrade, or was not.
    """
    progress = progress_codec.decode(row.data)
    seconds = progress.restore.downtime_seconds
    longest = (row.ended_at - row.created_at).total_seconds()
    if seconds is None or not math.isfinite(seconds) or not 0 < seconds <= longest:
        return None
    return PastUpgrade(
        former_version_id=former_version_id,
        target_version_id=row.target_version_id,
        downtime_seconds=seconds,
        volume_size_gb=size,
        whole_seconds=worked_seconds(row.created_at, row.ended_at, progress.hold),
    )


def _sizes(connection: sa.Connection, instance_ids: Sequence[str]) -> dict[str, int | None]:
    """Return the sizes of volumes by instance, by a statement of their own: no column of Trove's is
    compared with one of ours, as their collations may differ.
    """
    sizes: dict[str, int | None] = {}
    for ids in batches.of_ids(instance_ids):
        query = sa.select(_instances.c.id, _instances.c.volume_size).where(_instances.c.id.in_(ids))
        sizes.update((row.id, row.volume_size) for row in connection.execute(query))
    return sizes
