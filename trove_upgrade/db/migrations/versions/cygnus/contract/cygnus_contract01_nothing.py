# SPDX-License-Identifier: Apache-2.0
"""Empty contract: cygnus only adds, and each release has a revision in each branch.

Contract.
"""

revision = 'cygnus_contract01'
down_revision = 'borealis_contract01'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change nothing; the module says why."""
