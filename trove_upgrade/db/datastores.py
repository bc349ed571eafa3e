# SPDX-License-Identifier: Apache-2.0
"""Trove's datastores and versions, and what we keep beside a version."""

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import configuration_parameters, guests, target_facts, trove_tables
from trove_upgrade.db.configuration_parameters import ConfigurationParameter
from trove_upgrade.db.engine import Database
from trove_upgrade.db.page import plausible_id
from trove_upgrade.db.repetition import repeat_on_new_columns, retry_on_deadlock
from trove_upgrade.db.version_rows import select_versions, version_from
from trove_upgrade.domain import exceptions, instances

_datastores = trove_tables.datastores
_versions = trove_tables.datastore_versions
_instances = trove_tables.instances

#: What Trove 26 writes where an operator names no extension.  Source: trove/common/constants.py,
#: REGISTRY_EXT_DEFAULTS, and the defaults of `replication_namespace` and `replication_strategy` in
#: trove/common/cfg.py.
REGISTRY_EXT = {
    'mysql': 'trove.guestagent.datastore.mysql.manager.Manager',
    'mariadb': 'trove.guestagent.datastore.mariadb.manager.Manager',
    'postgresql': 'trove.guestagent.datastore.postgres.manager.PostgresManager',
}
REPL_STRATEGY = {
    'mysql': 'trove.guestagent.strategies.replication.mysql_gtid.MysqlGTIDReplication',
    'mariadb': 'trove.guestagent.strategies.replication.mariadb_gtid.MariaDBGTIDReplication',
    'postgresql': (
        'trove.guestagent.strategies.replication.postgresql.PostgresqlReplicationStreaming'
    ),
}


@dataclasses.dataclass(frozen=True)
class VersionChange:
    """Outcome of `save_version`: the version, whether it is new, and the image that it had
    before.
    """

    version: instances.DatastoreVersion
    created: bool
    former_image_id: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class OlderImage:
    """An instance that runs another image than its version's."""

    instance_id: str
    name: str
    project_id: str
    image_id: str


