# SPDX-License-Identifier: Apache-2.0
"""Trove's instances with what stands beside them, in a fixed number of SELECTs for any number of rows."""
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import columns, errors, guests, trove_tables
from trove_upgrade.db.datastores import VERSION_COLUMNS, version_from
from trove_upgrade.db.engine import Database, retry_on_deadlock
from trove_upgrade.db.page import Page, plausible_id
from trove_upgrade.domain import exceptions, instance

_instances = trove_tables.instances
_statuses = trove_tables.service_statuses
_faults = trove_tables.instance_faults
_backups = trove_tables.backups

#: Source: trove/instance/service_status.py (Trove 26).
STATUS_IDS = {
    'running': 0x01, 'blocked': 0x02, 'paused': 0x03, 'shutdown': 0x04, 'deleted': 0x05, 'crashed': 0x06,
    'failed to spawn': 0x08, 'building': 0x09, 'promoting replica': 0x10, 'ejecting replica source': 0x11,
    'transferring guest logs': 0x12, 'unknown': 0x16, 'new': 0x17, 'guestagent error': 0x18, 'instance ready': 0x19,
    'restart required': 0x20, 'healthy': 0x21, 'upgrading': 0x22, 'restarting': 0x23,
}
#: Source: trove/backup/state.py, BackupState.RUNNING_STATES.
RUNNING_BACKUPS = ('NEW', 'BUILDING', 'SAVING')

_COLUMNS = (
    _instances.c.id, _instances.c.name, _instances.c.tenant_id, _instances.c.compute_instance_id, _instances.c.volume_id,
    _instances.c.volume_size, _instances.c.flavor_id, _instances.c.hostname, _instances.c.region_id, _instances.c.task_id,
    _instances.c.task_start_time, _instances.c.created, _instances.c.updated, _instances.c.cluster_id,
    _instances.c.slave_of_id, _instances.c.configuration_id, _instances.c.deleted)


def task_of(task_id: int | None) -> instance.Task:
    """Trove's code as a task; BUSY_OTHER for one that is not known."""
    try:
        return instance.Task(task_id or 0)
    except ValueError:
        return instance.Task.BUSY_OTHER


