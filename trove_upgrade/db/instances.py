# SPDX-License-Identifier: Apache-2.0
"""Trove's instances with what stands beside them, in a fixed number of SELECTs for any number of
rows.

Statements are built once for each form and kept: building one anew costs more than running it.  No
two of Trove's columns are compared with one another beyond Trove's own foreign keys: tables that
came in different releases may differ in their collations.
"""

import dataclasses
import functools
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import columns, errors, guests, trove_tables
from trove_upgrade.db.datastores import VERSION_COLUMNS, version_from
from trove_upgrade.db.engine import Database
from trove_upgrade.db.page import Page, plausible_id
from trove_upgrade.db.repetition import repeat_on_new_columns, retry_on_deadlock
from trove_upgrade.domain import exceptions, instance

_instances = trove_tables.instances
_statuses = trove_tables.service_statuses
_faults = trove_tables.instance_faults
_backups = trove_tables.backups

#: Source: trove/instance/service_status.py (Trove 26).
STATUS_IDS = {
    'running': 0x01,
    'blocked': 0x02,
    'paused': 0x03,
    'shutdown': 0x04,
    'deleted': 0x05,
    'crashed': 0x06,
    'failed to spawn': 0x08,
    'building': 0x09,
    'promoting replica': 0x10,
    'ejecting replica source': 0x11,
    'transferring guest logs': 0x12,
    'unknown': 0x16,
    'new': 0x17,
    'guestagent error': 0x18,
    'instance ready': 0x19,
    'restart required': 0x20,
    'healthy': 0x21,
    'upgrading': 0x22,
    'restarting': 0x23,
}
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
    _instances.c.task_start_time,
    _instances.c.created,
    _instances.c.updated,
    _instances.c.cluster_id,
    _instances.c.slave_of_id,
    _instances.c.configuration_id,
    _instances.c.deleted,
)


_TASK = sa.select(_instances.c.task_id).where(_instances.c.id == sa.bindparam('instance_id'))


def task_of(task_id: int | None) -> instance.Task:
    """Trove's code as a task; BUSY_OTHER for one that is not known."""
    try:
        return instance.Task(task_id or 0)
    except ValueError:
        return instance.Task.BUSY_OTHER


_SSL_MODE = sa.select(_instances.c.ssl_mode).where(_instances.c.id == sa.bindparam('instance_id'))