class Datastores:
    """Implements ports.DatastoreRepository, and what an operator writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> Sequence[instances.Datastore]:
        """Return all datastores, sorted by name."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(_datastores).order_by(_datastores.c.name)).all()
        return [
            instances.Datastore(id=row.id, name=row.name, default_version_id=row.default_version_id)
            for row in rows
        ]

    def get(self, id_or_name: str) -> instances.Datastore:
        """Return a datastore by its id, else by its name.

        :raises DatastoreNotFound: none.
        """
        found: dict[str, instances.Datastore] = {}
        for datastore in self.list():
            found[datastore.name] = datastore
        for datastore in tuple(found.values()):
            found[datastore.id] = datastore
        if id_or_name not in found:
            raise exceptions.DatastoreNotFound(datastore=id_or_name)
        return found[id_or_name]

    def versions(
        self, datastore_id: str, *, active_only: bool
    ) -> Sequence[instances.DatastoreVersion]:
        """The versions of one datastore, by name and number."""
        query = select_versions().where(_versions.c.datastore_id == datastore_id)
        if active_only:
            query = query.where(_versions.c.active.is_(True))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_versions.c.name, _versions.c.version)).all()
        return [version_from(row) for row in rows]

    def version(
        self,
        datastore_id: str,
        id_or_name: str,
        known: Sequence[instances.DatastoreVersion] | None = None,
    ) -> instances.DatastoreVersion:
        """Return a version by id, else by name within the datastore, inactive ones too.

        `known`: those that may be meant, where the caller has just read them.

        :raises DatastoreVersionNotFound: neither.
        :raises DatastoreVersionAmbiguous: several of that name.
        """
        if known is None:
            known = self._versions_called(datastore_id, id_or_name)
        matches = [version for version in known if version.id == id_or_name]
        matches = matches or [version for version in known if version.name == id_or_name]
        if not matches:
            name = next(
                (datastore.name for datastore in self.list() if datastore.id == datastore_id),
                datastore_id,
            )
            raise exceptions.DatastoreVersionNotFound(version=id_or_name, datastore=name)
        if len(matches) > 1:
            raise exceptions.DatastoreVersionAmbiguous(
                version=id_or_name,
                datastore=matches[0].datastore_name,
                count=len(matches),
                ids=', '.join(version.id for version in matches),
            )
        return matches[0]

    def _versions_called(
        self, datastore_id: str, id_or_name: str
    ) -> Sequence[instances.DatastoreVersion]:
        """All that may be meant: a server compares loosely, and some refuse to compare what an old
        column cannot hold.
        """
        if not id_or_name.isascii():
            return self.versions(datastore_id, active_only=False)
        with self._database.read() as connection:
            rows = connection.execute(
                _CALLED, {'of_datastore': datastore_id, 'called': id_or_name}
            ).all()
        return [version_from(row) for row in rows]

    def version_by_id(self, version_id: str) -> instances.DatastoreVersion:
        """Return a version of any datastore.

        :raises DatastoreVersionNotFound: none.
        """
        row = None
        if plausible_id(version_id):
            with self._database.read() as connection:
                row = connection.execute(_BY_ID, {'version_id': version_id}).one_or_none()
        if row is None:
            raise exceptions.DatastoreVersionNotFound(version=version_id, datastore='any')
        return version_from(row)

    @repeat_on_new_columns
    def guest_classes(self, version_id: str) -> instances.GuestClasses:
        """Return what Trove's agent loads for this version; where the row leaves it open, what
        Trove 26 then takes.

        Source: trove/instance/models.py, datastore_registry_ext and datastore_repl_strategy (Trove
        26); an older Trove has no columns.
        """
        with self._database.read() as connection:
            if 'registry_ext' not in self._database.columns(connection, _versions.name):
                return instances.GuestClasses(None, None)
            row = connection.execute(_CLASSES, {'version_id': version_id}).one_or_none()
        if row is None:
            return instances.GuestClasses(None, None)
        registry_ext = row.registry_ext or REGISTRY_EXT.get(row.manager)
        return instances.GuestClasses(
            f'{row.manager}:{registry_ext}' if registry_ext else None,
            row.repl_strategy or REPL_STRATEGY.get(row.manager),
        )

    def target_facts(self, version_id: str) -> Mapping[str, Any]:
        """Return what the image build recorded and registering loaded; empty where nothing was."""
        with self._database.read() as connection:
            return target_facts.read(connection, version_id)

    def agents_by_image(self, version_id: str) -> Mapping[str, Any]:
        """Return the fact `guest_rpc` of each image that the version was registered with facts
        for.
        """
        with self._database.read() as connection:
            return target_facts.agents(connection, version_id)

    def configuration_parameters(self, version_id: str) -> Sequence[str]:
        """Names of Trove's datastore_configuration_parameters of this version."""
        with self._database.read() as connection:
            return configuration_parameters.names(connection, version_id)

    def configured_parameters(self, configuration_id: str) -> Sequence[str]:
        """Names of what a configuration group sets; empty for one that is deleted, or unknown."""
        with self._database.read() as connection:
            return configuration_parameters.configured(connection, configuration_id)

    def on_older_images(self, version: instances.DatastoreVersion) -> Sequence[OlderImage]:
        """The version's instances with a server of another image, as far as we know; by name."""
        if version.image_id is None:
            return []
        query = (
            sa.select(_instances.c.id, _instances.c.name, _instances.c.tenant_id)
            .where(
                _instances.c.datastore_version_id == version.id, _instances.c.deleted.is_not(True)
            )
            .order_by(_instances.c.name, _instances.c.id)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
            images = guests.images_of(connection, [row.id for row in rows])
        return [
            OlderImage(instance_id=row.id, name=row.name, project_id=row.tenant_id, image_id=image)
            for row in rows
            if (image := images.get(row.id)) is not None and image != version.image_id
        ]

    @retry_on_deadlock
    def save_datastore(self, name: str, default_version: str | None = None) -> instances.Datastore:
        """Add or update a datastore; its default version is set, or emptied by None, as
        `trove-manage datastore_update` does.

        :raises DatastoreVersionNotFound, DatastoreVersionAmbiguous, DatastoreVersionInactive: and
            nothing was changed.
        """
        with self._database.write() as connection:
            datastore_id = _ensure_datastore(connection, name)
            default_id = None
            if default_version:
                version = _only_version(connection, datastore_id, name, default_version)
                if not version.active:
                    raise exceptions.DatastoreVersionInactive(version=version.name, datastore=name)
                default_id = version.id
            connection.execute(
                sa.update(_datastores)
                .where(_datastores.c.id == datastore_id)
                .values(default_version_id=default_id)
            )
        return instances.Datastore(id=datastore_id, name=name, default_version_id=default_id)

    @retry_on_deadlock
    def save_version(
        self,
        datastore: str,
        name: str,
        *,
        manager: str,
        image_id: str | None,
        image_tags: Sequence[str],
        packages: str,
        active: bool,
        number: str | None = None,
    ) -> VersionChange:
        """Add a version, or point it at another image; makes the datastore where there is none.

        A version is told by (datastore, name, number), as in Trove.  Instances that ran the
        version's former image keep that in `upgrade_guests` where nothing was known of theirs.
        """
        number = number or name
        values = {
            'manager': manager,
            'image_id': image_id,
            'image_tags': ','.join(image_tags) or None,
            'packages': packages,
            'active': active,
            'registry_ext': REGISTRY_EXT.get(manager, ''),
            'repl_strategy': REPL_STRATEGY.get(manager, ''),
        }
        with self._database.write() as connection:
            datastore_id = _ensure_datastore(connection, datastore)
            version_id, created, former_image_id = _save_version(
                connection, datastore_id, name, number, values
            )
            saved = connection.execute(select_versions().where(_versions.c.id == version_id)).one()
        return VersionChange(version_from(saved), created=created, former_image_id=former_image_id)

    @retry_on_deadlock
    def save_target_facts(self, version_id: str, facts: Mapping[str, Any]) -> None:
        """Replace the version's target facts."""
        with self._database.write() as connection:
            target_facts.save(connection, version_id, facts)

    @retry_on_deadlock
    def save_configuration_parameters(
        self, version_id: str, parameters: Sequence[ConfigurationParameter]
    ) -> int:
        """Add or update parameters; those that are not named stay, as Trove's own loader leaves
        them.  Returns how many.
        """
        with self._database.write() as connection:
            configuration_parameters.save(connection, version_id, parameters)
        return len(parameters)


#: Built once.
_BY_ID = select_versions().where(_versions.c.id == sa.bindparam('version_id'))
_CLASSES = sa.select(
    _versions.c.manager, _versions.c.registry_ext, _versions.c.repl_strategy
).where(_versions.c.id == sa.bindparam('version_id'))
_CALLED = (
    select_versions()
    .where(
        _versions.c.datastore_id == sa.bindparam('of_datastore'),
        sa.or_(
            _versions.c.id == sa.bindparam('called', type_=sa.String(255)),
            _versions.c.name == sa.bindparam('called', type_=sa.String(255)),
        ),
    )
    .order_by(_versions.c.name, _versions.c.version)
)


def _save_version(
    connection: sa.Connection,
    datastore_id: str,
    name: str,
    number: str,
    values: Mapping[str, object],
) -> tuple[str, bool, str | None]:
    """Return the version's id, whether it was added, and its former image."""
    row = connection.execute(
        sa.select(_versions.c.id, _versions.c.image_id).where(
            _versions.c.datastore_id == datastore_id,
            _versions.c.name == name,
            _versions.c.version == number,
        )
    ).one_or_none()
    if row is None:
        version_id = str(uuid.uuid4())
        connection.execute(
            sa.insert(_versions).values(
                id=version_id, datastore_id=datastore_id, name=name, version=number, **values
            )
        )
        return version_id, True, None
    if row.image_id and row.image_id != values['image_id']:
        guests.keep_former_image(connection, row.id, row.image_id)
    connection.execute(sa.update(_versions).where(_versions.c.id == row.id).values(**values))
    return row.id, False, row.image_id


def _only_version(
    connection: sa.Connection, datastore_id: str, datastore: str, id_or_name: str
) -> instances.DatastoreVersion:
    rows = connection.execute(
        select_versions().where(
            _versions.c.datastore_id == datastore_id,
            sa.or_(_versions.c.id == id_or_name, _versions.c.name == id_or_name),
        )
    ).all()
    if not rows:
        raise exceptions.DatastoreVersionNotFound(version=id_or_name, datastore=datastore)
    if len(rows) > 1:
        raise exceptions.DatastoreVersionAmbiguous(
            version=id_or_name,
            datastore=datastore,
            count=len(rows),
            ids=', '.join(row.version_id for row in rows),
        )
    return version_from(rows[0])


def _ensure_datastore(connection: sa.Connection, name: str) -> str:
    """The id of the datastore of that name, which is made where there is none."""
    query = sa.select(_datastores.c.id).where(_datastores.c.name == name)
    found = connection.execute(query).scalar_one_or_none()
    if found is not None:
        return str(found)
    datastore_id = str(uuid.uuid4())
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(_datastores).values(id=datastore_id, name=name))
    except db_exc.DBDuplicateEntry:  # another run of the tool made it since
        return str(connection.execute(query).scalar_one())
    return datastore_id
