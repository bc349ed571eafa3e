# SPDX-License-Identifier: Apache-2.0
"""Rows of Trove's instances, and of what stands beside them, as the domain's dataclasses.

Statements are built once for each form and kept: building one anew costs more than running it.  No
two of Trove's columns are compared with one another beyond Trove's own foreign keys: tables that
came in different releases may differ in their collations.
"""

import dataclasses
import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import trove_tables
from trove_upgrade.db.version_rows import VERSION_COLUMNS, columns_of, version_from
from trove_upgrade.domain import instances

_instances = trove_tables.instances
_statuses = trove_tables.service_statuses
_faults = trove_tables.instance_faults
_backups = trove_tables.backups

#: Source: trove/backup/state.py, BackupState.RUNNING_STATES.
RUNNING_BACKUPS = ('NEW', 'BUILDING', 'SAVING')

_COLUMNS = (
    _instances.c.id,
    _instances.c.name,
    _instances.c.tenant_id,
    _instances.c.compute_instance_id,
    _instances.c.volume_id,
    _instances.c.volume_size,
    _instances.c.flavor_id,
    _instances.c.hostname,
    _instances.c.region_id,
    _instances.c.task_id,
    _instances.c.created,
    _instances.c.updated,
    _instances.c.cluster_id,
    _instances.c.slave_of_id,
    _instances.c.configuration_id,
    _instances.c.deleted,
)


def task_of(task_id: int | None) -> instances.Task:
    """Trove's code as a task; BUSY_OTHER for one that is not known."""
    try:
        return instances.Task(task_id or 0)
    except ValueError:
        return instances.Task.BUSY_OTHER


def _instances_with_version(
    *columns: sa.ColumnElement[Any], scoped: bool, deleted: bool | None
) -> sa.Select[Any]:
    versions, datastores = trove_tables.datastore_versions, trove_tables.datastores
    query = (
        sa.select(*_COLUMNS, *columns)
        .select_from(_instances)
        .join(versions, versions.c.id == _instances.c.datastore_version_id)
        .join(datastores, datastores.c.id == versions.c.datastore_id)
    )
    if scoped:
        query = query.where(_instances.c.tenant_id == sa.bindparam('project_id'))
    if deleted is not None:
        query = query.where(
            _instances.c.deleted.is_(True) if deleted else _instances.c.deleted.is_not(True)
        )
    return query


@functools.cache
def select_one(scoped: bool, deleted: bool | None) -> sa.Select[Any]:
    """SELECT of one instance with its version, and of whether a backup of it runs."""
    instance_id = sa.bindparam('instance_id', type_=_instances.c.id.type)
    backup = running_backup(instance_id)
    return _instances_with_version(
        *VERSION_COLUMNS, backup.label('backup_running'), scoped=scoped, deleted=deleted
    ).where(_instances.c.id == instance_id)


@functools.cache
def select_page(
    scoped: bool, deleted: bool | None, include_clustered: bool, after_marker: bool
) -> sa.Select[Any]:
    """Build the query of a page, without the version's columns, which would come once for each
    row.
    """
    query = _instances_with_version(
        _instances.c.datastore_version_id, scoped=scoped, deleted=deleted
    )
    if not include_clustered:
        query = query.where(_instances.c.cluster_id.is_(None))
    if after_marker:
        query = query.where(_instances.c.id > sa.bindparam('marker'))
    return query.order_by(_instances.c.id).limit(sa.bindparam('limit', type_=sa.Integer))


def _held_id() -> sa.BindParameter[Any]:
    return sa.bindparam('instance_id', type_=_instances.c.id.type)


def running_backup(instance_id: str | sa.ColumnElement[str]) -> sa.Exists:
    """EXISTS of a backup that runs of the instance."""
    return sa.exists().where(_backups.c.instance_id == instance_id, _is_running_backup())


def _is_running_backup() -> sa.ColumnElement[bool]:
    return sa.and_(
        sa.or_(*(_backups.c.state == state for state in RUNNING_BACKUPS)),
        _backups.c.deleted.is_not(True),
    )


#: The name before columns of a version that may be meant.
NAMED = 'named'


def _select_one_with_named() -> sa.Select[Any]:
    versions, named = (
        trove_tables.datastore_versions,
        trove_tables.datastore_versions.alias('named'),
    )
    called = sa.bindparam('called', type_=sa.String(255))
    is_named = sa.and_(
        named.c.datastore_id == versions.c.datastore_id,
        sa.or_(named.c.id == called, named.c.name == called),
    )
    return (
        select_one(scoped=False, deleted=False)
        .add_columns(*columns_of(named, NAMED))
        .outerjoin(named, is_named)
        .order_by(named.c.name, named.c.version)
    )


