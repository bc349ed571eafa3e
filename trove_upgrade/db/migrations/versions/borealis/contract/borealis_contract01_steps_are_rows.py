# SPDX-License-Identifier: Apache-2.0
"""The JSON column of the steps goes: instance_upgrade_steps holds them.

Contract.
"""
revision = 'borealis_contract01'
down_revision = 'aurora_contract01'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet: the column is still written."""
