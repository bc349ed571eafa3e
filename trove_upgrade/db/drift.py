# SPDX-License-Identifier: Apache-2.0
"""Drift in the database: figures by project, and the instances of one project.

Rows are read in batches by their key, and none is kept: memory does not grow with their number.
Trove's columns are compared with ours by lists of ids and not by a join, as their collations may
differ.
"""

import dataclasses
import datetime
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import batches, guests, trove_tables
from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import instance_upgrades as _upgrades
from trove_upgrade.db.page import Page
from trove_upgrade.db.version_rows import select_versions, version_from
from trove_upgrade.domain import ports
from trove_upgrade.domain.drift import CurrentImages, DriftedInstance, ProjectDrift, Standing
from trove_upgrade.domain.states import UpgradeState

_instances = trove_tables.instances
_newer = _upgrades.alias('newer')

#: Of one read: each has to sort what is left of the page.
_ROWS = 5000
#: Of one page of figures, unless its first project alone has more: what one request reads.
MOST_INSTANCES = 10_000

_LIVING = (_instances.c.deleted.is_not(True), _instances.c.tenant_id.is_not(None))
#: The server runs what these have left.
_SETTLED = [
    str(state) for state in (UpgradeState.COMPLETED, UpgradeState.ABORTED, UpgradeState.ROLLED_BACK)
]
#: Nova was asked by the newest upgrade, whose end tells nothing yet of the image that serves.
_UNSETTLED = sa.select(_upgrades.c.instance_id).where(
    _upgrades.c.instance_id.in_(sa.bindparam('ids', expanding=True)),
    _upgrades.c.state.not_in(_SETTLED),
    _upgrades.c.rebuild_attempt > 0,
    ~sa.exists().where(
        _newer.c.instance_id == _upgrades.c.instance_id,
        _newer.c.created_at > _upgrades.c.created_at,
    ),
)
_LAST_DONE = (
    sa.select(_upgrades.c.instance_id, sa.func.max(_upgrades.c.ended_at).label('ended_at'))
    .where(
        _upgrades.c.instance_id.in_(sa.bindparam('ids', expanding=True)),
        _upgrades.c.state == str(UpgradeState.COMPLETED),
    )
    .group_by(_upgrades.c.instance_id)
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Found:
    """One instance, as far as the database knows it."""

    row: sa.Row[Any]
    booted_image_id: str | None
    standing: Standing


class _Figures:
    """Figures of one project, as its rows come."""

    def __init__(self, project_id: str) -> None:
        self._project_id = project_id
        self._counts = dict.fromkeys(Standing, 0)
        self._oldest: datetime.datetime | None = None

    def add(self, found: _Found, since: datetime.datetime | None) -> None:
        self._counts[found.standing] += 1
        if since is not None and (self._oldest is None or since < self._oldest):
            self._oldest = since

    def drift(self) -> ProjectDrift:
        return ProjectDrift(
            project_id=self._project_id,
            instances=sum(self._counts.values()),
            drifted=self._counts[Standing.DRIFTED],
            unknown=self._counts[Standing.UNKNOWN],
            oldest=self._oldest,
        )


class Drift:
    """Instances against the images of their versions."""

    def __init__(self, database: Database, *, rows: int = _ROWS) -> None:
        """`rows` of one read."""
        self._database = database
        self._rows = rows

    def projects(
        self,
        images: ports.Images | None,
        *,
        limit: int,
        marker: str | None = None,
        project_id: str | None = None,
    ) -> Page[ProjectDrift]:
        """Return figures by project, in the order of their ids; `marker` is the last of the page
        before.  A page is shorter than `limit` where its projects have many instances.

        :param images: resolves versions that have image tags alone.
        """
        current = self._current_images(images)
        with self._database.read() as connection:
            chosen, is_last = _chosen(connection, limit, marker, project_id)
            found = {one: _Figures(one) for one in chosen}
            if chosen:
                for batch in self._batches(connection, current, chosen[0], chosen[-1]):
                    since = _since(connection, batch)
                    for each in batch:
                        if each.row.tenant_id in found:
                            found[each.row.tenant_id].add(each, since.get(each.row.id))
        return Page(
            tuple(figures.drift() for figures in found.values()), None if is_last else chosen[-1]
        )

    def instances(
        self, images: ports.Images | None, project_id: str, *, limit: int, marker: str | None = None
    ) -> Page[DriftedInstance]:
        """Return the instances of a project that have drifted, or of which that is not known, in
        the order of their ids.
        """
        found: list[DriftedInstance] = []
        current = self._current_images(images)
        with self._database.read() as connection:
            for batch in self._batches(connection, current, project_id, project_id, marker):
                since = _since(connection, batch)
                found += [
                    _shown(each, current, since)
                    for each in batch
                    if each.standing is not Standing.CURRENT
                ]
                if len(found) > limit:
                    break
        more = found[limit - 1].instance_id if len(found) > limit else None
        return Page(tuple(found[:limit]), more)

    def booted_image(self, instance_id: str) -> str | None:
        """Return the image that an instance's server was booted from; None: it is not known."""
        with self._database.read() as connection:
            if _unsettled(connection, [instance_id]):
                return None
            return guests.images_of(connection, [instance_id]).get(instance_id)

    def _batches(
        self,
        connection: sa.Connection,
        current: CurrentImages,
        first: str,
        last: str,
        after: str | None = None,
    ) -> Iterator[list[_Found]]:
        """Yield the instances of these projects, from the first to the last."""
        row = _instances.c
        query = (
            sa.select(row.id, row.name, row.tenant_id, row.datastore_version_id, row.created)
            .where(*_LIVING, row.tenant_id <= last)
            .order_by(row.tenant_id, row.id)
            .limit(self._rows)
        )
        place: tuple[str, str] | None = (first, after) if after is not None else None
        while True:
            rows = connection.execute(query.where(_behind(first, place))).all()
            for part in batches.of_ids(rows):
                yield _judged(connection, current, part)
            if len(rows) < self._rows:
                return
            place = (rows[-1].tenant_id, rows[-1].id)

    def _current_images(self, images: ports.Images | None) -> CurrentImages:
        """Ask Glance, where it is to be asked, while no connection is held."""
        with self._database.read() as connection:
            versions = [version_from(row) for row in connection.execute(select_versions())]
        return CurrentImages.of_versions(versions, images)

    def learn(self, images_by_server: Mapping[str, str]) -> int:
        """Keep the images of servers whose image is not known, as Nova has told them; return how
        many.  What is known stays: an upgrade that has ended meanwhile knows better.  Nothing is
        kept of a server that an upgrade may rebuild: its end is not known yet.
        """
        learned = 0
        for ids in batches.of_ids(list(images_by_server)):
            query = sa.select(_instances.c.id, _instances.c.compute_instance_id).where(
                _instances.c.compute_instance_id.in_(ids), _instances.c.deleted.is_not(True)
            )
            with self._database.read() as connection:
                rows = connection.execute(query).all()
                known = guests.images_of(connection, [row.id for row in rows])
                unsettled = _unsettled(connection, [row.id for row in rows])
            for row in rows:
                if known.get(row.id) is None and row.id not in unsettled:
                    image_id = images_by_server[row.compute_instance_id]
                    learned += guests.learn_image(self._database, row.id, image_id)
        return learned


def _chosen(
    connection: sa.Connection, limit: int, marker: str | None, project_id: str | None
) -> tuple[Sequence[str], bool]:
    """Return the projects of a page, and whether none comes after them."""
    row = _instances.c
    query = (
        sa.select(row.tenant_id, sa.func.count().label('number'))
        .where(*_LIVING)
        .group_by(row.tenant_id)
        .order_by(row.tenant_id)
        .limit(limit + 1)
    )
    if marker is not None:
        query = query.where(row.tenant_id > marker)
    if project_id is not None:
        query = query.where(row.tenant_id == project_id)
    found = connection.execute(query).all()
    chosen: list[str] = []
    total = 0
    for each in found[:limit]:
        total += each.number
        if chosen and total > MOST_INSTANCES:
            break
        chosen.append(each.tenant_id)
    return chosen, len(chosen) == len(found)


def _behind(first: str, place: tuple[str, str] | None) -> sa.ColumnElement[bool]:
    row = _instances.c
    if place is None:
        return row.tenant_id >= first
    project_id, instance_id = place
    return sa.or_(
        row.tenant_id > project_id,
        sa.and_(row.tenant_id == project_id, row.id > instance_id),
    )


def _unsettled(connection: sa.Connection, ids: Sequence[str]) -> AbstractSet[str]:
    return set(connection.execute(_UNSETTLED, {'ids': ids}).scalars())


def _judged(connection: sa.Connection, current: CurrentImages, rows: Sequence[Any]) -> list[_Found]:
    ids = [row.id for row in rows]
    booted = guests.images_of(connection, ids)
    unsettled = _unsettled(connection, ids)
    found = []
    for row in rows:
        image_id = None if row.id in unsettled else booted.get(row.id)
        standing = current.standing(row.datastore_version_id, image_id)
        found.append(_Found(row=row, booted_image_id=image_id, standing=standing))
    return found


def _since(
    connection: sa.Connection, batch: Sequence[_Found]
) -> Mapping[str, datetime.datetime | None]:
    """Return since when each drifted one runs its image: the end of its last upgrade of ours, else
    its creation.
    """
    drifted = {each.row.id: each.row.created for each in batch if each.standing is Standing.DRIFTED}
    if not drifted:
        return drifted
    rows = connection.execute(_LAST_DONE, {'ids': list(drifted)})
    return {**drifted, **{row.instance_id: row.ended_at for row in rows}}


def _shown(
    found: _Found, current: CurrentImages, since: Mapping[str, datetime.datetime | None]
) -> DriftedInstance:
    version_id = found.row.datastore_version_id
    return DriftedInstance(
        instance_id=found.row.id,
        instance_name=found.row.name,
        version=current.versions.get(version_id or ''),
        booted_image_id=found.booted_image_id,
        current_image_id=current.of(version_id),
        since=since.get(found.row.id),
    )
