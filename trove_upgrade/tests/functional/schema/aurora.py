# SPDX-License-Identifier: Apache-2.0
"""Release aurora as its services wrote and read the database: the first one, kept for the tests.

Frozen: its tables of our own, with the columns that it knew, and its queries of instance_upgrades,
upgrade_outbox and upgrade_services, statement by statement.  Nothing here follows what the package
becomes, so nothing of the package is imported. Left out are the guests' rows and the faults, which
borealis does not change.
"""

import dataclasses
import datetime
import json
import uuid

import sqlalchemy as sa
from oslo_db import api as oslo_db_api
from oslo_db import exception as db_exc
from oslo_db.sqlalchemy import enginefacade
from sqlalchemy.dialects import mysql

RELEASE = 'aurora'
VERSION = (
    '1.0.0'  #: what its services wrote into upgrade_services.version: no release before a slash
)

ACTIVE = ('PENDING', 'RUNNING')
UPGRADING, NONE, UPGRADING_ERROR = 0x59, 0x01, 0x5A

METADATA = sa.MetaData()


class LeaseLost(Exception):
    """Another service holds the row, or it has ended."""


class InstanceBusy(Exception):
    """It has another task."""


class Time(sa.types.TypeDecorator):
    """Aware outside, naive UTC inside."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect):
        return dialect.type_descriptor(
            mysql.DATETIME(fsp=6) if dialect.name == 'mysql' else sa.DateTime()
        )

    def process_bind_param(self, value, dialect):
        return None if value is None else value.astimezone(datetime.UTC).replace(tzinfo=None)

    def process_result_value(self, value, dialect):
        return None if value is None else value.replace(tzinfo=datetime.UTC)


class Json(sa.types.TypeDecorator):
    """JSON as text."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect):
        return dialect.type_descriptor(mysql.LONGTEXT() if dialect.name == 'mysql' else sa.Text())

    def process_bind_param(self, value, dialect):
        return None if value is None else json.dumps(value, sort_keys=True, separators=(',', ':'))

    def process_result_value(self, value, dialect):
        return None if value is None else json.loads(value)


def _columns(kind, *names):
    return [sa.Column(name, kind) for name in names]


instance_upgrades = sa.Table(
    'instance_upgrades',
    METADATA,
    sa.Column('id', sa.String(36), primary_key=True),
    *_columns(
        sa.String(),
        'instance_id',
        'active_instance_id',
        'project_id',
        'instance_name',
        'server_id',
        'state',
        'step',
    ),
    *_columns(sa.Integer(), 'attempt', 'rebuild_attempt'),
    *_columns(
        sa.String(),
        'former_version_id',
        'target_version_id',
        'former_image_id',
        'target_image_id',
        'datastore_manager',
        'target_number',
    ),
    *_columns(sa.Integer(), 'generation'),
    *_columns(Time(), 'created_at', 'updated_at'),
    *_columns(sa.String(), 'owner'),
    *_columns(Time(), 'lease_until', 'next_run_at', 'step_deadline', 'ended_at'),
    *_columns(Json(), 'steps', 'data'),
    *_columns(sa.Text(), 'cause'),
    *_columns(sa.String(), 'error_code', 'request_id', 'user_id'),
)

upgrade_outbox = sa.Table(
    'upgrade_outbox',
    METADATA,
    sa.Column('id', sa.String(36), primary_key=True),
    *_columns(sa.String(), 'upgrade_id'),
    *_columns(sa.Integer(), 'attempt', 'position'),
    *_columns(sa.String(), 'kind', 'receiver'),
    *_columns(Json(), 'payload'),
    *_columns(Time(), 'created_at', 'next_try_at'),
    *_columns(sa.Integer(), 'tries'),
    *_columns(Time(), 'sent_at'),
)

upgrade_services = sa.Table(
    'upgrade_services',
    METADATA,
    sa.Column('host', sa.String(255), primary_key=True),
    sa.Column('binary', sa.String(64), primary_key=True),
    *_columns(sa.String(), 'registration', 'version'),
    *_columns(Time(), 'started_at', 'seen_at'),
)

#: Trove's, with the columns that begin and end touch.
instances = sa.Table(
    'instances',
    sa.MetaData(),
    sa.Column('id', sa.String(36), primary_key=True),
    *_columns(sa.Integer(), 'task_id'),
    *_columns(
        sa.String(),
        'task_description',
        'tenant_id',
        'name',
        'compute_instance_id',
        'datastore_version_id',
    ),
    *_columns(sa.Boolean(), 'deleted'),
    *_columns(sa.DateTime(), 'task_start_time', 'updated'),
)

