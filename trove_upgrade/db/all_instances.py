# SPDX-License-Identifier: Apache-2.0
"""Instances of all projects, in pages, with what was last heard of our agent in them."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from trove_upgrade.db import trove_tables
from trove_upgrade.db.engine import Database
from trove_upgrade.db.instances import Instances
from trove_upgrade.db.models import upgrade_guests as _guests
from trove_upgrade.domain.instances import Instance
from trove_upgrade.domain.inventory import Unversioned

_PAGE = 200
_instances = trove_tables.instances
_versions, _datastores = trove_tables.datastore_versions, trove_tables.datastores
_IDS = sa.select(_instances.c.id).where(_instances.c.deleted.is_not(True))
_WITHOUT_VERSION = (
    sa.select(
        _instances.c.id,
        _instances.c.name,
        _instances.c.tenant_id,
        _instances.c.compute_instance_id,
    )
    .select_from(_instances)
    .outerjoin(_versions, _versions.c.id == _instances.c.datastore_version_id)
    .outerjoin(_datastores, _datastores.c.id == _versions.c.datastore_id)
    .where(_instances.c.deleted.is_not(True), _datastores.c.id.is_(None))
    .order_by(_instances.c.id)
)


class AllInstances:
    """Implements domain.inventory.AllInstances."""

    def __init__(self, database: Database, instances: Instances) -> None:
        self._database = database
        self._instances = instances

    def ids(self) -> frozenset[str]:
        """Return the ids of all that are not deleted, from their own rows alone."""
        with self._database.read() as connection:
            return frozenset(connection.execute(_IDS).scalars())

    def pages(self) -> Iterator[Sequence[Instance]]:
        """Yield every instance that is not deleted and has a version, members of clusters too."""
        marker = None
        while True:
            page = self._instances.list(limit=_PAGE, marker=marker, include_clustered=True)
            if page.items:
                yield page.items
            marker = page.next_marker
            if marker is None:
                return

    def pages_without_version(self) -> Iterator[Sequence[Unversioned]]:
        """Yield those that are not deleted and whose version, or its datastore, has no row."""
        with self._database.read() as connection:
            rows = connection.execute(_WITHOUT_VERSION).all()
        for at in range(0, len(rows), _PAGE):
            yield [
                Unversioned(
                    id=row.id,
                    name=row.name or '',
                    project_id=row.tenant_id or '',
                    server_id=row.compute_instance_id,
                )
                for row in rows[at : at + _PAGE]
            ]

    def agents(self, instance_ids: Sequence[str]) -> dict[str, str]:
        """Return the version of our agent in each of these guests that it was heard of."""
        query = sa.select(_guests.c.instance_id, _guests.c.agent_version).where(
            _guests.c.instance_id.in_(instance_ids), _guests.c.agent_version.is_not(None)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return {row.instance_id: row.agent_version for row in rows}
