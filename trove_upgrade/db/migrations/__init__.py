# SPDX-License-Identifier: Apache-2.0
"""How our tables come to be: an expand and a contract branch of ours, and the standalone chain with
Trove's tables.

Each chain has a version table of its own, never Trove's `alembic_version`.  No revision has
`depends_on`: Alembic would drop the row of the branch that is depended upon, and nobody could tell
what has been run.  The runner knows the order.
"""
