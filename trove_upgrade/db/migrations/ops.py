# SPDX-License-Identifier: Apache-2.0
"""Changes that may be repeated: each looks first, and does what is missing.

MySQL commits every statement by itself, so a revision can die half way; the second run must carry
on where the first ended. Offline (printing SQL) there is nothing to look at, and all of it is
printed.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

_STORAGE: dict[str, Any] = {
    'mysql_engine': 'InnoDB',
    'mysql_charset': 'utf8mb4',
    'mariadb_engine': 'InnoDB',
    'mariadb_charset': 'utf8mb4',
}


def _inspector() -> sa.Inspector | None:
    """Return an inspector of the database; None where only SQL is printed."""
    return None if op.get_context().as_sql else sa.inspect(op.get_bind())


def ensure_table(name: str, *items: sa.schema.SchemaItem) -> None:
    """Create the table unless there is one of that name; its columns are not compared."""
    inspector = _inspector()
    if inspector is None or not inspector.has_table(name):
        op.create_table(name, *items, **_STORAGE)


def ensure_column(table: str, column: sa.Column[Any]) -> None:
    """Add the column unless there is one of that name."""
    inspector = _inspector()
    if inspector is None or column.name not in {
        known['name'] for known in inspector.get_columns(table)
    }:
        # SQLite adds no column that it would have to compute
        if column.computed is not None and op.get_context().dialect.name == 'sqlite':
            with _altering(table) as target:
                target.add_column(column)
            return
        op.add_column(table, column)


def ensure_index(
    name: str, table: str, columns: Sequence[Any], *, unique: bool = False, **options: Any
) -> None:
    """Create the index unless there is one of that name: for a table that the same revision makes.
    `options` are those of a dialect.
    """
    inspector = _inspector()
    if inspector is None or name not in {known['name'] for known in inspector.get_indexes(table)}:
        op.create_index(name, table, columns, unique=unique, **options)


def ensure_index_online(
    name: str, table: str, columns: Sequence[Any], *, unique: bool = False, **options: Any
) -> None:
    """Make an index of a table that has rows, and writers that must not wait.

    PostgreSQL builds it CONCURRENTLY, outside of any transaction; an INVALID one that a killed
    build has left goes first.  MySQL builds while others write anyway.
    """
    if op.get_context().dialect.name != 'postgresql':
        ensure_index(name, table, columns, unique=unique, **options)
        return
    offline = op.get_context().as_sql
    valid = None if offline else _is_valid(name)
    if valid:
        return
    with op.get_context().autocommit_block():
        if offline or valid is False:
            op.drop_index(name, table_name=table, postgresql_concurrently=True, if_exists=True)
        op.create_index(
            name, table, columns, unique=unique, postgresql_concurrently=True, **options
        )


def _is_valid(index: str) -> bool | None:
    """PostgreSQL's word; None where there is no such index."""
    query = sa.text(
        'SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = '
        'to_regclass(quote_ident(:name))'
    )
    return op.get_bind().execute(query, {'name': index}).scalar_one_or_none()


def ensure_no_column(table: str, name: str) -> None:
    """Drop the column if there is one of that name."""
    inspector = _inspector()
    if inspector is None or name in {known['name'] for known in inspector.get_columns(table)}:
        op.drop_column(table, name)


def ensure_no_index(name: str, table: str) -> None:
    """Drop the index if there is one of that name."""
    inspector = _inspector()
    if inspector is None or name in {known['name'] for known in inspector.get_indexes(table)}:
        op.drop_index(name, table_name=table)


def ensure_no_table(name: str) -> None:
    """Drop the table, and its rows, if there is one of that name."""
    inspector = _inspector()
    if inspector is None or inspector.has_table(name):
        op.drop_table(name)


def ensure_nullable(table: str, column: sa.Column[Any]) -> None:
    """Let the column be NULL; `column` is its whole definition, as MySQL states all of it anew."""
    _ensure_nullability(table, column, nullable=True)


def ensure_not_null(table: str, column: sa.Column[Any]) -> None:
    """Forbid NULL in the column, of which `column` is the whole definition; rows with a NULL make
    the server refuse.
    """
    _ensure_nullability(table, column, nullable=False)


def ensure_type(table: str, column: sa.Column[Any], *, using: str | None = None) -> None:
    """Give the column the type of `column`, its whole definition; `using` is PostgreSQL's
    expression for what it does not convert by itself.
    """
    known = _known_column(table, column)
    if known is not None and not op.get_context().impl.compare_type(
        sa.Column(column.name, known['type']), column
    ):
        return
    with _altering(table) as target:
        target.alter_column(
            column.name,
            type_=column.type,
            existing_nullable=column.nullable,
            existing_server_default=_default(column),
            existing_comment=column.comment,
            postgresql_using=using,
        )


def ensure_default(table: str, column: sa.Column[Any]) -> None:
    """Give the column the server's default of `column`, its whole definition, or none.

    Whether it has another one already is not looked at: servers write it in words of their own, and
    the change costs nothing.
    """
    known = _known_column(table, column)
    if known is not None and known['default'] is None and column.server_default is None:
        return
    with _altering(table) as target:
        target.alter_column(
            column.name,
            server_default=_default(column),
            existing_type=column.type,
            existing_nullable=column.nullable,
            existing_comment=column.comment,
        )


