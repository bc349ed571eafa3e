# SPDX-License-Identifier: Apache-2.0
"""Trove's tables that we read or write, with Trove 26's names and columns.

Source: trove/db/sqlalchemy/migrations/versions of Trove 26.0.0 (906cffda7b29, 5c68b4fb3cd1,
7ee6154548a6, 95418fe2a1c8). Beside Trove they are Trove's and never altered; alone the standalone
chain makes them.  Read columns by name, never `*`: an older Trove lacks the newest ones.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from trove_upgrade.db.columns import UtcDateTime

METADATA = sa.MetaData()

#: By which a real Trove knows its own schema; the second one until its release 21 (2023.2).
VERSION_TABLES = frozenset({'alembic_version', 'migrate_version'})


def is_troves(tables: set[str]) -> bool:
    """Return whether a database with these tables was made by a real Trove."""
    return instances.name in tables and bool(tables & VERSION_TABLES)


_MYSQL: dict[str, Any] = {
    'mysql_engine': 'InnoDB',
    'mysql_charset': 'utf8mb4',
    'mariadb_engine': 'InnoDB',
    'mariadb_charset': 'utf8mb4',
}


def _time(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, UtcDateTime(precise=False), nullable=nullable)


datastores = sa.Table(
    'datastores',
    METADATA,
    sa.Column('id', sa.String(36), primary_key=True),
    sa.Column('name', sa.String(255), unique=True),
    sa.Column('default_version_id', sa.String(36)),
    **_MYSQL,
)

datastore_versions = sa.Table(
    'datastore_versions',
    METADATA,
    sa.Column('id', sa.String(36), primary_key=True),
    sa.Column('datastore_id', sa.String(36), sa.ForeignKey('datastores.id')),
    sa.Column('name', sa.String(255)),
    sa.Column('image_id', sa.String(36)),
    sa.Column('packages', sa.String(511)),
    sa.Column('active', sa.Boolean(), nullable=False),
    sa.Column('manager', sa.String(255)),
    sa.Column('image_tags', sa.String(255)),
    sa.Column('version', sa.String(255)),
    sa.Column('registry_ext', sa.Text(), nullable=False),
    sa.Column('repl_strategy', sa.Text(), nullable=False),
    sa.UniqueConstraint('datastore_id', 'name', 'version', name='ds_versions'),
    **_MYSQL,
)

datastore_version_metadata = sa.Table(
    'datastore_version_metadata',
    METADATA,
    sa.Column('id', sa.String(36), primary_key=True),
    sa.Column(
        'datastore_version_id',
        sa.String(36),
        sa.ForeignKey('datastore_versions.id', ondelete='CASCADE'),
    ),
    sa.Column('key', sa.String(128), nullable=False),
    sa.Column('value', sa.String(128)),
    _time('created', nullable=False),
    sa.Column('deleted', sa.Boolean(), nullable=False, default=False),
    _time('deleted_at'),
    _time('updated_at'),
    sa.UniqueConstraint(
        'datastore_version_id',
        'key',
        'value',
        name='UQ_datastore_version_metadata_datastore_version_id_key_value',
    ),
    **_MYSQL,
)

configurations = sa.Table(
    'configurations',
    METADATA,
    sa.Column('id', sa.String(36), primary_key=True),
    sa.Column('name', sa.String(64), nullable=False),
    sa.Column('description', sa.String(256)),
    sa.Column('tenant_id', sa.String(36), nullable=False),
    sa.Column('datastore_version_id', sa.String(36), nullable=False),
    sa.Column('deleted', sa.Boolean(), nullable=False, default=False),
    _time('deleted_at'),
    _time('created'),
    _time('updated'),
    **_MYSQL,
)

configuration_parameters = sa.Table(
    'configuration_parameters',
    METADATA,
    sa.Column(
        'configuration_id', sa.String(36), sa.ForeignKey('configurations.id'), primary_key=True
    ),
    sa.Column('configuration_key', sa.String(128), primary_key=True),
    sa.Column('configuration_value', sa.String(128)),
    sa.Column('deleted', sa.Boolean(), nullable=False, default=False),
    _time('deleted_at'),
    **_MYSQL,
)

datastore_configuration_parameters = sa.Table(
    'datastore_configuration_parameters',
    METADATA,
    sa.Column('id', sa.String(36), primary_key=True),
    sa.Column('name', sa.String(128), primary_key=True),
    sa.Column(
        'datastore_version_id',
        sa.String(36),
        sa.ForeignKey('datastore_versions.id'),
        primary_key=True,
    ),
    sa.Column('restart_required', sa.Boolean(), nullable=False, default=False),
    sa.Column('max_size', sa.String(40)),
    sa.Column('min_size', sa.String(40)),
    sa.Column('data_type', sa.String(128), nullable=False),
    sa.UniqueConstraint(
        'datastore_version_id',
        'name',
        name='UQ_datastore_configuration_parameters_datastore_version_id_name',
    ),
    **_MYSQL,
)

clusters = sa.Table(
    'clusters',
    METADATA,
    sa.Column('id', sa.String(36), primary_key=True),
    _time('created', nullable=False),
    _time('updated', nullable=False),
    sa.Column('name', sa.String(255), nullable=False),
    sa.Column('task_id', sa.Integer(), nullable=False),
    sa.Column('tenant_id', sa.String(36), nullable=False),
    sa.Column(
        'datastore_version_id',
        sa.String(36),
        sa.ForeignKey('datastore_versions.id', name='clusters_ibfk_1'),
        nullable=False,
    ),
    sa.Column('deleted', sa.Boolean()),
    _time('deleted_at'),
    sa.Column(
        'configuration_id',
        sa.String(36),
        sa.ForeignKey('configurations.id', name='clusters_ibfk_2'),
    ),
    sa.Index('clusters_tenant_id', 'tenant_id'),
    sa.Index('clusters_deleted', 'deleted'),
    **_MYSQL,
)

instances = sa.Table(
    'instances',
    METADATA,
    sa.Column('id', sa.String(36), primary_key=True),
    _time('created'),
    _time('updated'),
    sa.Column('name', sa.String(255)),
    sa.Column('hostname', sa.String(255)),
    sa.Column('compute_instance_id', sa.String(36)),
    sa.Column('task_id', sa.Integer()),
    sa.Column('task_description', sa.String(255)),
    _time('task_start_time'),
    sa.Column('volume_id', sa.String(36)),
    sa.Column('flavor_id', sa.String(255)),
    sa.Column('volume_size', sa.Integer()),
    sa.Column('tenant_id', sa.String(36)),
    sa.Column('server_status', sa.String(64)),
    sa.Column('deleted', sa.Boolean()),
    _time('deleted_at'),
    sa.Column(
        'datastore_version_id',
        sa.String(36),
        sa.ForeignKey('datastore_versions.id', name='instances_ibfk_1'),
    ),
    sa.Column(
        'configuration_id',
        sa.String(36),
        sa.ForeignKey('configurations.id', name='instances_ibfk_2'),
    ),
    sa.Column('slave_of_id', sa.String(36), sa.ForeignKey('instances.id', name='instances_ibfk_3')),
    sa.Column('cluster_id', sa.String(36), sa.ForeignKey('clusters.id', name='instances_ibfk_4')),
    sa.Column('shard_id', sa.String(36)),
    sa.Column('type', sa.String(64)),
    sa.Column('region_id', sa.String(255)),
    sa.Column('encrypted_key', sa.String(255)),
    sa.Column('access', sa.Text()),
    sa.Column('ssl_mode', sa.String(16)),
    sa.Column('ssl_ref', sa.Text()),
    sa.Index('instances_tenant_id', 'tenant_id'),
    sa.Index('instances_deleted', 'deleted'),
    sa.Index('instances_cluster_id', 'cluster_id'),
    **_MYSQL,
)

service_statuses = sa.Table(
    'service_statuses',
    METADATA,
    sa.Column('id', sa.String(36), primary_key=True),
    sa.Column('instance_id', sa.String(36), nullable=False),
    sa.Column('status_id', sa.Integer(), nullable=False),
    sa.Column('status_description', sa.String(64), nullable=False),
    _time('updated_at'),
    sa.Index('service_statuses_instance_id', 'instance_id'),
    **_MYSQL,
)

instance_faults = sa.Table(
    'instance_faults',
    METADATA,
    sa.Column('id', sa.String(64), primary_key=True),
    sa.Column(
        'instance_id',
        sa.String(64),
        sa.ForeignKey('instances.id', ondelete='CASCADE', onupdate='CASCADE'),
        nullable=False,
    ),
    sa.Column('message', sa.String(255), nullable=False),
    # what MySQL makes of Trove's Text(65535) under utf8
    sa.Column(
        'details', sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql', 'mariadb'), nullable=False
    ),
    _time('created', nullable=False),
    _time('updated', nullable=False),
    sa.Column('deleted', sa.Boolean(), nullable=False, default=False),
    _time('deleted_at'),
    **_MYSQL,
)

backups = sa.Table(
    'backups',
    METADATA,
    sa.Column('id', sa.String(36), primary_key=True),
    sa.Column('name', sa.String(255), nullable=False),
    sa.Column('description', sa.String(512)),
    sa.Column('location', sa.String(1024)),
    sa.Column('backup_type', sa.String(32)),
    sa.Column('size', sa.Float()),
    sa.Column('tenant_id', sa.String(36)),
    sa.Column('state', sa.String(32), nullable=False),
    sa.Column('instance_id', sa.String(36)),
    sa.Column('checksum', sa.String(32)),
    _time('backup_timestamp'),
    sa.Column('deleted', sa.Boolean(), default=False),
    _time('created'),
    _time('updated'),
    _time('deleted_at'),
    sa.Column('parent_id', sa.String(36)),
    sa.Column(
        'datastore_version_id',
        sa.String(36),
        sa.ForeignKey('datastore_versions.id', name='backups_ibfk_1'),
    ),
    sa.Column('storage_driver', sa.Text()),
    sa.Index('backups_instance_id', 'instance_id'),
    sa.Index('backups_deleted', 'deleted'),
    **_MYSQL,
)
