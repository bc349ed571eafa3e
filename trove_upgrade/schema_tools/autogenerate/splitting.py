# SPDX-License-Identifier: Apache-2.0
"""Divides a change of the models between the branches.

Into expand goes what a service of the release before does not notice; into contract what it would
fail over.  What old rows stand against needs both, and a data migration in between.
"""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from alembic.operations import ops

from trove_upgrade.schema_tools.autogenerate import columns
from trove_upgrade.schema_tools.autogenerate.collecting import Pieces
from trove_upgrade.schema_tools.autogenerate.comparing import Comparison, Difference, KeyChange
from trove_upgrade.schema_tools.autogenerate.pieces import Place, Split, Work


def split(comparison: Comparison) -> Split:
    """Every difference has its place; what is not understood is a comment and a warning."""
    return _Splitter(comparison).split()


class _Splitter:
    """Splits differences into pieces of expand, contract and rows."""

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self._pieces = Pieces(
            [
                f'Table {name} is of the models and in the database, but no revision has made it: '
                "it is left alone, as another project's."
                for name in comparison.not_ours
            ]
        )
        self._renamed = columns.renamed(
            comparison.differences, comparison.metadata, comparison.before
        )
        self._dropped_tables = {
            one.table_name for one in comparison.differences if isinstance(one, ops.DropTableOp)
        }
        self._new_tables = {
            one.table_name for one in comparison.differences if isinstance(one, ops.CreateTableOp)
        }

    def split(self) -> Split:
        """Return the pieces in the order in which each branch has to do them."""
        for difference in self._comparison.differences:
            self._take(difference)
        return self._pieces.split()

    def _take(self, difference: Difference) -> None:
        kinds: Sequence[tuple[type[Any], Callable[[Any], None]]] = (
            (KeyChange, self._key),
            (ops.CreateTableOp, self._create_table),
            (ops.DropTableOp, self._drop_table),
            (ops.AddColumnOp, self._add_column),
            (ops.DropColumnOp, self._drop_column),
            (ops.AlterColumnOp, self._alter_column),
            (ops.CreateIndexOp, self._create_index),
            (ops.DropIndexOp, self._drop_index),
            (ops.AddConstraintOp, self._add_constraint),
            (ops.DropConstraintOp, self._drop_constraint),
            (ops.CreateTableCommentOp, self._comment),
            (ops.DropTableCommentOp, self._comment),
        )
        for kind, take in kinds:
            if isinstance(difference, kind):
                take(difference)
                return
        self._pieces.not_understood(difference)

    def _create_table(self, operation: ops.CreateTableOp) -> None:
        self._pieces.add(
            self._pieces.expand,
            Place.TABLE,
            'ensure_table',
            self._comparison.metadata.tables[operation.table_name],
        )

    def _drop_table(self, operation: ops.DropTableOp) -> None:
        self._pieces.add(
            self._pieces.contract,
            Place.DROP_TABLE,
            'ensure_no_table',
            operation.table_name,
            comment=f'Its rows are lost. If another table follows {operation.table_name}, a data '
            'migration must have copied them.',
        )

    def _add_column(self, operation: ops.AddColumnOp) -> None:
        table, column = (
            operation.table_name,
            self._comparison.metadata.tables[operation.table_name].c[operation.column.name],
        )
        former = self._renamed.get((table, column.name))
        if former is None and not columns.refuses_old_writers(column):
            self._pieces.add(
                self._pieces.expand, Place.COLUMN, 'ensure_column', table, columns.variant(column)
            )
            return
        self._add_in_two_steps(table, column, former)

    def _add_in_two_steps(self, table: str, column: sa.Column[Any], former: str | None) -> None:
        """Add a column that is nullable in expand, and as the models have it in the contract."""
        comment, why, work = (
            f'Services of the release before leave {column.name} out: nullable until the contract.',
            '',
            Work.FILL,
        )
        if former is not None:
            comment = (
                f'This looks like {former} under a new name. If so: until the contract services of '
                f'this release write both and read {former}. If not: change the data migration to '
                f'what {column.name} needs, or remove it.'
            )
            why, work = f'{column.name} follows {former}, which the contract drops', Work.COPY
        self._pieces.add(
            self._pieces.expand,
            Place.COLUMN,
            'ensure_column',
            table,
            columns.variant(column, nullable=True),
            comment=comment,
        )
        if not column.nullable:
            self._pieces.add(
                self._pieces.contract,
                Place.ALTER,
                'ensure_not_null',
                table,
                columns.variant(column),
            )
        self._pieces.needs_rows(
            table,
            column.name,
            why or f'{column.name} becomes NOT NULL in the contract',
            work,
            former or '',
        )

    def _drop_column(self, operation: ops.DropColumnOp) -> None:
        table, name = operation.table_name, operation.column_name
        column = columns.known(self._comparison.before, table, name)
        column = operation.to_column() if column is None else column
        is_renamed = any(
            key[0] == table and former == name for key, former in self._renamed.items()
        )
        if columns.refuses_old_writers(column) and not column.primary_key and not is_renamed:
            self._pieces.add(
                self._pieces.expand,
                Place.ALTER,
                'ensure_nullable',
                table,
                columns.variant(column, nullable=True),
                comment=f'Services of this release leave {name} out. If those of the release '
                'before cannot read NULL, go on writing it until the contract, and take '
                'this line out.',
            )
        self._pieces.add(self._pieces.contract, Place.DROP_COLUMN, 'ensure_no_column', table, name)

    def _alter_column(self, operation: ops.AlterColumnOp) -> None:
        changed = columns.Changed.of(operation, self._comparison)
        table, wanted, between = operation.table_name, changed.wanted, changed.between
        if changed.widens:
            self._pieces.add(self._pieces.expand, Place.ALTER, 'ensure_type', table, between)
        if changed.loosens:
            self._pieces.add(self._pieces.expand, Place.ALTER, 'ensure_nullable', table, between)
        if changed.gains_default:
            self._pieces.add(self._pieces.expand, Place.ALTER, 'ensure_default', table, between)
        if changed.comments:
            self._pieces.add(
                self._pieces.expand, Place.COMMENT, 'ensure_column_comment', table, between
            )
        if changed.converts:
            self._convert(table, changed)
        if changed.tightens:
            self._pieces.note(
                self._pieces.expand,
                f'{table}.{wanted.name} stays nullable: services of the release before may write '
                'NULL.',
            )
            self._pieces.needs_rows(
                table, wanted.name, f'{wanted.name} becomes NOT NULL in the contract', Work.FILL
            )
            self._pieces.add(self._pieces.contract, Place.ALTER, 'ensure_not_null', table, wanted)
        if changed.changes_default:
            self._pieces.add(
                self._pieces.contract,
                Place.ALTER,
                'ensure_default',
                table,
                wanted,
                comment='Until here services of the release before count on the former default.',
            )
        if operation.kw:
            self._pieces.not_understood(operation)

    def _convert(self, table: str, changed: columns.Changed) -> None:
        name = changed.wanted.name
        self._pieces.note(
            self._pieces.expand,
            f'{table}.{name} stays {changed.former_type}: services of the release before write '
            'that. The contract converts it in place, which may write every row anew; for a big '
            'table add a second column of the new type here, copy in the data migration, and '
            'drop the first in the contract.',
        )
        kind = changed.wanted.type
        if isinstance(kind, sa.Enum) and kind.name:
            what = (
                f'On PostgreSQL {kind.name}, of {table}.{name}, is a type of its own, which the '
                f'contract leaves as it is: add what is new in it by hand (ALTER TYPE {kind.name} '
                'ADD VALUE ...), in expand, on PostgreSQL alone.'
            )
            self._pieces.note(self._pieces.expand, what)
            self._pieces.warnings.append(what)
        self._pieces.needs_rows(
            table,
            name,
            f'{name} becomes {changed.wanted_type} in the contract: each value must fit it',
        )
        self._pieces.add(
            self._pieces.contract,
            Place.ALTER,
            'ensure_type',
            table,
            columns.variant(
                changed.wanted,
                nullable=changed.between.nullable,
                server_default=changed.between.server_default,
            ),
            using=changed.using,
            comment=f'Services of this release must read and write {changed.former_type} until '
            'here.',
        )

    def _create_index(self, operation: ops.CreateIndexOp) -> None:
        table, index = operation.table_name, operation.to_index()
        if table in self._new_tables:
            return  # it comes with its table
        replaces = any(
            isinstance(one, ops.DropIndexOp | ops.DropConstraintOp)
            and columns.name_of(one) == index.name
            for one in self._comparison.differences
        )
        if index.unique:
            self._unique(table, [column.name for column in index.columns])
        elif not replaces:
            self._pieces.add(self._pieces.expand, Place.INDEX, 'ensure_index_online', index)
            return
        else:
            self._pieces.note(
                self._pieces.expand,
                f'Index {index.name} keeps its name, so that it is made in the contract, after the '
                'former one has gone; under a new name it would be made here, and no query would '
                'do without.',
            )
        self._pieces.add(self._pieces.contract, Place.INDEX, 'ensure_index_online', index)

    def _unique(self, table: str, names: Sequence[str]) -> None:
        words = ', '.join(names)
        self._pieces.note(
            self._pieces.expand,
            f'({words}) of {table} is not made unique here: services of the release before may '
            'write what is double.',
        )
        self._pieces.needs_rows(
            table,
            names[0] if names else '',
            f'({words}) becomes unique in the contract: no two rows may have the same, and NULL '
            'is the same as nothing',
        )

    def _drop_index(self, operation: ops.DropIndexOp) -> None:
        if operation.table_name in self._dropped_tables:
            return  # it goes with its table
        if operation.index_name is None:
            self._pieces.not_understood(operation)
            return
        # MySQL makes no difference between such a constraint and an index
        if columns.is_unique_constraint(
            self._comparison.before, str(operation.table_name), operation.index_name
        ):
            self._pieces.add(
                self._pieces.contract,
                Place.DROP_CONSTRAINT,
                'ensure_no_constraint',
                operation.index_name,
                operation.table_name,
                'unique',
            )
            return
        self._pieces.add(
            self._pieces.contract,
            Place.DROP_INDEX,
            'ensure_no_index',
            operation.index_name,
            operation.table_name,
        )

    def _add_constraint(self, operation: ops.AddConstraintOp) -> None:
        constraint = columns.named(
            operation.to_constraint(),
            str(getattr(operation, 'table_name', None) or getattr(operation, 'source_table', '')),
        )
        table = columns.table_of(operation)
        if table in self._new_tables:
            return  # it comes with its table
        place = Place.CONSTRAINT
        if isinstance(constraint, sa.UniqueConstraint):
            self._unique(table, [column.name for column in constraint.columns])
        elif isinstance(constraint, sa.ForeignKeyConstraint):
            place = Place.FOREIGN_KEY
            self._pieces.note(
                self._pieces.expand,
                f'Foreign key {constraint.name} of {table} is not made here: services of the '
                'release before may break it.',
            )
            self._pieces.needs_rows(
                table,
                constraint.column_keys[0],
                f'foreign key {constraint.name} is made in the contract: each row must lead to one '
                'that is there, or be NULL',
            )
        elif isinstance(constraint, sa.CheckConstraint):
            self._pieces.note(
                self._pieces.expand,
                f'Check {constraint.name} of {table} is not made here: services of the release '
                'before may break it.',
            )
            self._pieces.needs_rows(
                table,
                '',
                f'check {constraint.name} is made in the contract: each row must pass '
                f'{constraint.sqltext}',
            )
        else:
            self._pieces.not_understood(operation)
            return
        self._pieces.add(self._pieces.contract, place, 'ensure_constraint', table, constraint)

    def _drop_constraint(self, operation: ops.DropConstraintOp) -> None:
        kind = operation.constraint_type
        if operation.table_name in self._dropped_tables and kind != 'foreignkey':
            return  # it goes with its table; of two tables that lead to each other neither would
        if operation.constraint_name is None or kind not in {'unique', 'foreignkey', 'check'}:
            self._pieces.not_understood(operation)
            return
        place = Place.DROP_FOREIGN_KEY if kind == 'foreignkey' else Place.DROP_CONSTRAINT
        self._pieces.add(
            self._pieces.contract,
            place,
            'ensure_no_constraint',
            str(operation.constraint_name),
            operation.table_name,
            kind,
        )

    def _comment(self, operation: ops.CreateTableCommentOp | ops.DropTableCommentOp) -> None:
        if operation.table_name not in self._new_tables:
            comment = operation.comment if isinstance(operation, ops.CreateTableCommentOp) else None
            self._pieces.add(
                self._pieces.expand,
                Place.COMMENT,
                'ensure_table_comment',
                operation.table_name,
                comment,
            )

    def _key(self, change: KeyChange) -> None:
        former, wanted = (
            f'({", ".join(key)})' if key else 'none' for key in (change.former, change.wanted)
        )
        what = f'The primary key of {change.table_name} becomes {wanted}; it was {former}.'
        self._pieces.note(
            self._pieces.expand,
            f'{what} The table would be built anew while all others wait: make a second table with '
            'the new key here, which services of this release write as well.',
        )
        self._pieces.needs_rows(
            change.table_name,
            '',
            f'the primary key becomes {wanted}: copy the rows into the table that has it',
        )
        self._pieces.note(self._pieces.contract, f'{what} Drop the former table here.')
        self._pieces.warnings.append(
            f'{what} That cannot be generated: the revisions say what to fill in.'
        )
