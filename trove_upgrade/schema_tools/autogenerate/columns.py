# SPDX-License-Identifier: Apache-2.0
"""Columns between two versions: what one may become without its writers noticing."""

import dataclasses
import difflib
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic.operations import ops

from trove_upgrade.schema_tools.autogenerate.comparing import Comparison, Difference
from trove_upgrade.schema_tools.lint.subject import dialect_of
from trove_upgrade.schema_tools.lint.types import Widening
from trove_upgrade.schema_tools.lint.types import compare as compare_types

#: A type must be wide enough on each of them: the revision is run on all.
_SERVERS = ('mysql', 'mariadb', 'postgresql', 'sqlite')
_LONGEST_NAME = 63  # PostgreSQL's; MySQL has 64


def variant(column: sa.Column[Any], **changes: Any) -> sa.Column[Any]:
    """The column by itself, without keys and constraints, and with another `type_`, `nullable`,
    `server_default` or `comment`.
    """
    values = {
        'nullable': column.nullable,
        'server_default': column.server_default,
        'comment': column.comment,
    } | changes
    generated: list[Any] = [
        one._copy()  # noqa: SLF001 - as SQLAlchemy copies columns
        for one in (column.computed, column.identity)
        if one is not None
    ]
    if generated:
        values.pop('server_default')
    return sa.Column(column.name, values.pop('type_', column.type), *generated, **values)


def known(metadata: sa.MetaData, table: str, name: str) -> sa.Column[Any] | None:
    """Return a column as the revisions made it; None where they made it with raw SQL."""
    return metadata.tables[table].columns.get(name) if table in metadata.tables else None


def is_unique_constraint(metadata: sa.MetaData, table: str, name: str) -> bool:
    """Tell whether the revisions made a unique constraint of that name."""
    return table in metadata.tables and any(
        isinstance(one, sa.UniqueConstraint) and one.name == name
        for one in metadata.tables[table].constraints
    )


def refuses_old_writers(column: sa.Column[Any]) -> bool:
    """Return whether an INSERT fails that does not name it."""
    return (
        not column.nullable
        and column.server_default is None
        and column.computed is None
        and column.identity is None
    )


def renamed(
    differences: Sequence[Difference], metadata: sa.MetaData, before: sa.MetaData
) -> Mapping[tuple[str, str], str]:
    """Return, by table and new column, the dropped column of the same type that it most likely
    was.
    """
    dropped = {
        (one.table_name, one.column_name)
        for one in differences
        if isinstance(one, ops.DropColumnOp)
    }
    found: dict[tuple[str, str], str] = {}
    for one in differences:
        if not isinstance(one, ops.AddColumnOp):
            continue
        table, column = one.table_name, metadata.tables[one.table_name].c[one.column.name]
        alike = {
            name
            for owner, name in dropped - set(found.items())
            if owner == table and _is_like(known(before, table, name), column)
        }
        alike -= {former for key, former in found.items() if key[0] == table}
        if alike:
            found[table, column.name] = max(
                sorted(alike),
                key=lambda name: difflib.SequenceMatcher(None, name, column.name).ratio(),
            )
    return found


def _is_like(former: sa.Column[Any] | None, column: sa.Column[Any]) -> bool:
    return former is not None and repr(former.type) == repr(column.type)


def is_wider(former: Any, wanted: Any) -> bool:
    """Tell whether a type is at least as wide on every server, and the same kind of value."""
    outcomes = {_compared(former, wanted, server) for server in _SERVERS}
    return outcomes <= {Widening.SAME, Widening.WIDER}


def _compared(former: Any, wanted: Any, server: str) -> Widening:
    dialect = dialect_of(server)
    try:
        return compare_types(
            str(former.compile(dialect=dialect)), str(wanted.compile(dialect=dialect)), server
        )
    except sa.exc.CompileError:  # a type of another server, or VARCHAR without a length
        return Widening.OTHER


