# SPDX-License-Identifier: Apache-2.0
"""Trove's instances with what stands beside them, in a fixed number of SELECTs for any number of
rows.
"""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import columns, errors, guests, instance_rows, service_status, trove_tables
from trove_upgrade.db.engine import Database
from trove_upgrade.db.page import Page, plausible_id
from trove_upgrade.db.repetition import repeat_on_new_columns, retry_on_deadlock
from trove_upgrade.db.version_rows import version_from
from trove_upgrade.domain import exceptions, instances

_instances = trove_tables.instances
_statuses = trove_tables.service_statuses

_TASK = sa.select(_instances.c.task_id).where(_instances.c.id == sa.bindparam('instance_id'))
_SSL_MODE = sa.select(_instances.c.ssl_mode).where(_instances.c.id == sa.bindparam('instance_id'))

#: Of a row that `register` makes.
_NEW = {
    'created': columns.now(),
    'updated': columns.now(),
    'task_id': int(instances.Task.NONE),
    'task_description': 'No tasks for the instance.',
    'deleted': False,
}


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
    ) -> instances.Instance:
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
                instance_rows.select_one(project_id is not None, deleted), values
            ).one_or_none()
            if row is None:
                raise exceptions.InstanceNotFound(instance_id=instance_id)
            beside = (
                instance_rows.beside_of(connection, [row.id])
                if with_details
                else instance_rows.NOTHING_BESIDE
            )
        return instance_rows.instance_from(
            row, version_from(row), beside, backup_running=bool(row.backup_running)
        )

    def get_with_named(
        self, instance_id: str, called: str
    ) -> tuple[instances.Instance, Sequence[instances.DatastoreVersion]]:
        """Return an instance as `get` does without details, and the versions of its datastore that
        `called`, in ASCII, may mean by id or by name: in one SELECT, as a PATCH waits for each.

        :raises InstanceNotFound: none, or deleted.
        """
        rows: Sequence[sa.Row[Any]] = ()
        if plausible_id(instance_id):
            values = {'instance_id': instance_id, 'called': called}
            with self._database.read() as connection:
                rows = connection.execute(instance_rows.ONE_WITH_NAMED, values).all()
        if not rows:
            raise exceptions.InstanceNotFound(instance_id=instance_id)
        found = instance_rows.instance_from(
            rows[0],
            version_from(rows[0]),
            instance_rows.NOTHING_BESIDE,
            backup_running=bool(rows[0].backup_running),
        )
        return found, [
            version_from(row, instance_rows.NAMED) for row in rows if row.named_id is not None
        ]

    def list(
        self,
        project_id: str | None = None,
        *,
        limit: int,
        marker: str | None = None,
        include_clustered: bool = False,
        deleted: bool | None = False,
    ) -> Page[instances.Instance]:
        """A page by id, as Trove pages; `project_id` None: of all projects; `deleted` None: both
        kinds.
        """
        query = instance_rows.select_page(
            project_id is not None, deleted, include_clustered, bool(marker)
        )
        values = {
            name: value for name, value in (('project_id', project_id), ('marker', marker)) if value
        } | {'limit': limit + 1}
        with self._database.read() as connection:
            rows = connection.execute(query, values).all()
            page = rows[:limit]
            if not page:
                return Page((), None)
            ids = [row.id for row in page]
            versions = instance_rows.versions_of(
                connection, {row.datastore_version_id for row in page}
            )
            backups = set(connection.execute(instance_rows.BACKUPS_OF_MANY, {'ids': ids}).scalars())
            beside = instance_rows.beside_of(connection, ids)
        # a version that has been deleted between the two SELECTs takes its instances with it, as
        # the join does
        items = tuple(
            instance_rows.instance_from(
                row, versions[row.datastore_version_id], beside, backup_running=row.id in backups
            )
            for row in page
            if row.datastore_version_id in versions
        )
        return Page(items, page[-1].id if len(rows) > limit else None)

    def task(self, instance_id: str) -> instances.Task:
        """The task now, re-read (Trove saves whole stale objects).

        :raises InstanceNotFound: none.
        """
        with self._database.read() as connection:
            row = connection.execute(_TASK, {'instance_id': instance_id}).one_or_none()
        if row is None:
            raise exceptions.InstanceNotFound(instance_id=instance_id)
        return instance_rows.task_of(row.task_id)

    def holder(self, instance_id: str) -> instances.Holder:
        """Task, version, deletion and backups now; a row that is gone is a deleted one."""
        with self._database.read() as connection:
            row = connection.execute(instance_rows.HOLD, {'instance_id': instance_id}).one_or_none()
        if row is None:
            return instances.Holder(
                task=instances.Task.NONE, version_id=None, deleted=True, backup_running=False
            )
        return instances.Holder(
            task=instance_rows.task_of(row.task_id),
            version_id=row.datastore_version_id,
            deleted=bool(row.deleted),
            backup_running=bool(row.backup_running),
        )

    def servers_of_instances(self, server_ids: Collection[str]) -> frozenset[str]:
        """Return those of these servers that are an instance's, which is not deleted."""
        query = sa.select(_instances.c.compute_instance_id).where(
            _instances.c.compute_instance_id.in_(server_ids), _instances.c.deleted.is_not(True)
        )
        with self._database.read() as connection:
            return frozenset(connection.execute(query).scalars())

    def service_status(self, instance_id: str) -> instances.StatusReport | None:
        """Return what `service_statuses` says now; None: nothing yet."""
        with self._database.read() as connection:
            rows = connection.execute(instance_rows.STATUSES, {'ids': [instance_id]}).all()
        return (
            instances.StatusReport(rows[-1].status_description, rows[-1].updated_at)
            if rows
            else None
        )

    @repeat_on_new_columns
    def ssl_mode(self, instance_id: str) -> str | None:
        """Return the mode of TLS as guest_info.conf has it ('None' where TLS is off); None: this
        Trove has no such column.

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
    def set_service_status(self, instance_id: str, status: instances.ServiceStatus) -> None:
        """Write what `service_statuses` says, where there is no Trove ('healthy', 'upgrading',
        'shutdown', ...).

        :raises ValueError: Trove has no such status.
        """
        with self._database.write() as connection:
            service_status.write(connection, instance_id, status)

    @retry_on_deadlock
    def register(
        self,
        version: instances.DatastoreVersion,
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
            _refuse_registered(connection, server_id, instance_id)
            connection.execute(
                sa.insert(_instances).values(
                    id=instance_id,
                    name=name,
                    compute_instance_id=server_id,
                    volume_id=volume_id,
                    volume_size=volume_size_gb,
                    flavor_id=flavor_id,
                    tenant_id=project_id,
                    region_id=region,
                    datastore_version_id=version.id,
                    **_NEW,
                )
            )
            connection.execute(sa.insert(_statuses).values(**_first_status(instance_id)))
            if image_id:
                guests.upsert(connection, instance_id, image_id=image_id)
        return instance_id


def _refuse_registered(connection: sa.Connection, server_id: str, instance_id: str) -> None:
    """Refuse a server or an id that belongs to an instance already.

    :raises AlreadyRegistered: the server or the id has a row.
    """
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
        raise errors.AlreadyRegistered(server_id=server_id, instance_id=taken.id, found=found)


def _first_status(instance_id: str) -> dict[str, object]:
    return {
        'id': str(uuid.uuid4()),
        'instance_id': instance_id,
        'status_id': service_status.IDS['healthy'],
        'status_description': 'healthy',
        'updated_at': columns.now(),
    }
