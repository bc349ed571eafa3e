# SPDX-License-Identifier: Apache-2.0
"""A database in memory with sample datastores and instances, for the unit tests of every part.

self.db = self.useFixture(database.SampleDatabase())
self.db.repositories.instances.get(self.db.instance_id)
"""

import datetime
import uuid

import fixtures
import sqlalchemy as sa

from trove_upgrade.db import engine, guests, models, repositories, trove_tables
from trove_upgrade.db.migrations import runner
from trove_upgrade.sealing import at_rest

PROJECT = '11111111111111111111111111111111'
OTHER_PROJECT = '22222222222222222222222222222222'

MARIADB = '00000000-0000-4000-8000-0000000000d1'
MARIADB_10_11 = '00000000-0000-4000-8000-00000000d111'
MARIADB_11_8 = '00000000-0000-4000-8000-00000000d118'
MARIADB_INACTIVE = '00000000-0000-4000-8000-00000000d1ff'
MYSQL = '00000000-0000-4000-8000-0000000000d2'
MYSQL_9_7 = '00000000-0000-4000-8000-00000000d297'

IMAGE_10_11 = '00000000-0000-4000-8000-000000001011'
IMAGE_11_8 = '00000000-0000-4000-8000-000000001108'
IMAGE_9_7 = '00000000-0000-4000-8000-000000000907'

INSTANCE = '00000000-0000-4000-8000-00000000aaa1'
OTHER_INSTANCE = '00000000-0000-4000-8000-00000000aaa2'
DELETED_INSTANCE = '00000000-0000-4000-8000-00000000aaa3'
SERVER = '00000000-0000-4000-8000-00000000bbb1'

CREATED = datetime.datetime(2026, 1, 1, 20, 58, 35, tzinfo=datetime.UTC)

#: Databases as bytes, by what is in them.
_MADE = {}


