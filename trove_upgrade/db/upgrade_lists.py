# SPDX-License-Identifier: Apache-2.0
"""Lists of upgrades: which rows, in which order, and where a page begins."""

import dataclasses
import datetime
import enum
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db.models import instance_upgrades as _upgrades
from trove_upgrade.db.page import plausible_id
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.states import UpgradeState


class SortKey(enum.StrEnum):
    """Times that a list can be sorted by."""

    CREATED_AT = 'created_at'
    UPDATED_AT = 'updated_at'


@dataclasses.dataclass(frozen=True)
class Order:
    """Order of a list; rows of one time are told apart by their ids."""

    key: SortKey = SortKey.CREATED_AT
    ascending: bool = False

    @property
    def columns(self) -> tuple[sa.ColumnElement[Any], ...]:
        """Return what ORDER BY names."""
        by = (_upgrades.c[self.key], _upgrades.c.id)
        return tuple(column.asc() if self.ascending else column.desc() for column in by)

    def after(self, moment: datetime.datetime, upgrade_id: str) -> sa.ColumnElement[bool]:
        """Return the condition of rows that come after the one of that time and id."""
        column = _upgrades.c[self.key]
        if self.ascending:
            beyond, id_beyond = column > moment, _upgrades.c.id > upgrade_id
        else:
            beyond, id_beyond = column < moment, _upgrades.c.id < upgrade_id
        return sa.or_(beyond, sa.and_(column == moment, id_beyond))


NEWEST_FIRST = Order()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filters:
    """Rows that a list has; None, or no state: all of them."""

    project_id: str | None = None
    instance_id: str | None = None
    instance_name: str | None = None
    states: tuple[UpgradeState, ...] = ()
    target_version_id: str | None = None
    since: datetime.datetime | None = None  #: created then or later

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """Return what WHERE names."""
        row = _upgrades.c
        same = (
            (row.project_id, self.project_id),
            (row.instance_id, self.instance_id),
            (row.instance_name, self.instance_name),
            (row.target_version_id, self.target_version_id),
        )
        found: list[sa.ColumnElement[bool]] = [
            column == value for column, value in same if value is not None
        ]
        if self.states:
            found.append(row.state.in_([str(state) for state in self.states]))
        if self.since is not None:
            found.append(row.created_at >= self.since)
        return found


ALL = Filters()


def behind(
    connection: sa.Connection,
    marker: str,
    project_id: str | None,
    order: Order,
    moment: datetime.datetime | None = None,
) -> sa.ColumnElement[bool]:
    """Return what comes after that upgrade in a list; `moment` is the time at which it stood when
    it was read, as it can have been written since.

    :raises UpgradeNotFound: none, or of another project than `project_id` where that is given.
    """
    of_project = () if project_id is None else (_upgrades.c.project_id == project_id,)
    last = (
        connection.execute(
            sa.select(_upgrades.c.id, _upgrades.c[order.key].label('moment')).where(
                _upgrades.c.id == marker, *of_project
            )
        ).one_or_none()
        if plausible_id(marker)
        else None
    )
    if last is None:
        raise exceptions.UpgradeNotFound(upgrade_id=marker)
    return order.after(last.moment if moment is None else moment, last.id)
