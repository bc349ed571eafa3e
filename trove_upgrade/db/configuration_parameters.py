# SPDX-License-Identifier: Apache-2.0
"""Trove's configuration parameters: those of a version, and those that a group sets."""

import dataclasses
import uuid
from collections.abc import Sequence

import sqlalchemy as sa

from trove_upgrade.db import trove_tables

_parameters = trove_tables.datastore_configuration_parameters
_configured = trove_tables.configuration_parameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConfigurationParameter:
    """A row of datastore_configuration_parameters, as Trove's validation rules give it."""

    name: str
    restart_required: bool
    data_type: str
    max_size: str | None
    min_size: str | None


def names(connection: sa.Connection, version_id: str) -> Sequence[str]:
    """Names of the version's parameters, in their order."""
    query = sa.select(_parameters.c.name).where(_parameters.c.datastore_version_id == version_id)
    return connection.execute(query.order_by(_parameters.c.name)).scalars().all()


def configured(connection: sa.Connection, configuration_id: str) -> Sequence[str]:
    """Names of what a group sets; empty for one that is deleted, or unknown."""
    query = sa.select(_configured.c.configuration_key).where(
        _configured.c.configuration_id == configuration_id, _configured.c.deleted.is_not(True)
    )
    return connection.execute(query.order_by(_configured.c.configuration_key)).scalars().all()


def save(
    connection: sa.Connection, version_id: str, parameters: Sequence[ConfigurationParameter]
) -> None:
    """Add or update these; those that are not named stay."""
    known = set(
        connection.execute(
            sa.select(_parameters.c.name).where(_parameters.c.datastore_version_id == version_id)
        ).scalars()
    )
    for parameter in parameters:
        values = {
            field: getattr(parameter, field)
            for field in ('restart_required', 'data_type', 'max_size', 'min_size')
        }
        if parameter.name in known:
            connection.execute(
                sa.update(_parameters)
                .where(
                    _parameters.c.datastore_version_id == version_id,
                    _parameters.c.name == parameter.name,
                )
                .values(**values)
            )
        else:
            connection.execute(
                sa.insert(_parameters).values(
                    id=str(uuid.uuid4()),
                    name=parameter.name,
                    datastore_version_id=version_id,
                    **values,
                )
            )
