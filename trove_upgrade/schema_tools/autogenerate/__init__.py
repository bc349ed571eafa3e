# SPDX-License-Identifier: Apache-2.0
"""Writes revisions: empty ones, or what has changed in the models, divided between expand, data
migration and contract.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from trove_upgrade.db import errors
from trove_upgrade.db.migrations import position
from trove_upgrade.db.migrations.chain import BRANCHES
from trove_upgrade.schema_tools.autogenerate.comparing import compare
from trove_upgrade.schema_tools.autogenerate.splitting import split
from trove_upgrade.schema_tools.autogenerate.writing import Tree, Written, write_empty, write_split

__all__ = ('Tree', 'Written', 'autogenerate', 'write_empty')


def autogenerate(
    tree: Tree,
    connection: sa.Connection,
    metadata: sa.MetaData,
    message: str,
    *,
    release: str | None = None,
    branches: Sequence[str] = BRANCHES,
) -> Written:
    """Compare the models with a database that is at the chain's heads, and write what leads from it
    to them; nothing, if nothing does.

    :raises SchemaOutOfOrder: the database is not at the heads; the exit code says what comes next.
    :raises RevisionNotWritten: the name of the release, or of a file, will not do.
    """
    where = position.read(connection, tree.chain)
    if where.next is not None:
        raise errors.SchemaOutOfOrder(
            exit_code=where.next.exit_code,
            asked='revision --autogenerate',
            found=where.describe(),
            next=where.next,
        )
    comparison = compare(connection, metadata, tree.chain)
    found = split(comparison)
    if found.is_empty:
        return Written((), found.warnings, ())
    return write_split(tree, found, comparison, message, release=release, branches=branches)
