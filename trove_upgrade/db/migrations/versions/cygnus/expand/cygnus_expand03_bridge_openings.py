# SPDX-License-Identifier: Apache-2.0
"""Ports that the bridge opens: `upgrade_bridge_openings`.

Expand.  The bridge refuses to open a port until the table is there.  A service of the release
before reads and writes none of it.
"""

import sqlalchemy as sa

from trove_upgrade.db.columns import JsonText, UtcDateTime
from trove_upgrade.db.migrations import ops

revision = 'cygnus_expand03'
down_revision = 'cygnus_expand02'
branch_labels = None
depends_on = None

_TABLE = 'upgrade_bridge_openings'


def upgrade() -> None:
    """A table with its indexes."""
    ops.ensure_table(
        _TABLE,
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
        'uq_upgrade_bridge_openings_open_port_id', _TABLE, ['open_port_id'], unique=True
    )
    ops.ensure_index('ix_upgrade_bridge_openings_run_id', _TABLE, ['run_id'])
    ops.ensure_index(
        'ix_upgrade_bridge_openings_state_lease_until', _TABLE, ['state', 'lease_until']
    )
