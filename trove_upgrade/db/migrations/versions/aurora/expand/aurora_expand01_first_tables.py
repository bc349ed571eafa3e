# SPDX-License-Identifier: Apache-2.0
"""The tables of the first release.

Expand.
"""

import sqlalchemy as sa

from trove_upgrade.db.columns import JsonText, UtcDateTime
from trove_upgrade.db.migrations import ops

revision = 'aurora_expand01'
down_revision = None
branch_labels = ('expand',)
depends_on = None


def upgrade() -> None:
    _instance_upgrades()
    _instance_upgrades_indexes()
    _upgrade_outbox()
    _upgrade_services()
    _upgrade_guests()
    _upgrade_checks()
    _upgrade_target_facts()


def _instance_upgrades() -> None:
    ops.ensure_table(
        'instance_upgrades',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('instance_id', sa.String(36), nullable=False),
        sa.Column('active_instance_id', sa.String(36), nullable=True),
        sa.Column('project_id', sa.String(64), nullable=False),
        sa.Column('instance_name', sa.String(255), nullable=False),
        sa.Column('server_id', sa.String(36), nullable=False),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('step', sa.String(16), nullable=False),
        sa.Column('attempt', sa.Integer(), nullable=False),
        sa.Column('rebuild_attempt', sa.Integer(), nullable=False),
        sa.Column('former_version_id', sa.String(36), nullable=False),
        sa.Column('target_version_id', sa.String(36), nullable=False),
        sa.Column('former_image_id', sa.String(36), nullable=True),
        sa.Column('target_image_id', sa.String(36), nullable=False),
        sa.Column('datastore_manager', sa.String(255), nullable=False),
        sa.Column('target_number', sa.String(255), nullable=False),
        sa.Column('generation', sa.Integer(), nullable=False),
        sa.Column('created_at', UtcDateTime(), nullable=False),
        sa.Column('updated_at', UtcDateTime(), nullable=False),
        sa.Column('owner', sa.String(255), nullable=True),
        sa.Column('lease_until', UtcDateTime(), nullable=True),
        sa.Column('next_run_at', UtcDateTime(), nullable=True),
        sa.Column('step_deadline', UtcDateTime(), nullable=True),
        sa.Column('ended_at', UtcDateTime(), nullable=True),
        sa.Column('steps', JsonText(), nullable=False),
        sa.Column('data', JsonText(), nullable=False),
        sa.Column('cause', sa.Text(), nullable=True),
        sa.Column('error_code', sa.String(64), nullable=True),
        sa.Column('request_id', sa.String(64), nullable=True),
        sa.Column('user_id', sa.String(64), nullable=True),
    )


def _instance_upgrades_indexes() -> None:
    ops.ensure_index(
        'uq_instance_upgrades_active_instance_id',
        'instance_upgrades',
        ['active_instance_id'],
        unique=True,
    )
    ops.ensure_index(
        'ix_instance_upgrades_instance_id_created_at',
        'instance_upgrades',
        ['instance_id', 'created_at'],
    )
    ops.ensure_index(
        'ix_instance_upgrades_project_id_created_at',
        'instance_upgrades',
        ['project_id', 'created_at'],
    )
    ops.ensure_index(
        'ix_instance_upgrades_state_next_run_at', 'instance_upgrades', ['state', 'next_run_at']
    )


def _upgrade_outbox() -> None:
    ops.ensure_table(
        'upgrade_outbox',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('upgrade_id', sa.String(36), nullable=False),
        sa.Column('attempt', sa.Integer(), nullable=False),
        sa.Column('position', sa.Integer(), nullable=False),
        sa.Column('kind', sa.String(16), nullable=False),
        sa.Column('receiver', sa.String(16), nullable=False),
        sa.Column('payload', JsonText(), nullable=False),
        sa.Column('created_at', UtcDateTime(), nullable=False),
        sa.Column('next_try_at', UtcDateTime(), nullable=False),
        sa.Column('tries', sa.Integer(), nullable=False),
        sa.Column('sent_at', UtcDateTime(), nullable=True),
    )
    ops.ensure_index(
        'uq_upgrade_outbox_upgrade_id_attempt_position',
        'upgrade_outbox',
        ['upgrade_id', 'attempt', 'position'],
        unique=True,
    )
    ops.ensure_index(
        'ix_upgrade_outbox_sent_at_next_try_at', 'upgrade_outbox', ['sent_at', 'next_try_at']
    )


def _upgrade_services() -> None:
    ops.ensure_table(
        'upgrade_services',
        sa.Column('host', sa.String(255), primary_key=True),
        sa.Column('binary', sa.String(64), primary_key=True),
        sa.Column('registration', sa.String(36), nullable=False),
        sa.Column('version', sa.String(64), nullable=False),
        sa.Column('started_at', UtcDateTime(), nullable=False),
        sa.Column('seen_at', UtcDateTime(), nullable=False),
    )


def _upgrade_guests() -> None:
    ops.ensure_table(
        'upgrade_guests',
        sa.Column('instance_id', sa.String(36), primary_key=True),
        sa.Column('image_id', sa.String(36), nullable=True),
        sa.Column('boot_id', sa.String(64), nullable=True),
        sa.Column('marker', sa.String(64), nullable=True),
        sa.Column('restored', sa.Boolean(), nullable=True),
        sa.Column('agent_version', sa.String(64), nullable=True),
        sa.Column('server_version', sa.String(255), nullable=True),
        sa.Column('server_state', sa.String(16), nullable=True),
        sa.Column('seen_at', UtcDateTime(), nullable=True),
    )


def _upgrade_checks() -> None:
    ops.ensure_table(
        'upgrade_checks',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('instance_id', sa.String(36), nullable=False),
        sa.Column('project_id', sa.String(64), nullable=False),
        sa.Column('target_version_id', sa.String(36), nullable=False),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('created_at', UtcDateTime(), nullable=False),
        sa.Column('updated_at', UtcDateTime(), nullable=False),
        sa.Column('owner', sa.String(255), nullable=True),
        sa.Column('lease_until', UtcDateTime(), nullable=True),
        sa.Column('results', JsonText(), nullable=False),
        sa.Column('cause', sa.Text(), nullable=True),
        sa.Column('error_code', sa.String(64), nullable=True),
    )
    ops.ensure_index('ix_upgrade_checks_instance_id', 'upgrade_checks', ['instance_id'])
    ops.ensure_index('ix_upgrade_checks_state', 'upgrade_checks', ['state'])


def _upgrade_target_facts() -> None:
    ops.ensure_table(
        'upgrade_target_facts',
        sa.Column('version_id', sa.String(36), primary_key=True),
        sa.Column('facts', JsonText(), nullable=False),
        sa.Column('updated_at', UtcDateTime(), nullable=False),
    )
