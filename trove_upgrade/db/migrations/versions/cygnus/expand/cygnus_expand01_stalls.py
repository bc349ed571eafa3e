# SPDX-License-Identifier: Apache-2.0
"""A count of late waits of workers for an upgrade: `instance_upgrades.stalls`.

Expand.  A claim may move to another taskmanager at any time, and what it learnt of a silent guest
moves with the row.  A service of the release before leaves the column out and as it is: its rows
count as prompt ones until this release has worked on them.
"""

import sqlalchemy as sa

from trove_upgrade.db.migrations import ops

revision = 'cygnus_expand01'
down_revision = 'borealis_expand01'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column with a server default: writers that do not know it go on."""
    ops.ensure_column(
        'instance_upgrades', sa.Column('stalls', sa.Integer(), nullable=False, server_default='0')
    )