_upgrades, _outbox, _services = instance_upgrades, upgrade_outbox, upgrade_services
_FIELDS = tuple(column.name for column in _upgrades.c if column.name != 'active_instance_id')
_FETCH = sa.select(*(_upgrades.c[name] for name in _FIELDS)).where(
    _upgrades.c.id == sa.bindparam('upgrade_id')
)

retry_on_deadlock = oslo_db_api.wrap_db_retry(
    retry_interval=0.05,
    max_retries=12,
    inc_retry_interval=True,
    max_retry_interval=1,
    retry_on_deadlock=True,
    jitter=True,
)


@dataclasses.dataclass(frozen=True)
class Upgrade:
    """A row, with the steps as the column holds them."""

    id: str
    instance_id: str
    generation: int
    state: str
    step: str
    attempt: int
    steps: list
    created_at: datetime.datetime
    row: dict = dataclasses.field(repr=False)

    @classmethod
    def of(cls, row):
        return cls(
            **{
                field.name: row[field.name]
                for field in dataclasses.fields(cls)
                if field.name != 'row'
            },
            row=dict(row),
        )


class Aurora:
    """A process of that release: `upgrades` and `services` of its repositories in one."""

    def __init__(self, url):
        context = enginefacade.transaction_context()
        context.configure(connection=url)
        self.engine = context.writer.get_engine()
        if self.engine.dialect.name == 'mysql':
            sa.event.listen(self.engine, 'connect', self._read_committed)
            self.engine.dispose()

    @staticmethod
    def _read_committed(connection, _record):
        with connection.cursor() as cursor:
            cursor.execute('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED')

    def now(self):
        if self.engine.dialect.name == 'mysql':
            return sa.literal_column('UTC_TIMESTAMP(6)', Time())
        return sa.literal_column("timezone('utc', clock_timestamp())", Time())

    def ahead(self, seconds):
        microseconds = round(seconds * 1_000_000)
        if self.engine.dialect.name == 'mysql':
            return sa.literal_column(
                f'TIMESTAMPADD(MICROSECOND, {microseconds}, UTC_TIMESTAMP(6))', Time()
            )
        return sa.literal_column(
            f"(timezone('utc', clock_timestamp()) + {microseconds} * interval '1 microsecond')",
            Time(),
        )

    @retry_on_deadlock
    def begin(self, instance_id, *, target_version_id, target_image_id, target_number):
        """The instance's task NONE -> UPGRADING, a PENDING row, its 'start' event."""
        try:
            with self.engine.begin() as connection:
                instance = connection.execute(
                    sa.select(instances).where(instances.c.id == instance_id)
                ).one()
                taken = connection.execute(
                    self._task(instance_id, NONE, UPGRADING).where(
                        instances.c.deleted.is_not(True),
                        instances.c.datastore_version_id == instance.datastore_version_id,
                        instances.c.compute_instance_id == instance.compute_instance_id,
                    )
                )
                if not taken.rowcount:
                    raise InstanceBusy(instance_id)
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
                    steps=[],
                    data={},
                    request_id='req-aurora',
                    user_id='user',
                )
                connection.execute(sa.insert(_upgrades), values)
                begun = Upgrade.of(values)
                self._event(connection, 'start', begun)
        except db_exc.DBDuplicateEntry as error:
            raise InstanceBusy(instance_id) from error
        return begun

    def get(self, upgrade_id):
        with self.engine.connect() as connection:
            return self._fetch(connection, upgrade_id)

    def list(self, *, limit, marker=None, project_id=None, state=None):
        """A page, newest first, and the next page's marker."""
        query = sa.select(_upgrades)
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
            found = [Upgrade.of(row) for row in connection.execute(query).mappings()]
        return found[:limit], found[limit - 1].id if len(found) > limit else None

    def due(self, limit):
        query = (
            sa.select(_upgrades.c.id)
            .where(
                _upgrades.c.state.in_(ACTIVE),
                self._lease_is_free(),
                sa.or_(_upgrades.c.next_run_at.is_(None), _upgrades.c.next_run_at <= self.now()),
            )
            .order_by(_upgrades.c.next_run_at, _upgrades.c.created_at)
            .limit(limit)
        )
        with self.engine.connect() as connection:
            return connection.execute(query).scalars().all()

    @retry_on_deadlock
    def claim(self, upgrade_id, owner, lease_seconds):
        with self.engine.begin() as connection:
            taken = connection.execute(
                sa.update(_upgrades)
                .where(
                    _upgrades.c.id == upgrade_id,
                    _upgrades.c.state.in_(ACTIVE),
                    self._lease_is_free(),
                )
                .values(
                    owner=owner,
                    lease_until=self.ahead(lease_seconds),
                    generation=_upgrades.c.generation + 1,
                    state='RUNNING',
                    updated_at=self.now(),
                )
            )
            if not taken.rowcount:
                raise LeaseLost(upgrade_id)
            return self._fetch(connection, upgrade_id)

    @retry_on_deadlock
    def renew(self, held, lease_seconds):
        with self.engine.begin() as connection:
            self._fenced(connection, held, lease_until=self.ahead(lease_seconds))
            return self._fetch(connection, held.id)

    @retry_on_deadlock
    def save(self, held, steps, *, release_for_seconds=None):
        values = {**self._journal(held, steps), 'updated_at': self.now()}
        if release_for_seconds is not None:
            values.update(owner=None, lease_until=None, next_run_at=self.ahead(release_for_seconds))
        with self.engine.begin() as connection:
            self._fenced(connection, held, **values)
            return self._fetch(connection, held.id)

    @retry_on_deadlock
    def end(self, held, steps, state):
        """Final state, the instance's task, its new version, and the events: one transaction."""
        version = (
            {'datastore_version_id': held.row['target_version_id']} if state == 'COMPLETED' else {}
        )
        task = UPGRADING_ERROR if state == 'FAILED' else NONE
        with self.engine.begin() as connection:
            if not connection.execute(
                self._task(held.instance_id, UPGRADING, task).values(**version)
            ).rowcount:
                raise InstanceBusy(held.instance_id)
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
            ended = self._fetch(connection, held.id)
            self._event(connection, 'end' if state == 'COMPLETED' else 'error', ended)
            if state in {'COMPLETED', 'ROLLED_BACK'}:
                self._event(connection, 'finish', ended)
        return ended

    @retry_on_deadlock
    def register(self, host, binary):
        registration = str(uuid.uuid4())
        values = {
            'registration': registration,
            'version': VERSION,
            'started_at': self.now(),
            'seen_at': self.now(),
        }
        update = (
            sa.update(_services)
            .where(_services.c.host == host, _services.c.binary == binary)
            .values(**values)
        )
        with self.engine.begin() as connection:
            if not connection.execute(update).rowcount:
                try:
                    with connection.begin_nested():
                        connection.execute(
                            sa.insert(_services).values(host=host, binary=binary, **values)
                        )
                except db_exc.DBDuplicateEntry:
                    connection.execute(update)
        return registration

    @retry_on_deadlock
    def beat(self, host, binary):
        with self.engine.begin() as connection:
            seen = connection.execute(
                sa.update(_services)
                .where(
                    _services.c.host == host,
                    _services.c.binary == binary,
                    _services.c.version == VERSION,
                )
                .values(seen_at=self.now())
            ).rowcount
        if not seen:
            self.register(host, binary)

    @retry_on_deadlock
    def remove(self, registration):
        with self.engine.begin() as connection:
            connection.execute(sa.delete(_services).where(_services.c.registration == registration))

    def _lease_is_free(self):
        return sa.or_(_upgrades.c.lease_until.is_(None), _upgrades.c.lease_until <= self.now())

    def _task(self, instance_id, former, task):
        return (
            sa.update(instances)
            .where(instances.c.task_id == former, instances.c.id == instance_id)
            .values(
                task_id=task,
                task_description='aurora',
                task_start_time=self.now(),
                updated=self.now(),
            )
        )

    @staticmethod
    def _fetch(connection, upgrade_id):
        return Upgrade.of(connection.execute(_FETCH, {'upgrade_id': upgrade_id}).mappings().one())

    @staticmethod
    def _journal(held, steps):
        return {
            'step': steps[-1]['step'] if steps else held.step,
            'steps': steps,
            **{
                name: held.row[name]
                for name in (
                    'data',
                    'rebuild_attempt',
                    'former_image_id',
                    'target_image_id',
                    'cause',
                    'error_code',
                    'step_deadline',
                )
            },
        }

    @staticmethod
    def _fenced(connection, held, **values):
        written = connection.execute(
            sa.update(_upgrades)
            .where(
                _upgrades.c.id == held.id,
                _upgrades.c.generation == held.generation,
                _upgrades.c.state == 'RUNNING',
            )
            .values(**values)
        )
        if not written.rowcount:
            raise LeaseLost(held.id)

    def _event(self, connection, kind, about):
        event_id = str(uuid.uuid4())
        connection.execute(
            sa.insert(_outbox).values(created_at=self.now(), next_try_at=self.now(), tries=0),
            {
                'id': event_id,
                'upgrade_id': about.id,
                'attempt': about.attempt,
                'position': {'start': 0, 'finish': 2}.get(kind, 1),
                'kind': kind,
                'receiver': 'guest' if kind == 'finish' else 'notifications',
                'payload': {
                    'payload_version': '1.0',
                    'event_id': event_id,
                    'kind': kind,
                    'upgrade_id': about.id,
                },
            },
        )
