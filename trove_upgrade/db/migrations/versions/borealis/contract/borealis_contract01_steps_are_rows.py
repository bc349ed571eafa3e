# SPDX-License-Identifier: Apache-2.0
"""The JSON column of the steps goes: instance_upgrade_steps holds them.

Contract.  Between its two statements the column `steps` must be the one that is gone: what has it
without `steps_at` counts as a database of the release before.
"""

from trove_upgrade.db.migrations import ops

revision = 'borealis_contract01'
down_revision = 'aurora_contract01'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A writer of this release that is caught between the two forms looks again; one of the release
    before must be gone.
    """
    ops.ensure_no_column('instance_upgrades', 'steps')
    ops.ensure_no_column('instance_upgrades', 'steps_at')