class Instances:
    """Implements ports.InstanceRepository, lists instances and registers one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, instance_id: str, project_id: str | None = None, *, deleted: bool | None = False,
            with_details: bool = True) -> instance.Instance:
        """`deleted` None: a deleted one too.  Without details: no service status, fault and replicas, for three SELECTs less.

        :raises InstanceNotFound: none, deleted, or of another project than `project_id` where that is given.
        """
        found: tuple[instance.Instance, ...] = ()
        if plausible_id(instance_id):
            query = _select(project_id, deleted).where(_instances.c.id == instance_id)
            with self._database.read() as connection:
                found = _load(connection, connection.execute(query).all(), with_details=with_details)
        if not found:
            raise exceptions.InstanceNotFound(instance_id=instance_id)
        return found[0]

    def list(self, project_id: str | None = None, *, limit: int, marker: str | None = None, include_clustered: bool = False,
             deleted: bool | None = False) -> Page[instance.Instance]:
        """A page by id, as Trove pages; `project_id` None: of all projects; `deleted` None: both kinds."""
        query = _select(project_id, deleted)
        if not include_clustered:
            query = query.where(_instances.c.cluster_id.is_(None))
        if marker:
            query = query.where(_instances.c.id > marker)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_instances.c.id).limit(limit + 1)).all()
            items = _load(connection, rows[:limit])
        return Page(items, items[-1].id if len(rows) > limit else None)

    def task(self, instance_id: str) -> instance.Task:
        """The task now, re-read (Trove saves whole stale objects).

        :raises InstanceNotFound: none.
        """
        with self._database.read() as connection:
            row = connection.execute(sa.select(_instances.c.task_id).where(_instances.c.id == instance_id)).one_or_none()
        if row is None:
            raise exceptions.InstanceNotFound(instance_id=instance_id)
        return task_of(row.task_id)

    @retry_on_deadlock
    def set_service_status(self, instance_id: str, status: str) -> None:
        """Alone only: what `service_statuses` says ('healthy', 'upgrading', 'shutdown', ...).

        :raises ValueError: Trove has no such status.
        """
        if status not in STATUS_IDS:
            raise ValueError(f'Trove has no service status {status!r}')
        values = {'status_id': STATUS_IDS[status], 'status_description': status, 'updated_at': columns.now()}
        with self._database.write() as connection:
            updated = connection.execute(sa.update(_statuses).where(_statuses.c.instance_id == instance_id).values(**values))
            if not updated.rowcount:
                connection.execute(sa.insert(_statuses).values(id=str(uuid.uuid4()), instance_id=instance_id, **values))

    @retry_on_deadlock
    def register(self, version: instance.DatastoreVersion, *, server_id: str, name: str, project_id: str,
                 image_id: str | None, instance_id: str | None = None, volume_id: str | None = None,
                 volume_size_gb: int | None = None, flavor_id: str | None = None, region: str | None = None) -> str:
        """Make an existing server an instance, where no Trove does; its task is NONE.  Returns the instance's id.

        :raises AlreadyRegistered: the server or the id has a row already; nothing was written.
        """
        instance_id = instance_id or str(uuid.uuid4())
        with self._database.write() as connection:
            taken = connection.execute(sa.select(_instances.c.id, _instances.c.compute_instance_id).where(
                sa.or_(_instances.c.id == instance_id,
                       sa.and_(_instances.c.compute_instance_id == server_id, _instances.c.deleted.is_not(True))))).first()
            if taken is not None:
                found = f'instance {taken.id} exists already, of server {taken.compute_instance_id}'
                raise errors.AlreadyRegistered(server_id=server_id, instance_id=taken.id, found=found)
            connection.execute(sa.insert(_instances).values(
                id=instance_id, created=columns.now(), updated=columns.now(), name=name, compute_instance_id=server_id,
                task_id=int(instance.Task.NONE), task_description='No tasks for the instance.', volume_id=volume_id,
                volume_size=volume_size_gb, flavor_id=flavor_id, tenant_id=project_id, region_id=region, deleted=False,
                datastore_version_id=version.id))
            connection.execute(sa.insert(_statuses).values(
                id=str(uuid.uuid4()), instance_id=instance_id, status_id=STATUS_IDS['healthy'], status_description='healthy',
                updated_at=columns.now()))
            if image_id:
                guests.upsert(connection, instance_id, image_id=image_id)
        return instance_id


def _select(project_id: str | None, deleted: bool | None) -> sa.Select[Any]:
    versions, datastores = trove_tables.datastore_versions, trove_tables.datastores
    query = (sa.select(*_COLUMNS, *VERSION_COLUMNS).select_from(_instances)
             .join(versions, versions.c.id == _instances.c.datastore_version_id)
             .join(datastores, datastores.c.id == versions.c.datastore_id))
    if project_id is not None:
        query = query.where(_instances.c.tenant_id == project_id)
    if deleted is not None:
        query = query.where(_instances.c.deleted.is_(True) if deleted else _instances.c.deleted.is_not(True))
    return query


def _load(connection: sa.Connection, rows: Sequence[sa.Row[Any]], *, with_details: bool = True) -> tuple[instance.Instance, ...]:
    """Instances of these rows, with what four more SELECTs say of all of them; one of the four without details."""
    if not rows:
        return ()
    ids = [row.id for row in rows]
    backups = set(connection.execute(sa.select(_backups.c.instance_id).where(
        _backups.c.instance_id.in_(ids), _backups.c.state.in_(RUNNING_BACKUPS), _backups.c.deleted.is_not(True))).scalars())
    if not with_details:
        return tuple(_instance_from(row, None, None, row.id in backups, ()) for row in rows)
    statuses = _statuses_of(connection, ids)
    faults = _faults_of(connection, ids)
    replicas: dict[str, list[str]] = {}
    for source, replica in connection.execute(sa.select(_instances.c.slave_of_id, _instances.c.id).where(
            _instances.c.slave_of_id.in_(ids), _instances.c.deleted.is_not(True)).order_by(_instances.c.id)):
        replicas.setdefault(source, []).append(replica)
    return tuple(_instance_from(row, statuses.get(row.id), faults.get(row.id), row.id in backups,
                                tuple(replicas.get(row.id, ()))) for row in rows)


def _statuses_of(connection: sa.Connection, ids: Sequence[str]) -> Mapping[str, Any]:
    query = sa.select(_statuses.c.instance_id, _statuses.c.status_description, _statuses.c.updated_at)
    return {row.instance_id: row for row in connection.execute(
        query.where(_statuses.c.instance_id.in_(ids)).order_by(_statuses.c.updated_at))}    # the newest stays


def _faults_of(connection: sa.Connection, ids: Sequence[str]) -> Mapping[str, instance.Fault]:
    query = sa.select(_faults.c.instance_id, _faults.c.message, _faults.c.details, _faults.c.created)
    rows = connection.execute(query.where(_faults.c.instance_id.in_(ids), _faults.c.deleted.is_not(True))
                              .order_by(_faults.c.updated))
    return {row.instance_id: instance.Fault(row.message, row.details, row.created) for row in rows}


def _instance_from(row: sa.Row[Any], status: sa.Row[Any] | None, fault: instance.Fault | None, backup_running: bool,
                   replica_ids: tuple[str, ...]) -> instance.Instance:
    return instance.Instance(
        id=row.id, name=row.name or '', project_id=row.tenant_id or '', server_id=row.compute_instance_id,
        volume_id=row.volume_id, volume_size_gb=row.volume_size, flavor_id=row.flavor_id, hostname=row.hostname,
        region=row.region_id, version=version_from(row), task=task_of(row.task_id), task_started_at=row.task_start_time,
        created_at=row.created, updated_at=row.updated, cluster_id=row.cluster_id, replica_of_id=row.slave_of_id,
        configuration_id=row.configuration_id, deleted=bool(row.deleted),
        service_status=status.status_description if status else None,
        service_status_updated_at=status.updated_at if status else None,
        backup_running=backup_running, fault=fault, replica_ids=replica_ids)
