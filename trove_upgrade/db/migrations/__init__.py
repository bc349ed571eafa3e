# SPDX-License-Identifier: Apache-2.0
"""Making of our tables: an expand and a contract branch of ours, and the standalone chain with
Trove's tables.

Each chain has a version table of its own, never Trove's `alembic_version`.  No revision has
`depends_on`: Alembic would drop the row of the branch that is depended upon, and what has been run
could not be told.  The runner knows the order.
"""