@dataclasses.dataclass(frozen=True, kw_only=True)
class Changed:
    """Change of one column, by what a service of the release before would say to it."""

    wanted: sa.Column[Any]  #: as the models have it
    between: sa.Column[Any]  #: as the expand leaves it
    former_type: str
    wanted_type: str
    using: str | None  #: how PostgreSQL is told to convert
    widens: bool
    converts: bool  #: to a type that is not a wider one
    loosens: bool  #: NULL becomes allowed
    tightens: bool
    gains_default: bool
    changes_default: bool  #: to another, or to none
    comments: bool

    @classmethod
    def of(cls, operation: ops.AlterColumnOp, comparison: Comparison) -> 'Changed':
        """`existing_*` are as the server describes them; the revisions' own words are preferred, as
        they are good on every server.
        """
        model = comparison.metadata.tables[operation.table_name].c[operation.column_name]
        before = known(comparison.before, operation.table_name, operation.column_name)
        retyped = operation.modify_type is not None
        former_type = _former_type(operation, before) if retyped else model.type
        widens = retyped and is_wider(former_type, model.type)
        redefaulted = operation.modify_server_default is not False
        former_default = _former_default(operation, before)
        gains = redefaulted and former_default is None
        between = variant(
            model,
            type_=model.type if widens or not retyped else former_type,
            nullable=_nullable_between(operation, model),
            server_default=model.server_default if gains or not redefaulted else former_default,
        )
        return cls(
            wanted=variant(model),
            between=between,
            former_type=_words(former_type),
            wanted_type=_words(model.type),
            using=_using(model, former_type) if retyped and not widens else None,
            widens=widens,
            converts=retyped and not widens,
            loosens=operation.modify_nullable is True,
            tightens=operation.modify_nullable is False,
            gains_default=gains,
            changes_default=redefaulted and not gains,
            comments=operation.modify_comment is not False,
        )


def _former_type(operation: ops.AlterColumnOp, before: sa.Column[Any] | None) -> Any:
    return before.type if before is not None else operation.existing_type


def _former_default(operation: ops.AlterColumnOp, before: sa.Column[Any] | None) -> Any:
    """Return the server default that a column had; None for none."""
    found: Any = before.server_default if before is not None else operation.existing_server_default
    return None if found is False else found


def _nullable_between(operation: ops.AlterColumnOp, model: sa.Column[Any]) -> bool | None:
    """Return whether the expand lets the column be NULL: the contract alone forbids it."""
    if operation.modify_nullable is None:
        return model.nullable
    return operation.modify_nullable is True or bool(operation.existing_nullable)


def _words(type_: Any) -> str:
    """Write a type as the default dialect has it; a type that it does not know in Python's
    words.
    """
    try:
        return str(type_.compile())
    except sa.exc.CompileError:
        return repr(type_)


def _using(column: sa.Column[Any], former: Any) -> str | None:
    """PostgreSQL converts by itself within a family, and refuses between two."""
    if isinstance(former, type(column.type)) or isinstance(column.type, type(former)):
        return None
    dialect = dialect_of('postgresql')
    return (
        f'{dialect.identifier_preparer.quote(column.name)}::{column.type.compile(dialect=dialect)}'
    )


def table_of(operation: Any) -> str:
    """The table that an operation changes."""
    return str(
        getattr(operation, 'table_name', None) or getattr(operation, 'source_table', None) or ''
    )


def name_of(operation: ops.DropIndexOp | ops.DropConstraintOp) -> Any:
    """Return the name of the index or of the constraint that is dropped."""
    return (
        operation.index_name
        if isinstance(operation, ops.DropIndexOp)
        else operation.constraint_name
    )


def named(constraint: Any, table: str) -> Any:
    """A constraint that the models leave nameless gets a name, without which it cannot be seen
    whether it is there.
    """
    if not isinstance(constraint.name, str):
        prefix = {sa.UniqueConstraint: 'uq', sa.ForeignKeyConstraint: 'fk'}.get(
            type(constraint), 'ck'
        )
        name = '_'.join([prefix, table, *getattr(constraint, 'column_keys', [])])
        if len(name) > _LONGEST_NAME:
            name = f'{name[: _LONGEST_NAME - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}'
        constraint.name = name
    return constraint
