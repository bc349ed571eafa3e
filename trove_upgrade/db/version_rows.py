# SPDX-License-Identifier: Apache-2.0
"""Rows of Trove's datastore versions as the domain's dataclass."""

from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import trove_tables
from trove_upgrade.domain import instances

_datastores = trove_tables.datastores
_versions = trove_tables.datastore_versions

_FIELDS = (
    'id',
    'datastore_id',
    'name',
    'version',
    'manager',
    'image_id',
    'image_tags',
    'packages',
    'active',
)


def columns_of(versions: sa.FromClause, prefix: str) -> tuple[sa.ColumnElement[Any], ...]:
    """Return the columns of a version, and of its datastore's name, under names with a prefix."""
    return (
        *(versions.c[name].label(f'{prefix}_{name}') for name in _FIELDS),
        _datastores.c.name.label(f'{prefix}_datastore_name'),
    )


VERSION_COLUMNS = columns_of(_versions, 'version')


def version_from(row: sa.Row[Any], prefix: str = 'version') -> instances.DatastoreVersion:
    """Make a version from a row that has its columns under this prefix."""
    found = row._mapping  # noqa: SLF001 - SQLAlchemy's public name
    tags = found[f'{prefix}_image_tags'] or ''
    return instances.DatastoreVersion(
        id=found[f'{prefix}_id'],
        datastore_id=found[f'{prefix}_datastore_id'],
        datastore_name=found[f'{prefix}_datastore_name'],
        name=found[f'{prefix}_name'],
        version=found[f'{prefix}_version'],
        manager=found[f'{prefix}_manager'] or '',
        image_id=found[f'{prefix}_image_id'] or None,
        image_tags=tuple(tag.strip() for tag in tags.split(',') if tag.strip()),
        packages=found[f'{prefix}_packages'] or '',
        active=bool(found[f'{prefix}_active']),
    )


def select_versions() -> sa.Select[Any]:
    """SELECT of VERSION_COLUMNS, of all versions."""
    return sa.select(*VERSION_COLUMNS).join(
        _datastores, _datastores.c.id == _versions.c.datastore_id
    )
