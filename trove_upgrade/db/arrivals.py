# SPDX-License-Identifier: Apache-2.0
"""Columns that this release's own expand adds, where it has not been run: services of this release
start on the release before's schema.

Such a column has UNTIL_EXPAND in the `info` of its model, with the value that counts until it is
there: it is read as that value, and writes leave it out.  A test compares the models that have it
with what the expand adds.
"""

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import UNTIL_EXPAND


def missing(database: Database, connection: sa.Connection, table: sa.Table) -> frozenset[str]:
    """Names of the columns that are still to come.  While there is one, every call looks: the
    expand may run at any moment.
    """
    arriving = {column.name for column in table.c if UNTIL_EXPAND in column.info}
    names = database.columns(connection, table.name)
    found = frozenset(arriving - names) if names else frozenset()
    if found:
        database.forget_columns()
    return found


def readable(column: sa.Column[Any], absent: Collection[str]) -> sa.ColumnElement[Any]:
    """Return the name for a SELECT: the column, or under its name the value that counts until it is
    there.
    """
    if column.name not in absent:
        return column
    return sa.literal(column.info[UNTIL_EXPAND], column.type).label(column.name)


def writable(values: Mapping[str, Any], absent: Collection[str]) -> dict[str, Any]:
    """Return the values that the table has a column for."""
    return {name: value for name, value in values.items() if name not in absent}
