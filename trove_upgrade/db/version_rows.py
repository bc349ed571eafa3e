# SPDX-License-Identifier: Apache-2.0
"""Rows of Trove's datastore versions as the domain's dataclass."""

from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import trove_tables
from trove_upgrade.domain import instances

_datastores = trove_tables.datastores
_versions = trove_tables.datastore_versions

VERSION_COLUMNS = (
    _versions.c.id.label('version_id'),
    _versions.c.datastore_id.label('version_datastore_id'),
    _datastores.c.name.label('version_datastore_name'),
    _versions.c.name.label('version_name'),
    _versions.c.version.label('version_number'),
    _versions.c.manager.label('version_manager'),
    _versions.c.image_id.label('version_image_id'),
    _versions.c.image_tags.label('version_image_tags'),
    _versions.c.packages.label('version_packages'),
    _versions.c.active.label('version_active'),
)


def version_from(row: sa.Row[Any]) -> instances.DatastoreVersion:
    """Make a version from a row that has VERSION_COLUMNS."""
    tags = tuple(tag.strip() for tag in (row.version_image_tags or '').split(',') if tag.strip())
    return instances.DatastoreVersion(
        id=row.version_id,
        datastore_id=row.version_datastore_id,
        datastore_name=row.version_datastore_name,
        name=row.version_name,
        version=row.version_number,
        manager=row.version_manager or '',
        image_id=row.version_image_id or None,
        image_tags=tags,
        packages=row.version_packages or '',
        active=bool(row.version_active),
    )


def select_versions() -> sa.Select[Any]:
    """SELECT of VERSION_COLUMNS, of all versions."""
    return sa.select(*VERSION_COLUMNS).join(
        _datastores, _datastores.c.id == _versions.c.datastore_id
    )