def ensure_column_comment(table: str, column: sa.Column[Any]) -> None:
    """Give the column the comment of `column`, its whole definition, or none.  SQLite has no
    comments.
    """
    if op.get_context().dialect.supports_comments:
        op.alter_column(
            table,
            column.name,
            comment=column.comment,
            existing_type=column.type,
            existing_nullable=column.nullable,
            existing_server_default=_default(column),
        )


def ensure_table_comment(table: str, comment: str | None) -> None:
    """Give the table that comment, or none.  SQLite has no comments."""
    if not op.get_context().dialect.supports_comments:
        return
    if comment is None:
        op.drop_table_comment(table)
    else:
        op.create_table_comment(table, comment)


def ensure_constraint(table: str, constraint: sa.Constraint) -> None:
    """Add a UNIQUE, FOREIGN KEY or CHECK unless there is one of its name; it needs a name."""
    if constraint.name in _constraint_names(table):
        return
    name = str(constraint.name)
    if (
        isinstance(constraint, sa.UniqueConstraint)
        and op.get_context().dialect.name == 'postgresql'
    ):
        # writers wait for the naming alone
        ensure_index_online(name, table, _columns(constraint), unique=True)
        quote = op.get_context().dialect.identifier_preparer.quote
        op.execute(
            f'ALTER TABLE {quote(table)} ADD CONSTRAINT {quote(name)} UNIQUE USING INDEX '
            f'{quote(name)}'
        )
        return
    with _altering(table) as target:
        where: tuple[str, ...] = () if op.get_context().dialect.name == 'sqlite' else (table,)
        if isinstance(constraint, sa.UniqueConstraint):
            target.create_unique_constraint(name, *where, _columns(constraint))
        elif isinstance(constraint, sa.ForeignKeyConstraint):
            referent = constraint.elements[0].target_fullname.rpartition('.')[0]
            target.create_foreign_key(
                name,
                *where,
                referent,
                list(constraint.column_keys),
                [key.target_fullname.rpartition('.')[2] for key in constraint.elements],
                onupdate=constraint.onupdate,
                ondelete=constraint.ondelete,
            )
        elif isinstance(constraint, sa.CheckConstraint):
            target.create_check_constraint(name, *where, constraint.sqltext)


def ensure_no_constraint(name: str, table: str, kind: str) -> None:
    """Drop the constraint if there is one of that name; `kind` is unique, foreignkey or check, as
    Alembic says it.
    """
    known = _constraint_names(table)
    if op.get_context().as_sql or name in known:
        with _altering(table) as target:
            where: tuple[str, ...] = () if op.get_context().dialect.name == 'sqlite' else (table,)
            target.drop_constraint(name, *where, type_=kind)


def _ensure_nullability(table: str, column: sa.Column[Any], *, nullable: bool) -> None:
    known = _known_column(table, column)
    if known is None or known['nullable'] != nullable:
        with _altering(table) as target:
            target.alter_column(
                column.name,
                nullable=nullable,
                existing_type=column.type,
                existing_server_default=_default(column),
                existing_comment=column.comment,
            )


@contextlib.contextmanager
def _altering(table: str) -> Iterator[Any]:
    """Yield what alters a table: SQLite copies it into its new form, and what a killed copy has
    left goes first.
    """
    if op.get_context().dialect.name != 'sqlite':
        yield _Altering(table)
        return
    inspector = _inspector()
    if inspector is not None and inspector.has_table(f'_alembic_tmp_{table}'):
        op.drop_table(f'_alembic_tmp_{table}')
    with op.batch_alter_table(
        table, copy_from=None if inspector is None else _reflected(table)
    ) as batch:
        yield batch


def _reflected(table: str) -> sa.Table:
    """A batch copies constraints in the order in which they come: an order of its own would be
    another schema each time.
    """
    found = sa.Table(table, sa.MetaData(), autoload_with=op.get_bind(), resolve_fks=False)
    found.constraints = sa.util.OrderedSet(
        sorted(found.constraints, key=lambda one: (type(one).__name__, str(one.name)))
    )
    found.indexes = sa.util.OrderedSet(sorted(found.indexes, key=lambda one: str(one.name)))
    return found


class _Altering:
    """Alembic's operations, which take the table's name where a batch knows it."""

    def __init__(self, table: str) -> None:
        self._table = table

    def alter_column(self, name: str, **changes: Any) -> None:
        """Alter a column at once, with the signature that a batch has."""
        op.alter_column(self._table, name, **changes)

    def __getattr__(self, name: str) -> Any:
        return getattr(op, name)


def _known_column(table: str, column: sa.Column[Any]) -> Any:
    """Return a column as the server describes it; None offline."""
    inspector = _inspector()
    return (
        None
        if inspector is None
        else next(known for known in inspector.get_columns(table) if known['name'] == column.name)
    )


def _default(column: sa.Column[Any]) -> Any:
    """Return a column's server default in the form that alter_column takes."""
    return (
        column.server_default.arg
        if isinstance(column.server_default, sa.DefaultClause)
        else column.server_default
    )


def _columns(constraint: sa.UniqueConstraint) -> list[str]:
    """Their names; a constraint that belongs to no table yet has nothing else."""
    return [
        one if isinstance(one, str) else one.name
        for one in constraint._pending_colargs  # noqa: SLF001
        if one is not None
    ]


def _constraint_names(table: str) -> set[Any]:
    """Return the names of the table's constraints of every kind; none offline."""
    inspector = _inspector()
    if inspector is None:
        return set()
    return {
        known['name']
        for found in (
            inspector.get_unique_constraints(table),
            inspector.get_foreign_keys(table),
            inspector.get_check_constraints(table),
        )
        for known in found
    }