class Instances:
    """Implements ports.InstanceRepository, lists instances and registers one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(
        self,
        instance_id: str,
        project_id: str | None = None,
        *,
        deleted: bool | None = False,
        with_details: bool = True,
    ) -> instance.Instance:
        """`deleted` None: a deleted one too.  Without details: no service status, fault and
        replicas, for three SELECTs less.

        :raises InstanceNotFound: none, deleted, or of another project than `project_id` where that
            is given.
        """
        if not plausible_id(instance_id):
            raise exceptions.InstanceNotFound(instance_id=instance_id)
        values = {'instance_id': instance_id} | (
            {} if project_id is None else {'project_id': project_id}
        )
        with self._database.read() as connection:
            row = connection.execute(
                _select_one(project_id is not None, deleted), values
            ).one_or_none()
            if row is None:
                raise exceptions.InstanceNotFound(instance_id=instance_id)
            beside = _beside(connection, [row.id]) if with_details else _NOTHING_BESIDE
        return _instance_from(
            row, version_from(row), beside, backup_running=bool(row.backup_running)
        )

    def list(
        self,
        project_id: str | None = None,
        *,
        limit: int,
        marker: str | None = None,
        include_clustered: bool = False,
        deleted: bool | None = False,
    ) -> Page[instance.Instance]:
        """A page by id, as Trove pages; `project_id` None: of all projects; `deleted` None: both
        kinds.
        """
        query = _select_page(project_id is not None, deleted, include_clustered, bool(marker))
        values = {
            name: value for name, value in (('project_id', project_id), ('marker', marker)) if value
        } | {'limit': limit + 1}
        with self._database.read() as connection:
            rows = connection.execute(query, values).all()
            page = rows[:limit]
            if not page:
                return Page((), None)
            ids = [row.id for row in page]
            versions = _versions_of(connection, {row.datastore_version_id for row in page})
            backups = set(connection.execute(_BACKUPS_OF_MANY, {'ids': ids}).scalars())
            beside = _beside(connection, ids)
        # a version that has been deleted between the two SELECTs takes its instances with it, as
        # the join does
        items = tuple(
            _instance_from(
                row, versions[row.datastore_version_id], beside, backup_running=row.id in backups
            )
            for row in page
            if row.datastore_version_id in versions
        )
        return Page(items, page[-1].id if len(rows) > limit else None)

    def task(self, instance_id: str) -> instance.Task:
        """The task now, re-read (Trove saves whole stale objects).

        :raises InstanceNotFound: none.
        """
        with self._database.read() as connection:
            row = connection.execute(_TASK, {'instance_id': instance_id}).one_or_none()
        if row is None:
            raise exceptions.InstanceNotFound(instance_id=instance_id)
        return task_of(row.task_id)

    def hold(self, instance_id: str) -> instance.Hold:
        """Task, version, deletion and backups now; a row that is gone is a deleted one."""
        with self._database.read() as connection:
            row = connection.execute(_HOLD, {'instance_id': instance_id}).one_or_none()
        if row is None:
            return instance.Hold(instance.Task.NONE, None, deleted=True, backup_running=False)
        return instance.Hold(
            task_of(row.task_id),
            row.datastore_version_id,
            deleted=bool(row.deleted),
            backup_running=bool(row.backup_running),
        )

    def service_status(self, instance_id: str) -> instance.ServiceStatus | None:
        """Return what `service_statuses` says now; None: nothing yet."""
        with self._database.read() as connection:
            rows = connection.execute(_STATUSES, {'ids': [instance_id]}).all()
        return (
            instance.ServiceStatus(rows[-1].status_description, rows[-1].updated_at)
            if rows
            else None
        )

    @repeat_on_new_columns
    def ssl_mode(self, instance_id: str) -> str | None:
        """As guest_info.conf has it ('None' where TLS is off); None: this Trove has no such column.

        Trove's agent rewrites its own guest_info.conf when TLS is switched; only the row outlives
        the root disk. Source: trove/instance/models.py, get_injected_files;
        trove/guestagent/datastore/ssl.py (Trove 26).
        """
        with self._database.read() as connection:
            if 'ssl_mode' not in self._database.columns(connection, _instances.name):
                return None
            return str(
                connection.execute(_SSL_MODE, {'instance_id': instance_id}).scalar_one_or_none()
            )

    @retry_on_deadlock
    def set_service_status(self, instance_id: str, status: str) -> None:
        """Alone only: what `service_statuses` says ('healthy', 'upgrading', 'shutdown', ...).

        :raises ValueError: Trove has no such status.
        """
        if status not in STATUS_IDS:
            raise ValueError(f'Trove has no service status {status!r}')
        values = {
            'status_id': STATUS_IDS[status],
            'status_description': status,
            'updated_at': columns.now(),
        }
        with self._database.write() as connection:
            updated = connection.execute(
                sa.update(_statuses).where(_statuses.c.instance_id == instance_id).values(**values)
            )
            if not updated.rowcount:
                connection.execute(
                    sa.insert(_statuses).values(
                        id=str(uuid.uuid4()), instance_id=instance_id, **values
                    )
                )

    @retry_on_deadlock
    def register(
        self,
        version: instance.DatastoreVersion,
        *,
        server_id: str,
        name: str,
        project_id: str,
        image_id: str | None,
        instance_id: str | None = None,
        volume_id: str | None = None,
        volume_size_gb: int | None = None,
        flavor_id: str | None = None,
        region: str | None = None,
    ) -> str:
        """Make an existing server an instance, where no Trove does; its task is NONE.  Returns the
        instance's id.

        :raises AlreadyRegistered: the server or the id has a row already; nothing was written.
        """
        instance_id = instance_id or str(uuid.uuid4())
        with self._database.write() as connection:
            taken = connection.execute(
                sa.select(_instances.c.id, _instances.c.compute_instance_id).where(
                    sa.or_(
                        _instances.c.id == instance_id,
                        sa.and_(
                            _instances.c.compute_instance_id == server_id,
                            _instances.c.deleted.is_not(True),
                        ),
                    )
                )
            ).first()
            if taken is not None:
                found = f'instance {taken.id} exists already, of server {taken.compute_instance_id}'
                raise errors.AlreadyRegistered(
                    server_id=server_id, instance_id=taken.id, found=found
                )
            connection.execute(
                sa.insert(_instances).values(
                    id=instance_id,
                    created=columns.now(),
                    updated=columns.now(),
                    name=name,
                    compute_instance_id=server_id,
                    task_id=int(instance.Task.NONE),
                    task_description='No tasks for the instance.',
                    volume_id=volume_id,
                    volume_size=volume_size_gb,
                    flavor_id=flavor_id,
                    tenant_id=project_id,
                    region_id=region,
                    deleted=False,
                    datastore_version_id=version.id,
                )
            )
            connection.execute(
                sa.insert(_statuses).values(
                    id=str(uuid.uuid4()),
                    instance_id=instance_id,
                    status_id=STATUS_IDS['healthy'],
                    status_description='healthy',
                    updated_at=columns.now(),
                )
            )
            if image_id:
                guests.upsert(connection, instance_id, image_id=image_id)
        return instance_id


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
def _select_one(scoped: bool, deleted: bool | None) -> sa.Select[Any]:
    instance_id = sa.bindparam('instance_id', type_=_instances.c.id.type)
    backup = sa.exists().where(_backups.c.instance_id == instance_id, _is_running_backup())
    return _instances_with_version(
        *VERSION_COLUMNS, backup.label('backup_running'), scoped=scoped, deleted=deleted
    ).where(_instances.c.id == instance_id)


@functools.cache
def _select_page(
    scoped: bool, deleted: bool | None, include_clustered: bool, after_marker: bool
) -> sa.Select[Any]:
    """Without the version's columns, which would come once for each row."""
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


