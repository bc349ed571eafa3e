# SPDX-License-Identifier: Apache-2.0
"""A schema as a sequence of operations leaves it: what a database at some revision should look
like, on any server.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from alembic.operations import ops


class SchemaModel:
    """Tables to which operations are applied one by one.

    What does not fit is passed over, as a dropped table that is not there: the model describes, and
    a lint refuses.
    """

    def __init__(self, metadata: sa.MetaData | None = None) -> None:
        self.metadata = metadata or sa.MetaData()

    def apply(
        self, operation: ops.MigrateOperation, tables: Mapping[str, sa.Table] = MappingProxyType({})
    ) -> None:
        """Raw SQL and inserted rows leave the model as it is; `tables` are those that recorded
        operations have made.
        """
        if isinstance(operation, ops.CreateTableOp):
            _copied(tables.get(operation.table_name, operation.to_table()), self.metadata)
        elif isinstance(
            operation,
            ops.AlterTableOp
            | ops.DropTableOp
            | ops.AddConstraintOp
            | ops.DropConstraintOp
            | ops.CreateIndexOp
            | ops.DropIndexOp,
        ):
            table = self._table(operation)
            if table is not None:
                self._change(table, operation)

    def _table(self, operation: Any) -> sa.Table | None:
        name = getattr(operation, 'table_name', None) or getattr(operation, 'source_table', None)
        if name is not None:
            schema = getattr(operation, 'schema', None)
            return self.metadata.tables.get(f'{schema}.{name}' if schema else name)
        for table in self.metadata.tables.values():  # DROP INDEX need not name the table
            if any(index.name == operation.index_name for index in table.indexes):
                return table
        return None

    def _change(self, table: sa.Table, operation: ops.MigrateOperation) -> None:
        changes: dict[Any, Callable[[sa.Table, Any], None]] = {
            ops.DropTableOp: self._drop_table,
            ops.RenameTableOp: self._rename_table,
            ops.AddColumnOp: self._add_column,
            ops.DropColumnOp: self._drop_column,
            ops.AlterColumnOp: self._alter_column,
            ops.AddConstraintOp: self._add_constraint,
            ops.DropConstraintOp: self._drop_constraint,
            ops.CreateIndexOp: self._create_index,
            ops.DropIndexOp: self._drop_index,
            ops.CreateTableCommentOp: self._comment_table,
            ops.DropTableCommentOp: self._comment_table,
        }
        for kind, change in changes.items():
            if isinstance(operation, kind):
                change(table, operation)
                return

    def _drop_table(self, table: sa.Table, _operation: ops.DropTableOp) -> None:
        self.metadata.remove(table)

    def _rename_table(self, table: sa.Table, operation: ops.RenameTableOp) -> None:
        table.to_metadata(self.metadata, name=operation.new_table_name)
        self.metadata.remove(table)

    def _add_column(self, table: sa.Table, operation: ops.AddColumnOp) -> None:
        if operation.column.name not in table.c:
            table.append_column(operation.column._copy())  # noqa: SLF001 - SQLAlchemy has no other copy of a column

    def _drop_column(self, table: sa.Table, operation: ops.DropColumnOp) -> None:
        self._rebuild(
            table, [column for column in table.columns if column.name != operation.column_name]
        )

    def _alter_column(self, table: sa.Table, operation: ops.AlterColumnOp) -> None:
        column = table.columns.get(operation.column_name)
        if column is None:
            return
        if operation.modify_nullable is not None:
            column.nullable = operation.modify_nullable
        if operation.modify_type is not None:
            column.type = sa.types.to_instance(operation.modify_type)
        if operation.modify_server_default is not False:
            default = operation.modify_server_default
            column.server_default = (
                sa.DefaultClause(default) if isinstance(default, str | sa.TextClause) else default
            )
        if operation.modify_comment is not False:
            column.comment = operation.modify_comment
        if operation.modify_name is not None:
            self._rebuild(
                table, list(table.columns), {operation.column_name: operation.modify_name}
            )

    def _add_constraint(self, table: sa.Table, operation: ops.AddConstraintOp) -> None:
        if not isinstance(operation, ops.CreatePrimaryKeyOp):
            constraint = operation.to_constraint()
            table.append_constraint(constraint._copy(target_table=table))  # noqa: SLF001 - as Table.to_metadata does it
            return
        for name in operation.columns:
            table.c[name].primary_key, table.c[name].nullable = True, False
        table.append_constraint(
            sa.PrimaryKeyConstraint(
                *[table.c[name] for name in operation.columns],
                name=_name(operation.constraint_name),
            )
        )

    def _drop_constraint(self, table: sa.Table, operation: ops.DropConstraintOp) -> None:
        if operation.constraint_type == 'primary':
            for column in table.primary_key.columns:
                column.primary_key = False
            table.append_constraint(sa.PrimaryKeyConstraint())
            return
        for constraint in [
            one for one in table.constraints if one.name == operation.constraint_name
        ]:
            table.constraints.discard(constraint)
            # each column has its own part of it
            if isinstance(constraint, sa.ForeignKeyConstraint):
                for key in constraint.elements:
                    key.parent.foreign_keys.discard(key)
                    table.foreign_keys.discard(key)

    def _create_index(self, table: sa.Table, operation: ops.CreateIndexOp) -> None:
        _indexed(
            table,
            operation.index_name,
            operation.columns,
            unique=operation.unique,
            options=dict(operation.kw),
        )

    def _drop_index(self, table: sa.Table, operation: ops.DropIndexOp) -> None:
        table.indexes -= {index for index in table.indexes if index.name == operation.index_name}

    def _comment_table(
        self, table: sa.Table, operation: ops.CreateTableCommentOp | ops.DropTableCommentOp
    ) -> None:
        table.comment = (
            operation.comment if isinstance(operation, ops.CreateTableCommentOp) else None
        )

    def _rebuild(
        self,
        table: sa.Table,
        columns: Sequence[sa.Column[Any]],
        renamed: dict[str, str] | None = None,
    ) -> None:
        """The table anew, of these columns; constraints and indexes that need another column go
        with it, as on the servers.
        """
        names = {column.name: (renamed or {}).get(column.name, column.name) for column in columns}
        self.metadata.remove(table)
        copies = [column._copy() for column in columns]  # noqa: SLF001 - as above
        for copy in copies:
            copy.key = copy.name = names[copy.name]
            copy.index = copy.unique = None  # their indexes and constraints are copied below
        fresh = sa.Table(
            table.name,
            self.metadata,
            *copies,
            schema=table.schema,
            comment=table.comment,
            **table.kwargs,
        )
        for constraint in table.constraints:
            if all(column.name in names for column in _columns_of(constraint)):
                _constrained(fresh, constraint, names)
        for index in table.indexes:
            if all(column.name in names for column in index.columns):
                _indexed(
                    fresh,
                    index.name,
                    [names.get(getattr(part, 'name', ''), part) for part in index.expressions],
                    unique=bool(index.unique),
                    options=dict(index.kwargs),
                )


def _name(name: Any) -> str | None:
    """SQLAlchemy's mark for "no name, whatever the convention" is no string."""
    return name if isinstance(name, str) else None