class SampleDatabase(fixtures.Fixture):
    """SQLite in memory: mariadb 10.11.14, 11.8.6 and an inactive 11.8.0, mysql 9.7.4; three
    instances.

    INSTANCE (PROJECT) and OTHER_INSTANCE (OTHER_PROJECT) run mariadb 10.11.14 and are free;
    DELETED_INSTANCE was PROJECT's.

    The schema is the newest one; `expanded`: as it is before the contract of borealis, beside
    services of aurora; `version`: as the revisions make it up to there.
    """

    def __init__(
        self, url='sqlite://', *, sample=True, expanded=False, version=None, wrapping=None
    ):
        super().__init__()
        self._url = url
        self._sample = sample
        self._metadata = models.EXPANDED if expanded else models.METADATA
        self._version = version
        self._wrapping = wrapping  #: of guests' keys; None: there are none

    def _setUp(self):
        self.database = engine.Database.from_url(self._url)
        self.addCleanup(self.database.dispose)
        self.repositories = repositories.Repositories.of(
            self.database, wrapping=lambda: self._wrapping
        )
        if self._url == 'sqlite://':
            self._copy_in_memory()
        else:
            self._make()

    def _make(self):
        trove_tables.METADATA.create_all(self.database.engine)
        if self._version:
            runner.Runner(self.database.engine).sync(self._version)
        else:
            self._metadata.create_all(self.database.engine)
        if self._sample:
            self._add_samples()

    def _copy_in_memory(self):
        """Hundreds of tests want the same one: the first makes it, the others get its bytes."""
        kind = (self._sample, self._metadata is models.EXPANDED, self._version)
        with self.database.engine.connect() as connection:
            sqlite = connection.connection.driver_connection
        if kind in _MADE:
            sqlite.deserialize(_MADE[kind])
        else:
            self._make()
            _MADE[kind] = sqlite.serialize()

    def _add_samples(self):
        self.insert(
            trove_tables.datastores, id=MARIADB, name='mariadb', default_version_id=MARIADB_10_11
        )
        self.insert(trove_tables.datastores, id=MYSQL, name='mysql', default_version_id=None)
        for version_id, datastore_id, number, image_id, active in (
            (MARIADB_10_11, MARIADB, '10.11.14', IMAGE_10_11, True),
            (MARIADB_11_8, MARIADB, '11.8.6', IMAGE_11_8, True),
            (MARIADB_INACTIVE, MARIADB, '11.8.0', IMAGE_11_8, False),
            (MYSQL_9_7, MYSQL, '9.7.4', IMAGE_9_7, True),
        ):
            self.add_version(
                version_id=version_id,
                datastore_id=datastore_id,
                name=number,
                image_id=image_id,
                active=active,
            )
        self.add_instance(instance_id=INSTANCE, server_id=SERVER)
        self.add_instance(instance_id=OTHER_INSTANCE, name='db2', project_id=OTHER_PROJECT)
        self.add_instance(instance_id=DELETED_INSTANCE, name='gone', deleted=True)

    @property
    def instance_id(self):
        return INSTANCE

    def lose_encryption_keys(self):
        """An operator has taken the entry away that guests' keys are encrypted under."""
        self._wrapping = at_rest.Wrapping([at_rest.generate()])

    def insert(self, table, **values):
        with self.database.write() as connection:
            connection.execute(sa.insert(table).values(**values))

    def update_instance(self, instance_id=INSTANCE, **values):
        """Trove writes the row: update_instance(task_id=int(Task.RESIZING))."""
        with self.database.write() as connection:
            connection.execute(
                sa.update(trove_tables.instances)
                .where(trove_tables.instances.c.id == instance_id)
                .values(**values)
            )

    def set_image(self, image_id, instance_id=INSTANCE):
        """As a registration and the end of an upgrade write it."""
        with self.database.write() as connection:
            guests.upsert(connection, instance_id, image_id=image_id)

    def update_version(self, version_id, **values):
        """As an operator of Trove does it."""
        with self.database.write() as connection:
            connection.execute(
                sa.update(trove_tables.datastore_versions)
                .where(trove_tables.datastore_versions.c.id == version_id)
                .values(**values)
            )

    def add_version(
        self,
        *,
        name,
        datastore_id=MARIADB,
        version_id=None,
        number=None,
        image_id=IMAGE_11_8,
        active=True,
        manager=None,
        image_tags=None,
    ):
        version_id = version_id or str(uuid.uuid4())
        manager = manager or {MARIADB: 'mariadb', MYSQL: 'mysql'}[datastore_id]
        self.insert(
            trove_tables.datastore_versions,
            id=version_id,
            datastore_id=datastore_id,
            name=name,
            version=number or name,
            manager=manager,
            image_id=image_id,
            image_tags=image_tags,
            packages='',
            active=active,
            registry_ext='',
            repl_strategy='',
        )
        return version_id

    def add_instance(
        self,
        *,
        instance_id=None,
        name='db1',
        project_id=PROJECT,
        server_id=None,
        version_id=MARIADB_10_11,
        task_id=1,
        deleted=False,
        status='healthy',
        **columns,
    ):
        instance_id = instance_id or str(uuid.uuid4())
        self.insert(
            trove_tables.instances,
            id=instance_id,
            name=name,
            tenant_id=project_id,
            compute_instance_id=server_id or str(uuid.uuid4()),
            datastore_version_id=version_id,
            task_id=task_id,
            created=CREATED,
            updated=CREATED,
            deleted=deleted,
            flavor_id='6',
            volume_size=1,
            region_id='RegionOne',
            **columns,
        )
        if status is not None:
            self.repositories.instances.set_service_status(instance_id, status)
        return instance_id

    def begin(self, instance_id=INSTANCE, version_id=MARIADB_11_8, **changes):
        """An upgrade that the API has accepted."""
        repos = self.repositories
        target = repos.datastores.version_by_id(version_id)
        arguments = {
            'target_image_id': target.image_id,
            'request_id': 'req-1',
            'user_id': 'user-1',
            **changes,
        }
        return repos.upgrades.begin(repos.instances.get(instance_id), target, **arguments)

    def pass_time(self, seconds):
        """The database's clock cannot be moved, so every lease, next run and next try is moved the
        other way.
        """
        seconds = datetime.timedelta(seconds=seconds)
        with self.database.write() as connection:
            for table in (
                models.instance_upgrades,
                models.upgrade_checks,
                models.upgrade_outbox,
                models.upgrade_services,
                models.upgrade_guests,
            ):
                keys = list(table.primary_key.columns)
                names = [
                    name
                    for name in ('lease_until', 'next_run_at', 'next_try_at', 'seen_at')
                    if name in table.c
                ]
                for row in connection.execute(_all_of(connection, table)).all():
                    moved = {
                        name: getattr(row, name) - seconds
                        for name in names
                        if getattr(row, name) is not None
                    }
                    moved |= _earlier_post(row, seconds)
                    if moved:
                        same = [key == getattr(row, key.name) for key in keys]
                        connection.execute(sa.update(table).where(*same).values(**moved))

    def stop_clock(self, at):
        """The database's clock stands still from now on, on this connection of SQLite."""
        self.follow_clock(lambda: at)

    def follow_clock(self, now):
        """The database's clock is `now` from now on, on this connection of SQLite."""

        def strftime(_form, _now, ahead='0 seconds'):
            time = now() + datetime.timedelta(seconds=float(ahead.removesuffix(' seconds')))
            return time.astimezone(datetime.UTC).isoformat(' ', 'milliseconds').partition('+')[0]

        with self.database.engine.connect() as connection:
            connection.connection.driver_connection.create_function('strftime', -1, strftime)

    def contract(self):
        """What the contract of borealis does to instance_upgrades, done without a word to any
        service.
        """
        with self.database.engine.begin() as connection:
            for column in ('steps', 'steps_at'):
                connection.exec_driver_sql(f'ALTER TABLE instance_upgrades DROP COLUMN {column}')

    def rows(self, table):
        with self.database.read() as connection:
            return connection.execute(_all_of(connection, table)).all()


def _earlier_post(row, seconds):
    """The end of a call to Nova that was announced is in the data of an upgrade."""
    data = getattr(row, 'data', None) or {}
    until = data.get('rebuild_post_until')
    if until is None:
        return {}
    earlier = datetime.datetime.fromisoformat(until) - seconds
    return {'data': {**data, 'rebuild_post_until': earlier.isoformat()}}


def _all_of(connection, table):
    """Whichever of its columns there are."""
    present = {column['name'] for column in sa.inspect(connection).get_columns(table.name)}
    return sa.select(*(column for column in table.c if column.name in present))
