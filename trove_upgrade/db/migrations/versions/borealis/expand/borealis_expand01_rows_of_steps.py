# SPDX-License-Identifier: Apache-2.0
"""The history of an upgrade's steps in rows of their own; what data migrations and schema runs
leave behind.

Expand.  `instance_upgrades.steps` stays the truth until the contract; `steps_at` says which of its
states has been copied.
"""

import sqlalchemy as sa

from trove_upgrade.db.columns import UtcDateTime
from trove_upgrade.db.migrations import ops

revision = 'borealis_expand01'
down_revision = 'aurora_expand01'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """New tables, and a column that may be empty: a writer of the release before does not see
    them.
    """
    _instance_upgrade_steps()
    _upgrade_data_migrations()
    _upgrade_schema_runs()
    ops.ensure_column('instance_upgrades', sa.Column('steps_at', UtcDateTime(), nullable=True))


def _instance_upgrade_steps() -> None:
    ops.ensure_table(
        'instance_upgrade_steps',
        sa.Column('upgrade_id', sa.String(36), primary_key=True),
        sa.Column('position', sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column('attempt', sa.Integer(), nullable=False),
        sa.Column('step', sa.String(16), nullable=False),
        sa.Column('started_at', UtcDateTime(), nullable=False),
        sa.Column('ended_at', UtcDateTime(), nullable=True),
        sa.Column('runs', sa.Integer(), nullable=False),
        sa.Column('outcome', sa.String(16), nullable=True),
        sa.Column('percent', sa.Integer(), nullable=True),
        sa.Column('message', sa.Text(), nullable=True),
    )


def _upgrade_data_migrations() -> None:
    ops.ensure_table(
        'upgrade_data_migrations',
        sa.Column('name', sa.String(64), primary_key=True),
        sa.Column('cursor', sa.String(255), nullable=False),
        sa.Column('found', sa.BigInteger(), nullable=False),
        sa.Column('done', sa.BigInteger(), nullable=False),
        sa.Column('rate', sa.Float(), nullable=True),
        sa.Column('started_at', UtcDateTime(), nullable=False),
        sa.Column('updated_at', UtcDateTime(), nullable=False),
        sa.Column('completed_at', UtcDateTime(), nullable=True),
    )


def _upgrade_schema_runs() -> None:
    ops.ensure_table(
        'upgrade_schema_runs',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('command', sa.String(64), nullable=False),
        sa.Column('holder', sa.String(255), nullable=False),
        sa.Column('from_version', sa.String(255), nullable=False),
        sa.Column('to_version', sa.String(255), nullable=True),
        sa.Column('reason', sa.Text(), nullable=True),
        sa.Column('outcome', sa.String(16), nullable=True),
        sa.Column('started_at', UtcDateTime(), nullable=False),
        sa.Column('ended_at', UtcDateTime(), nullable=True),
    )