def _columns_of(constraint: sa.Constraint) -> Sequence[sa.Column[Any]]:
    """Return a constraint's columns; none where it is written as a text."""
    return (
        list(constraint.columns)
        if isinstance(constraint, sa.schema.ColumnCollectionConstraint)
        else []
    )


def _copied(table: sa.Table, metadata: sa.MetaData) -> None:
    if table.key not in metadata.tables:
        table.to_metadata(metadata)


def _indexed(
    table: sa.Table,
    name: str | None,
    columns: Sequence[Any],
    *,
    unique: bool,
    options: dict[str, Any],
) -> None:
    if any(index.name == name for index in table.indexes):
        return
    parts = [
        table.c[column] if isinstance(column, str) and column in table.c else column
        for column in columns
    ]
    parts = [sa.text(part) if isinstance(part, str) else part for part in parts]
    # those of a dialect: mysql_length, postgresql_where
    options = {key: value for key, value in options.items() if '_' in key}
    index = sa.Index(name, *parts, unique=unique, **options)
    if index.table is None:
        table.append_constraint(index)


def _constrained(table: sa.Table, constraint: sa.Constraint, names: dict[str, str]) -> None:
    """Add a constraint of one table to another table, with other names of columns where needed; a
    type's own constraints come by themselves.
    """
    if getattr(constraint, '_type_bound', False):
        return
    columns = [names[column.name] for column in _columns_of(constraint)]
    if isinstance(constraint, sa.PrimaryKeyConstraint):
        if columns:
            table.append_constraint(
                sa.PrimaryKeyConstraint(
                    *[table.c[name] for name in columns], name=_name(constraint.name)
                )
            )
    elif isinstance(constraint, sa.UniqueConstraint):
        table.append_constraint(sa.UniqueConstraint(*columns, name=constraint.name))
    elif isinstance(constraint, sa.ForeignKeyConstraint):
        targets = [key.target_fullname for key in constraint.elements]
        table.append_constraint(
            sa.ForeignKeyConstraint(
                columns,
                targets,
                name=constraint.name,
                onupdate=constraint.onupdate,
                ondelete=constraint.ondelete,
                use_alter=constraint.use_alter,
            )
        )
    elif isinstance(constraint, sa.CheckConstraint):
        table.append_constraint(sa.CheckConstraint(str(constraint.sqltext), name=constraint.name))
