# SPDX-License-Identifier: Apache-2.0
"""Keys of guests, the counts of what was sent to each and dropped, and the key that the last
heartbeat came under.

Expand.  Services of this release read no key, and speak to every guest unsealed, until the tables
are there.  A service of the release before reads and writes none of it.
"""

import sqlalchemy as sa

from trove_upgrade.db.columns import UtcDateTime
from trove_upgrade.db.migrations import ops

revision = 'cygnus_expand02'
down_revision = 'cygnus_expand01'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The keys come last: where they are, the rest is."""
    ops.ensure_column('upgrade_guests', sa.Column('key_id', sa.String(36), nullable=True))
    _upgrade_guest_wires()
    _upgrade_guest_keys()


def _upgrade_guest_wires() -> None:
    ops.ensure_table(
        'upgrade_guest_wires',
        sa.Column('instance_id', sa.String(36), primary_key=True),
        sa.Column('sent', sa.BigInteger(), nullable=False, server_default='0'),
        sa.Column('dropped', sa.BigInteger(), nullable=False, server_default='0'),
    )


def _upgrade_guest_keys() -> None:
    ops.ensure_table(
        'upgrade_guest_keys',
        sa.Column('key_id', sa.String(36), primary_key=True),
        sa.Column('instance_id', sa.String(36), nullable=False),
        sa.Column('marker', sa.String(64), nullable=True),
        sa.Column('origin', sa.String(16), nullable=False),
        sa.Column('wrapped', sa.Text(), nullable=False),
        sa.Column('created_at', UtcDateTime(), nullable=False),
        sa.Column('proven_at', UtcDateTime(), nullable=True),
        sa.Column('session', sa.String(64), nullable=True),
        sa.Column('heard', sa.BigInteger(), nullable=False, server_default='0'),
    )
    ops.ensure_index(
        'uq_upgrade_guest_keys_instance_id_marker',
        'upgrade_guest_keys',
        ['instance_id', 'marker'],
        unique=True,
    )
