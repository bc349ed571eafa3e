# SPDX-License-Identifier: Apache-2.0
"""Release borealis as its services wrote and read the database after its contract: the release
below cygnus, kept for the tests.

Frozen like aurora's, and it names what aurora's statements were and still are: due, claim, renew,
the instance's task, the events. Its own are the rows of instance_upgrade_steps, every statement
that had named the column `steps`, and its row of upgrade_services.
"""

import datetime
import os
import uuid

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.tests.functional.schema import aurora
from trove_upgrade.tests.functional.schema.aurora import Time, Upgrade, instances, retry_on_deadlock

RELEASE = 'borealis'
VERSION = '1.1.0'

METADATA = sa.MetaData()

instance_upgrades = sa.Table(
    'instance_upgrades',
    METADATA,
    *(
        sa.Column(column.name, column.type, primary_key=column.primary_key)
        for column in aurora.instance_upgrades.c
        if column.name != 'steps'
    ),
)

instance_upgrade_steps = sa.Table(
    'instance_upgrade_steps',
    METADATA,
    sa.Column('upgrade_id', sa.String(36), primary_key=True),
    sa.Column('position', sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column('attempt', sa.Integer()),
    sa.Column('step', sa.String()),
    sa.Column('started_at', Time()),
    sa.Column('ended_at', Time()),
    sa.Column('runs', sa.Integer()),
    sa.Column('outcome', sa.String()),
    sa.Column('percent', sa.Integer()),
    sa.Column('message', sa.Text()),
)

_upgrades, _steps, _services = instance_upgrades, instance_upgrade_steps, aurora.upgrade_services
_FIELDS = tuple(column.name for column in _upgrades.c if column.name != 'active_instance_id')
_ENTRY = tuple(column.name for column in _steps.c if column.name not in {'upgrade_id', 'position'})
_SELECT = sa.select(*(_upgrades.c[name] for name in _FIELDS))
_READ = (
    sa.select(_steps.c.upgrade_id, *(_steps.c[name] for name in _ENTRY))
    .where(_steps.c.upgrade_id.in_(sa.bindparam('upgrade_ids', expanding=True)))
    .order_by(_steps.c.upgrade_id, _steps.c.position)
)
_SAME = (
    _steps.c.upgrade_id == sa.bindparam('of_upgrade'),
    _steps.c.position == sa.bindparam('at_position'),
)


class Borealis(aurora.Aurora):
    """A process of that release: `upgrades` and `services` of its repositories in one."""

    @retry_on_deadlock
    def begin(self, instance_id, *, target_version_id, target_image_id, target_number):
        """The instance's task NONE -> UPGRADING, a PENDING row, its 'start' event."""
        with self.engine.begin() as connection:
            instance = connection.execute(
                sa.select(instances).where(instances.c.id == instance_id)
            ).one()
            taken = connection.execute(
                self._task(instance_id, aurora.NONE, aurora.UPGRADING).where(
                    instances.c.deleted.is_not(True),
                    instances.c.datastore_version_id == instance.datastore_version_id,
                    instances.c.compute_instance_id == instance.compute_instance_id,
                )
            )
            if not taken.rowcount:
                raise aurora.InstanceBusy(instance_id)
            now = connection.execute(sa.select(self.now())).scalar_one()
            values = dict.fromkeys((column.name for column in _upgrades.c), None)
            values.update(
                id=str(uuid.uuid4()),
                instance_id=instance_id,
                active_instance_id=instance_id,
                project_id=instance.tenant_id,
                instance_name=instance.name,
                server_id=instance.compute_instance_id,
                state='PENDING',
                step='precheck',
                attempt=1,
                rebuild_attempt=0,
                former_version_id=instance.datastore_version_id,
                target_version_id=target_version_id,
                target_image_id=target_image_id,
                datastore_manager='mariadb',
                target_number=target_number,
                generation=0,
                created_at=now,
                updated_at=now,
                next_run_at=now,
                data={},
                request_id='req-borealis',
                user_id='user',
            )
            connection.execute(sa.insert(_upgrades), values)
            begun = Upgrade.of({**values, 'steps': []})
            self._event(connection, 'start', begun)
        return begun

    def list(self, *, limit, marker=None, project_id=None, state=None):
        """A page, newest first, and the next page's marker."""
        query = _SELECT
        for column, value in ((_upgrades.c.project_id, project_id), (_upgrades.c.state, state)):
            query = query if value is None else query.where(column == value)
        if marker is not None:
            last = self.get(marker)
            query = query.where(
                sa.or_(
                    _upgrades.c.created_at < last.created_at,
                    sa.and_(_upgrades.c.created_at == last.created_at, _upgrades.c.id < last.id),
                )
            )
        query = query.order_by(_upgrades.c.created_at.desc(), _upgrades.c.id.desc()).limit(
            limit + 1
        )
        with self.engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
            histories = self._histories(connection, [row['id'] for row in rows])
        found = [Upgrade.of({**row, 'steps': histories.get(row['id'], [])}) for row in rows]
        return found[:limit], found[limit - 1].id if len(found) > limit else None

    @retry_on_deadlock
    def save(self, held, steps, *, release_for_seconds=None):
        values = {**self._journal(held, steps), 'updated_at': self.now()}
        if release_for_seconds is not None:
            values.update(owner=None, lease_until=None, next_run_at=self.ahead(release_for_seconds))
        with self.engine.begin() as connection:
            self._fenced(connection, held, **values)
            self._write(connection, held.id, steps)
            return self._fetch(connection, held.id)

    @retry_on_deadlock
    def end(self, held, steps, state):
        """Final state, the instance's task, its new version, the rows of the steps, and the events:
        one transaction.
        """
        version = (
            {'datastore_version_id': held.row['target_version_id']} if state == 'COMPLETED' else {}
        )
        task = aurora.UPGRADING_ERROR if state == 'FAILED' else aurora.NONE
        with self.engine.begin() as connection:
            if not connection.execute(
                self._task(held.instance_id, aurora.UPGRADING, task).values(**version)
            ).rowcount:
                raise aurora.InstanceBusy(held.instance_id)
            self._fenced(
                connection,
                held,
                **{
                    **self._journal(held, steps),
                    'state': state,
                    'owner': None,
                    'lease_until': None,
                    'next_run_at': None,
                    'step_deadline': None,
                    'active_instance_id': None,
                    'ended_at': self.now(),
                    'updated_at': self.now(),
                },
            )
            self._write(connection, held.id, steps)
            ended = self._fetch(connection, held.id)
            self._event(connection, 'end' if state == 'COMPLETED' else 'error', ended)
            if state in {'COMPLETED', 'ROLLED_BACK'}:
                self._event(connection, 'finish', ended)
        return ended

    def register(self, host, binary):
        """One row for the process: returns what identifies it."""
        registration = str(uuid.uuid4())
        self.beat(host, binary, registration)
        return registration

    @retry_on_deadlock
    def beat(self, host, binary, registration):
        place = f'{host}/{os.getpid()}-{registration[:8]}'
        seen = (
            sa.update(_services)
            .where(
                _services.c.host == place,
                _services.c.binary == binary,
                _services.c.registration == registration,
            )
            .values(seen_at=self.now())
        )
        with self.engine.begin() as connection:
            if connection.execute(seen).rowcount:
                return
            try:
                with connection.begin_nested():
                    connection.execute(
                        sa.insert(_services).values(
                            host=place,
                            binary=binary,
                            registration=registration,
                            version=f'{RELEASE}/{VERSION}',
                            started_at=self.now(),
                            seen_at=self.now(),
                        )
                    )
            except db_exc.DBDuplicateEntry:
                connection.execute(seen)

    @classmethod
    def _fetch(cls, connection, upgrade_id):
        row = connection.execute(_SELECT.where(_upgrades.c.id == upgrade_id)).mappings().one()
        return Upgrade.of(
            {**row, 'steps': cls._histories(connection, [upgrade_id]).get(upgrade_id, [])}
        )

    @staticmethod
    def _journal(held, steps):
        return {
            name: value
            for name, value in aurora.Aurora._journal(held, steps).items()
            if name != 'steps'
        }

    @staticmethod
    def _histories(connection, upgrade_ids):
        found = {}
        for row in (
            connection.execute(_READ, {'upgrade_ids': upgrade_ids}).mappings()
            if upgrade_ids
            else ()
        ):
            entry = {
                name: row[name].isoformat()
                if isinstance(row[name], datetime.datetime)
                else row[name]
                for name in _ENTRY
            }
            found.setdefault(row['upgrade_id'], []).append(entry)
        return found

    @classmethod
    def _write(cls, connection, upgrade_id, steps):
        """What differs, mostly the last one."""
        known = cls._histories(connection, [upgrade_id]).get(upgrade_id, [])
        for position, (entry, before) in enumerate(zip(steps, known, strict=False)):
            if entry != before:
                connection.execute(
                    sa.update(_steps).where(*_SAME),
                    {'of_upgrade': upgrade_id, 'at_position': position, **_values(entry)},
                )
        added = [
            {'upgrade_id': upgrade_id, 'position': position, **_values(entry)}
            for position, entry in enumerate(steps)
            if position >= len(known)
        ]
        if added:
            connection.execute(sa.insert(_steps), added)
        if len(known) > len(steps):
            connection.execute(
                sa.delete(_steps).where(
                    _steps.c.upgrade_id == upgrade_id, _steps.c.position >= len(steps)
                )
            )


def _values(entry):
    times = {
        name: entry[name] and datetime.datetime.fromisoformat(entry[name])
        for name in ('started_at', 'ended_at')
    }
    return {**entry, **times}
