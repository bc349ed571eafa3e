# SPDX-License-Identifier: Apache-2.0
"""Tables of the bridge: its runs, their members, host keys of old guests, and the ports that are
open.

Expand.  The bridge refuses to work until the tables are there.  A service of the release before
reads and writes none of it.
"""

import sqlalchemy as sa

from trove_upgrade.db.columns import JsonText, UtcDateTime
from trove_upgrade.db.migrations import ops

revision = 'cygnus_expand03'
down_revision = 'cygnus_expand02'
branch_labels = None
depends_on = None

_MEMBERS = 'upgrade_bridge_members'
_OPENINGS = 'upgrade_bridge_openings'


def upgrade() -> None:
    """The openings come last: where they are, the rest is."""
    _runs()
    _members()
    ops.ensure_table(
        'upgrade_bridge_host_keys',
        sa.Column('server_id', sa.String(36), primary_key=True),
        sa.Column('host_key', sa.Text(), nullable=False),
        sa.Column('seen_at', UtcDateTime(), nullable=False),
    )
    _openings()


def _runs() -> None:
    ops.ensure_table(
        'upgrade_bridge_runs',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('scope', sa.String(16), nullable=False),
        sa.Column('created_at', UtcDateTime(), nullable=False),
        sa.Column('updated_at', UtcDateTime(), nullable=False),
        sa.Column('ended_at', UtcDateTime(), nullable=True),
    )


def _members() -> None:
    ops.ensure_table(
        _MEMBERS,
        sa.Column('run_id', sa.String(36), primary_key=True),
        sa.Column('instance_id', sa.String(36), primary_key=True),
        sa.Column('active_instance_id', sa.String(36), nullable=True),
        sa.Column('name', sa.String(255), nullable=False),
        sa.Column('project_id', sa.String(64), nullable=False),
        sa.Column('server_id', sa.String(36), nullable=True),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('step', sa.String(16), nullable=False),
        sa.Column('is_undoing', sa.Boolean(), nullable=False),
        sa.Column('generation', sa.Integer(), nullable=False),
        sa.Column('owner', sa.String(255), nullable=True),
        sa.Column('lease_until', UtcDateTime(), nullable=True),
        sa.Column('ended_at', UtcDateTime(), nullable=True),
        sa.Column('error_code', sa.String(64), nullable=True),
        sa.Column('cause', sa.Text(), nullable=True),
        sa.Column('facts', JsonText(), nullable=False),
        sa.Column('steps', JsonText(), nullable=False),
    )
    ops.ensure_index(
        'uq_upgrade_bridge_members_active_instance_id',
        _MEMBERS,
        ['active_instance_id'],
        unique=True,
    )


def _openings() -> None:
    ops.ensure_table(
        _OPENINGS,
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('run_id', sa.String(36), nullable=False),
        sa.Column('instance_id', sa.String(36), nullable=False),
        sa.Column('port_id', sa.String(36), nullable=False),
        sa.Column('open_port_id', sa.String(36), nullable=True),
        sa.Column('network_id', sa.String(36), nullable=False),
        sa.Column('project_id', sa.String(64), nullable=False),
        sa.Column('source', sa.String(64), nullable=False),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('created_at', UtcDateTime(), nullable=False),
        sa.Column('lease_until', UtcDateTime(), nullable=False),
        sa.Column('former_groups', JsonText(), nullable=True),
        sa.Column('group_id', sa.String(36), nullable=True),
        sa.Column('closed_at', UtcDateTime(), nullable=True),
        sa.Column('cause', sa.Text(), nullable=True),
    )
    ops.ensure_index(
        'uq_upgrade_bridge_openings_open_port_id', _OPENINGS, ['open_port_id'], unique=True
    )
    ops.ensure_index('ix_upgrade_bridge_openings_run_id', _OPENINGS, ['run_id'])
    ops.ensure_index(
        'ix_upgrade_bridge_openings_state_lease_until', _OPENINGS, ['state', 'lease_until']
    )
