# SPDX-License-Identifier: Apache-2.0
"""Empty contract: aurora is the first release, and each release has a revision in each branch.

Contract.
"""

revision = 'aurora_contract01'
down_revision = None
branch_labels = ('contract',)
depends_on = None


def upgrade() -> None:
    """Change nothing; the module says why."""
