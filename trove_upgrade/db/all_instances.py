# SPDX-License-Identifier: Apache-2.0
"""Instances of all projects, in pages, with what was last heard of our agent in them."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from trove_upgrade.db.engine import Database
from trove_upgrade.db.instances import Instances
from trove_upgrade.db.models import upgrade_guests as _guests
from trove_upgrade.domain.instances import Instance

_PAGE = 200


class AllInstances:
    """Implements domain.inventory.AllInstances."""

    def __init__(self, database: Database, instances: Instances) -> None:
        self._database = database
        self._instances = instances

    def pages(self) -> Iterator[Sequence[Instance]]:
        """Yield every instance that is not deleted, members of clusters too."""
        marker = None
        while True:
            page = self._instances.list(limit=_PAGE, marker=marker, include_clustered=True)
            if page.items:
                yield page.items
            marker = page.next_marker
            if marker is None:
                return

    def agents(self, instance_ids: Sequence[str]) -> dict[str, str]:
        """Return the version of our agent in each of these guests that it was heard of."""
        query = sa.select(_guests.c.instance_id, _guests.c.agent_version).where(
            _guests.c.instance_id.in_(instance_ids), _guests.c.agent_version.is_not(None)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return {row.instance_id: row.agent_version for row in rows}
