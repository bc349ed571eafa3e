# SPDX-License-Identifier: Apache-2.0
"""Pace of the bridge's runs: limits and waves of a run, place and wave of a member.

Expand.  The bridge refuses to work until the columns are there.  A run that was begun before has no
pace of its own, and its members are one wave.
"""

import sqlalchemy as sa

from trove_upgrade.db.columns import JsonText
from trove_upgrade.db.migrations import ops

revision = 'cygnus_expand04'
down_revision = 'cygnus_expand03'
branch_labels = None
depends_on = None

_RUNS = 'upgrade_bridge_runs'
_MEMBERS = 'upgrade_bridge_members'


def upgrade() -> None:
    """The wave comes last: where it is, the rest is."""
    ops.ensure_column(_RUNS, sa.Column('pace', JsonText(), nullable=True))
    ops.ensure_column(
        _RUNS, sa.Column('accepted_failures', sa.Integer(), nullable=False, server_default='0')
    )
    ops.ensure_column(_MEMBERS, sa.Column('node', sa.String(255), nullable=True))
    ops.ensure_column(_MEMBERS, sa.Column('hypervisor', sa.String(255), nullable=True))
    ops.ensure_column(_MEMBERS, sa.Column('wave', sa.Integer(), nullable=True))
