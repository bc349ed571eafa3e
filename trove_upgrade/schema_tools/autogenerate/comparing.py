# SPDX-License-Identifier: Apache-2.0
"""Differences between the models and a database: our tables alone, whatever else stands
beside them.
"""

import dataclasses
from collections.abc import Container, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import produce_migrations
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext

from trove_upgrade.db.migrations.chain import Chain
from trove_upgrade.db.migrations.recording import history, schema_at


@dataclasses.dataclass(frozen=True)
class KeyChange:
    """Another primary key, which Alembic does not look at."""

    table_name: str
    former: tuple[str, ...]
    wanted: tuple[str, ...]


Difference = ops.MigrateOperation | KeyChange


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Work to be done, and between what."""

    metadata: sa.MetaData  #: the models
    #: as the revisions that have been run left it; types as they were written there
    before: sa.MetaData
    differences: tuple[Difference, ...]
    #: tables of the models that are there, and that no revision of ours has made
    not_ours: tuple[str, ...]
    context: MigrationContext


def compare(connection: sa.Connection, metadata: sa.MetaData, chain: Chain) -> Comparison:
    """Compare the models with a database that is at the chain's heads.

    A table belongs to us if a revision has made it; one that has left the models is a difference,
    one of another project never is.
    """
    before = schema_at(chain, history(chain, ''))
    inspector = sa.inspect(connection)
    present = set(inspector.get_table_names())
    not_ours = tuple(
        sorted(name for name in metadata.tables if name in present and name not in before.tables)
    )
    context = MigrationContext.configure(
        connection,
        opts={
            **_looked_at(ours=before.tables, not_ours=not_ours),
            'version_table': chain.version_table,
            'target_metadata': metadata,
        },
    )
    found = produce_migrations(context, metadata).upgrade_ops
    differences: list[Difference] = []
    for one in _flat(found.ops if found else ()):
        if connection.dialect.name in {'mysql', 'mariadb'}:
            _forget_mysqls_booleans(one, metadata)
        if not isinstance(one, ops.AlterColumnOp) or one.has_changes():
            differences.append(one)
    for name in sorted(present & metadata.tables.keys() & before.tables.keys()):
        differences += _keys(inspector, metadata.tables[name])
        differences += _checks(inspector, metadata.tables[name], before.tables[name])
    return Comparison(
        metadata=metadata,
        before=before,
        differences=tuple(differences),
        not_ours=not_ours,
        context=context,
    )


def _looked_at(*, ours: Container[str], not_ours: Container[str]) -> dict[str, Any]:
    """Options of Alembic: the tables, and the properties, that it compares."""

    def is_ours(name: str | None, kind: str, _parents: object) -> bool:
        return kind != 'table' or name in ours

    def is_looked_at(
        _thing: object, name: str | None, kind: str, _reflected: object, _compared: object
    ) -> bool:
        return kind != 'table' or name not in not_ours

    return {
        'compare_type': True,
        'compare_server_default': True,
        'include_name': is_ours,
        'include_object': is_looked_at,
    }


def _forget_mysqls_booleans(operation: ops.MigrateOperation, metadata: sa.MetaData) -> None:
    """MySQL has no booleans, and keeps 0 where false was written."""
    if not isinstance(operation, ops.AlterColumnOp) or not operation.modify_server_default:
        return
    column = metadata.tables[operation.table_name].c[operation.column_name]
    found, wanted = operation.existing_server_default, operation.modify_server_default
    if (
        isinstance(column.type, sa.Boolean)
        and isinstance(found, sa.DefaultClause)
        and isinstance(wanted, sa.DefaultClause)
        and _as_number(str(found.arg)) == _as_number(str(wanted.arg))
    ):
        operation.modify_server_default = False


def _as_number(default: str) -> str:
    word = default.strip("'()").lower()
    return {'true': '1', 'false': '0'}.get(word, word)


def _flat(operations: Sequence[ops.MigrateOperation]) -> Iterator[ops.MigrateOperation]:
    for operation in operations:
        if isinstance(operation, ops.OpContainer):
            yield from _flat(operation.ops)
        else:
            yield operation


def _keys(inspector: sa.Inspector, table: sa.Table) -> Iterator[KeyChange]:
    former = tuple(inspector.get_pk_constraint(table.name)['constrained_columns'])
    wanted = tuple(column.name for column in table.primary_key.columns)
    if former != wanted:
        yield KeyChange(table.name, former, wanted)


def _checks(
    inspector: sa.Inspector, table: sa.Table, before: sa.Table
) -> Iterator[ops.MigrateOperation]:
    """Compare check constraints by name: servers write the text of a check in words of their
    own.
    """
    present = {
        str(known['name']) for known in inspector.get_check_constraints(table.name) if known['name']
    }
    wanted, former = _named_checks(table), _named_checks(before)
    for name in sorted(wanted.keys() - present):
        yield ops.CreateCheckConstraintOp.from_constraint(wanted[name])
    for name in sorted((present & former.keys()) - wanted.keys()):
        yield ops.DropConstraintOp.from_constraint(former[name])


def _named_checks(table: sa.Table) -> dict[str, sa.CheckConstraint]:
    return {
        str(one.name): one
        for one in table.constraints
        if isinstance(one, sa.CheckConstraint)
        and isinstance(one.name, str)
        and not getattr(one, '_type_bound', False)
    }
