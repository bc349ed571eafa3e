# SPDX-License-Identifier: Apache-2.0
"""Trove's tables that we use, as Trove 26.0.0 has them, for where no Trove makes them.

Standalone.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from trove_upgrade.db.columns import UtcDateTime
from trove_upgrade.db.migrations import ops

revision = 'aurora_standalone01'
down_revision = None
branch_labels = ('standalone',)
depends_on = None


def upgrade() -> None:
    """Create Trove's tables in the order of their foreign keys."""
    _datastores()
    _datastore_versions()
    _datastore_version_metadata()
    _configurations()
    _configuration_parameters()
    _datastore_configuration_parameters()
    _clusters()
    _instances()
    _service_statuses()
    _instance_faults()
    _backups()


def _time(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, UtcDateTime(precise=False), nullable=nullable)


def _datastores() -> None:
    ops.ensure_table(
        'datastores',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('name', sa.String(255), unique=True),
        sa.Column('default_version_id', sa.String(36)),
    )


def _datastore_versions() -> None:
    ops.ensure_table(
        'datastore_versions',
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
    )


def _datastore_version_metadata() -> None:
    ops.ensure_table(
        'datastore_version_metadata',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column(
            'datastore_version_id',
            sa.String(36),
            sa.ForeignKey('datastore_versions.id', ondelete='CASCADE'),
        ),
        sa.Column('key', sa.String(128), nullable=False),
        sa.Column('value', sa.String(128)),
        _time('created', nullable=False),
        sa.Column('deleted', sa.Boolean(), nullable=False),
        _time('deleted_at'),
        _time('updated_at'),
        sa.UniqueConstraint(
            'datastore_version_id',
            'key',
            'value',
            name='UQ_datastore_version_metadata_datastore_version_id_key_value',
        ),
    )


def _configurations() -> None:
    ops.ensure_table(
        'configurations',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('name', sa.String(64), nullable=False),
        sa.Column('description', sa.String(256)),
        sa.Column('tenant_id', sa.String(36), nullable=False),
        sa.Column('datastore_version_id', sa.String(36), nullable=False),
        sa.Column('deleted', sa.Boolean(), nullable=False),
        _time('deleted_at'),
        _time('created'),
        _time('updated'),
    )


def _configuration_parameters() -> None:
    ops.ensure_table(
        'configuration_parameters',
        sa.Column(
            'configuration_id', sa.String(36), sa.ForeignKey('configurations.id'), primary_key=True
        ),
        sa.Column('configuration_key', sa.String(128), primary_key=True),
        sa.Column('configuration_value', sa.String(128)),
        sa.Column('deleted', sa.Boolean(), nullable=False),
        _time('deleted_at'),
    )


def _datastore_configuration_parameters() -> None:
    ops.ensure_table(
        'datastore_configuration_parameters',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('name', sa.String(128), primary_key=True),
        sa.Column(
            'datastore_version_id',
            sa.String(36),
            sa.ForeignKey('datastore_versions.id'),
            primary_key=True,
        ),
        sa.Column('restart_required', sa.Boolean(), nullable=False),
        sa.Column('max_size', sa.String(40)),
        sa.Column('min_size', sa.String(40)),
        sa.Column('data_type', sa.String(128), nullable=False),
        sa.UniqueConstraint(
            'datastore_version_id',
            'name',
            name='UQ_datastore_configuration_parameters_datastore_version_id_name',
        ),
    )


def _clusters() -> None:
    ops.ensure_table(
        'clusters',
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
    )
    ops.ensure_index('clusters_tenant_id', 'clusters', ['tenant_id'])
    ops.ensure_index('clusters_deleted', 'clusters', ['deleted'])


def _instances() -> None:
    ops.ensure_table(
        'instances',
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
        *_instance_references(),
        sa.Column('shard_id', sa.String(36)),
        sa.Column('type', sa.String(64)),
        sa.Column('region_id', sa.String(255)),
        sa.Column('encrypted_key', sa.String(255)),
        sa.Column('access', sa.Text()),
        sa.Column('ssl_mode', sa.String(16)),
        sa.Column('ssl_ref', sa.Text()),
    )
    ops.ensure_index('instances_tenant_id', 'instances', ['tenant_id'])
    ops.ensure_index('instances_deleted', 'instances', ['deleted'])
    ops.ensure_index('instances_cluster_id', 'instances', ['cluster_id'])


def _instance_references() -> tuple[sa.Column[Any], ...]:
    """Columns that lead to what an instance is made of, and is part of."""
    return (
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
        sa.Column(
            'slave_of_id', sa.String(36), sa.ForeignKey('instances.id', name='instances_ibfk_3')
        ),
        sa.Column(
            'cluster_id', sa.String(36), sa.ForeignKey('clusters.id', name='instances_ibfk_4')
        ),
    )


def _service_statuses() -> None:
    ops.ensure_table(
        'service_statuses',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('instance_id', sa.String(36), nullable=False),
        sa.Column('status_id', sa.Integer(), nullable=False),
        sa.Column('status_description', sa.String(64), nullable=False),
        _time('updated_at'),
    )
    ops.ensure_index('service_statuses_instance_id', 'service_statuses', ['instance_id'])


def _instance_faults() -> None:
    ops.ensure_table(
        'instance_faults',
        sa.Column('id', sa.String(64), primary_key=True),
        sa.Column(
            'instance_id',
            sa.String(64),
            sa.ForeignKey('instances.id', ondelete='CASCADE', onupdate='CASCADE'),
            nullable=False,
        ),
        sa.Column('message', sa.String(255), nullable=False),
        sa.Column(
            'details',
            sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql', 'mariadb'),
            nullable=False,
        ),
        _time('created', nullable=False),
        _time('updated', nullable=False),
        sa.Column('deleted', sa.Boolean(), nullable=False),
        _time('deleted_at'),
    )


def _backups() -> None:
    ops.ensure_table(
        'backups',
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
        sa.Column('deleted', sa.Boolean()),
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
    )
    ops.ensure_index('backups_instance_id', 'backups', ['instance_id'])
    ops.ensure_index('backups_deleted', 'backups', ['deleted'])
