# SPDX-License-Identifier: Apache-2.0
"""Changes that may be repeated: each looks first, and does what is missing.

MySQL commits every statement by itself, so a revision can die half way; the second run must carry on where the first ended.
Offline (printing SQL) there is nothing to look at, and all of it is printed.
"""
from typing import Any

import sqlalchemy as sa
from alembic import op

_STORAGE: dict[str, Any] = {'mysql_engine': 'InnoDB', 'mysql_charset': 'utf8mb4',
                            'mariadb_engine': 'InnoDB', 'mariadb_charset': 'utf8mb4'}


def _inspector() -> sa.Inspector | None:
    """None offline."""
    return None if op.get_context().as_sql else sa.inspect(op.get_bind())


def ensure_table(name: str, *items: sa.schema.SchemaItem) -> None:
    """Create the table unless there is one of that name; its columns are not compared."""
    inspector = _inspector()
    if inspector is None or not inspector.has_table(name):
        op.create_table(name, *items, **_STORAGE)


def ensure_column(table: str, column: sa.Column[Any]) -> None:
    """Add the column unless there is one of that name."""
    inspector = _inspector()
    if inspector is None or column.name not in {known['name'] for known in inspector.get_columns(table)}:
        op.add_column(table, column)


def ensure_index(name: str, table: str, columns: list[str], *, unique: bool = False) -> None:
    """Create the index unless there is one of that name."""
    inspector = _inspector()
    if inspector is None or name not in {known['name'] for known in inspector.get_indexes(table)}:
        op.create_index(name, table, columns, unique=unique)


def ensure_no_column(table: str, name: str) -> None:
    """Drop the column if there is one of that name."""
    inspector = _inspector()
    if inspector is None or name in {known['name'] for known in inspector.get_columns(table)}:
        op.drop_column(table, name)