#: SELECT of one instance as `select_one` has it, once for each version of its datastore that
#: `called` may mean by id or by name.
ONE_WITH_NAMED = _select_one_with_named()


HOLD = sa.select(
    _instances.c.task_id,
    _instances.c.datastore_version_id,
    _instances.c.deleted,
    running_backup(_held_id()).label('backup_running'),
).where(_instances.c.id == _held_id())


def _ids() -> sa.BindParameter[Any]:
    """Ids that the database gave us: written into the statement, as hundreds of parameters cost
    more than the query.
    """
    return sa.bindparam('ids', type_=sa.String(36), expanding=True, literal_execute=True)


BACKUPS_OF_MANY = sa.select(_backups.c.instance_id).where(
    _backups.c.instance_id.in_(_ids()), _is_running_backup()
)
_VERSIONS_OF_MANY: sa.Select[Any] = (
    sa.select(*VERSION_COLUMNS)
    .join(
        trove_tables.datastores,
        trove_tables.datastores.c.id == trove_tables.datastore_versions.c.datastore_id,
    )
    .where(trove_tables.datastore_versions.c.id.in_(_ids()))
)
STATUSES: sa.Select[Any] = (
    sa.select(_statuses.c.instance_id, _statuses.c.status_description, _statuses.c.updated_at)
    .where(_statuses.c.instance_id.in_(_ids()))
    .order_by(_statuses.c.updated_at)
)
_FAULTS = (
    sa.select(_faults.c.instance_id, _faults.c.message, _faults.c.details, _faults.c.created)
    .where(_faults.c.instance_id.in_(_ids()), _faults.c.deleted.is_not(True))
    .order_by(_faults.c.updated)
)
_REPLICAS = (
    sa.select(_instances.c.slave_of_id, _instances.c.id)
    .where(_instances.c.slave_of_id.in_(_ids()), _instances.c.deleted.is_not(True))
    .order_by(_instances.c.id)
)


@dataclasses.dataclass(frozen=True)
class Beside:
    """Rows of other tables about some instances, by instance id."""

    statuses: Mapping[str, sa.Row[Any]]
    faults: Mapping[str, instances.Fault]
    replicas: Mapping[str, Sequence[str]]


NOTHING_BESIDE = Beside({}, {}, {})


def beside_of(connection: sa.Connection, ids: Sequence[str]) -> Beside:
    """Three SELECTs for all of them; of several rows of one instance the newest stays."""
    statuses: dict[str, sa.Row[Any]] = {
        row.instance_id: row for row in connection.execute(STATUSES, {'ids': ids})
    }
    faults = {
        row.instance_id: instances.Fault(row.message, row.details, row.created)
        for row in connection.execute(_FAULTS, {'ids': ids})
    }
    replicas: dict[str, list[str]] = {}
    for source, replica in connection.execute(_REPLICAS, {'ids': ids}):
        replicas.setdefault(source, []).append(replica)
    return Beside(statuses, faults, replicas)


def versions_of(
    connection: sa.Connection, ids: Collection[str]
) -> Mapping[str, instances.DatastoreVersion]:
    """Return the versions with these ids, by id."""
    return {
        row.version_id: version_from(row)
        for row in connection.execute(_VERSIONS_OF_MANY, {'ids': list(ids)})
    }


def instance_from(
    row: sa.Row[Any], version: instances.DatastoreVersion, beside: Beside, *, backup_running: bool
) -> instances.Instance:
    """Make an instance from a row of `select_one` or `select_page`."""
    status = beside.statuses.get(row.id)
    return instances.Instance(
        id=row.id,
        name=row.name or '',
        project_id=row.tenant_id or '',
        server_id=row.compute_instance_id,
        volume_id=row.volume_id,
        volume_size_gb=row.volume_size,
        flavor_id=row.flavor_id,
        hostname=row.hostname,
        region=row.region_id,
        version=version,
        task=task_of(row.task_id),
        created_at=row.created,
        updated_at=row.updated,
        cluster_id=row.cluster_id,
        replica_of_id=row.slave_of_id,
        configuration_id=row.configuration_id,
        deleted=bool(row.deleted),
        service_status=status.status_description if status else None,
        service_status_updated_at=status.updated_at if status else None,
        backup_running=backup_running,
        fault=beside.faults.get(row.id),
        replica_ids=tuple(beside.replicas.get(row.id, ())),
    )
