# SPDX-License-Identifier: Apache-2.0
"""Reader of typed operations, whatever SQL becomes of them: on SQLite a batch copies the whole
table to drop one column.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from alembic.operations import ops

from trove_upgrade.schema_tools.sql import reader
from trove_upgrade.schema_tools.sql.changes import Change, Kind


def changes_of(operation: ops.MigrateOperation, dialect: sa.Dialect) -> list[Change]:
    """Return the changes that the operation makes; one UNKNOWN for a kind of operation that another
    library has added.
    """
    for kind, read in _OPERATIONS.items():
        if isinstance(operation, kind):
            return list(read(operation, dialect))
    return [Change(kind=Kind.UNKNOWN, detail=type(operation).__name__)]


def _create_table(operation: ops.CreateTableOp, _dialect: sa.Dialect) -> Iterator[Change]:
    keys = [
        key
        for column in operation.columns
        if isinstance(column, sa.Column)
        for key in column.foreign_keys
    ]
    keys += [
        key
        for constraint in operation.columns
        if isinstance(constraint, sa.ForeignKeyConstraint)
        for key in constraint.elements
    ]
    yield Change(
        kind=Kind.CREATE_TABLE,
        table=operation.table_name,
        guarded=bool(operation.if_not_exists),
        references=_tables_of(keys),
    )


def _drop_table(operation: ops.DropTableOp, _dialect: sa.Dialect) -> Iterator[Change]:
    yield Change(
        kind=Kind.DROP_TABLE, table=operation.table_name, guarded=bool(operation.if_exists)
    )


def _rename_table(operation: ops.RenameTableOp, _dialect: sa.Dialect) -> Iterator[Change]:
    yield Change(
        kind=Kind.RENAME_TABLE,
        table=operation.table_name,
        name=operation.table_name,
        new_name=str(operation.new_table_name),
    )


def _add_column(operation: ops.AddColumnOp, dialect: sa.Dialect) -> Iterator[Change]:
    column = operation.column
    default = (
        column.server_default is not None
        or column.computed is not None
        or column.identity is not None
    )
    yield Change(
        kind=Kind.ADD_COLUMN,
        table=operation.table_name,
        name=column.name,
        type=_type(column.type, dialect),
        not_null=not column.nullable,
        default=default,
        unique=bool(column.unique),
        guarded=bool(operation.if_not_exists),
        references=_tables_of(column.foreign_keys),
    )


def _drop_column(operation: ops.DropColumnOp, _dialect: sa.Dialect) -> Iterator[Change]:
    yield Change(
        kind=Kind.DROP_COLUMN,
        table=operation.table_name,
        name=operation.column_name,
        guarded=bool(operation.if_exists),
    )


def _alter_column(operation: ops.AlterColumnOp, dialect: sa.Dialect) -> Iterator[Change]:
    table, name = operation.table_name, operation.column_name
    if operation.modify_type is not None:
        yield Change(
            kind=Kind.SET_TYPE,
            table=table,
            name=name,
            type=_type(sa.types.to_instance(operation.modify_type), dialect),
        )
    if operation.modify_nullable is not None:
        yield Change(
            kind=Kind.DROP_NOT_NULL if operation.modify_nullable else Kind.SET_NOT_NULL,
            table=table,
            name=name,
        )
    if operation.modify_server_default is not False:
        yield Change(
            kind=Kind.DROP_DEFAULT if operation.modify_server_default is None else Kind.SET_DEFAULT,
            table=table,
            name=name,
        )
    if operation.modify_name is not None and operation.modify_name != name:
        yield Change(
            kind=Kind.RENAME_COLUMN, table=table, name=name, new_name=operation.modify_name
        )


def _create_index(operation: ops.CreateIndexOp, _dialect: sa.Dialect) -> Iterator[Change]:
    columns = tuple(column for column in operation.columns if isinstance(column, str))
    prefix = str(
        operation.kw.get('mysql_prefix') or operation.kw.get('mariadb_prefix') or ''
    ).upper()
    yield Change(
        kind=Kind.CREATE_INDEX,
        table=operation.table_name,
        name=operation.index_name or '',
        columns=columns,
        unique=bool(operation.unique),
        concurrently=bool(operation.kw.get('postgresql_concurrently')),
        guarded=bool(operation.if_not_exists),
        locks=prefix in {'FULLTEXT', 'SPATIAL'},
    )


def _drop_index(operation: ops.DropIndexOp, _dialect: sa.Dialect) -> Iterator[Change]:
    yield Change(
        kind=Kind.DROP_INDEX,
        table=operation.table_name or '',
        name=str(operation.index_name),
        guarded=bool(operation.if_exists),
        concurrently=bool(operation.kw.get('postgresql_concurrently')),
    )


def _add_constraint(operation: ops.AddConstraintOp, _dialect: sa.Dialect) -> Iterator[Change]:
    kinds: dict[Any, Kind] = {
        ops.CreatePrimaryKeyOp: Kind.ADD_PRIMARY_KEY,
        ops.CreateUniqueConstraintOp: Kind.ADD_UNIQUE,
        ops.CreateForeignKeyOp: Kind.ADD_FOREIGN_KEY,
        ops.CreateCheckConstraintOp: Kind.ADD_CHECK,
    }
    kind = next((known for op, known in kinds.items() if isinstance(operation, op)), Kind.UNKNOWN)
    facts: Any = operation
    foreign = kind is Kind.ADD_FOREIGN_KEY
    columns = facts.local_cols if foreign else getattr(facts, 'columns', ())
    yield Change(
        kind=kind,
        table=facts.source_table if foreign else facts.table_name,
        name=str(facts.constraint_name or ''),
        columns=tuple(columns),
        unique=kind in {Kind.ADD_PRIMARY_KEY, Kind.ADD_UNIQUE},
        references=(facts.referent_table,) if foreign else (),
        concurrently=bool(getattr(facts, 'kw', {}).get('postgresql_using_index')),
    )


def _drop_constraint(operation: ops.DropConstraintOp, _dialect: sa.Dialect) -> Iterator[Change]:
    kind = Kind.DROP_PRIMARY_KEY if operation.constraint_type == 'primary' else Kind.DROP_CONSTRAINT
    yield Change(
        kind=kind,
        table=operation.table_name,
        name=str(operation.constraint_name or ''),
        guarded=bool(operation.if_exists),
    )


def _comment(operation: Any, _dialect: sa.Dialect) -> Iterator[Change]:
    yield Change(kind=Kind.COMMENT, table=operation.table_name)


def _rows(operation: ops.BulkInsertOp, _dialect: sa.Dialect) -> Iterator[Change]:
    yield Change(kind=Kind.INSERT, table=operation.table.name)


def _raw(operation: ops.ExecuteSQLOp, dialect: sa.Dialect) -> Iterator[Change]:
    text = operation.sqltext
    sent = text if isinstance(text, str) else str(text.compile(dialect=dialect))  # type: ignore[attr-defined]
    yield from reader.read(sent, dialect.name).changes


def _tables_of(keys: Iterable[sa.ForeignKey]) -> tuple[str, ...]:
    return tuple(key.target_fullname.rpartition('.')[0] for key in keys)


def _type(found: Any, dialect: sa.Dialect) -> str:
    return str(found.compile(dialect=dialect))


_OPERATIONS: dict[Any, Callable[[Any, sa.Dialect], Iterator[Change]]] = {
    ops.CreateTableOp: _create_table,
    ops.DropTableOp: _drop_table,
    ops.RenameTableOp: _rename_table,
    ops.AddColumnOp: _add_column,
    ops.DropColumnOp: _drop_column,
    ops.AlterColumnOp: _alter_column,
    ops.CreateIndexOp: _create_index,
    ops.DropIndexOp: _drop_index,
    ops.AddConstraintOp: _add_constraint,
    ops.DropConstraintOp: _drop_constraint,
    ops.CreateTableCommentOp: _comment,
    ops.DropTableCommentOp: _comment,
    ops.BulkInsertOp: _rows,
    ops.ExecuteSQLOp: _raw,
}