def _is_running_backup() -> sa.ColumnElement[bool]:
    return sa.and_(
        sa.or_(*(_backups.c.state == state for state in RUNNING_BACKUPS)),
        _backups.c.deleted.is_not(True),
    )


_HOLD = sa.select(
    _instances.c.task_id,
    _instances.c.datastore_version_id,
    _instances.c.deleted,
    sa.exists()
    .where(_backups.c.instance_id == _held_id(), _is_running_backup())
    .label('backup_running'),
).where(_instances.c.id == _held_id())


def _ids() -> sa.BindParameter[Any]:
    """Ids that the database gave us: written into the statement, as hundreds of parameters cost
    more than the query.
    """
    return sa.bindparam('ids', type_=sa.String(36), expanding=True, literal_execute=True)


_BACKUPS_OF_MANY = sa.select(_backups.c.instance_id).where(
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
_STATUSES: sa.Select[Any] = (
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
class _Beside:
    """What other tables say of some instances, by instance id."""

    statuses: Mapping[str, sa.Row[Any]]
    faults: Mapping[str, instance.Fault]
    replicas: Mapping[str, Sequence[str]]


_NOTHING_BESIDE = _Beside({}, {}, {})


def _beside(connection: sa.Connection, ids: Sequence[str]) -> _Beside:
    """Three SELECTs for all of them; of several rows of one instance the newest stays."""
    statuses: dict[str, sa.Row[Any]] = {
        row.instance_id: row for row in connection.execute(_STATUSES, {'ids': ids})
    }
    faults = {
        row.instance_id: instance.Fault(row.message, row.details, row.created)
        for row in connection.execute(_FAULTS, {'ids': ids})
    }
    replicas: dict[str, list[str]] = {}
    for source, replica in connection.execute(_REPLICAS, {'ids': ids}):
        replicas.setdefault(source, []).append(replica)
    return _Beside(statuses, faults, replicas)


def _versions_of(
    connection: sa.Connection, ids: Collection[str]
) -> Mapping[str, instance.DatastoreVersion]:
    return {
        row.version_id: version_from(row)
        for row in connection.execute(_VERSIONS_OF_MANY, {'ids': list(ids)})
    }


def _instance_from(
    row: sa.Row[Any], version: instance.DatastoreVersion, beside: _Beside, *, backup_running: bool
) -> instance.Instance:
    status = beside.statuses.get(row.id)
    return instance.Instance(
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
        task_started_at=row.task_start_time,
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
