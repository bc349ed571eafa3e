# SPDX-License-Identifier: Apache-2.0
"""Puts a database under control that has our tables and no word of which version they are.

The schema is compared with that of every version that there is.  One that fits is recorded; nothing
is guessed: a schema that fits none is refused with what is different.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import alembic.command
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from trove_upgrade.db import errors
from trove_upgrade.db.migrations import lease, position
from trove_upgrade.db.migrations.chain import Chain, release_of
from trove_upgrade.db.migrations.recording import schema_at

#: What a first run that was killed leaves undone; everything else is a schema that no command of
#: ours has made.
_MISSING = frozenset({'add_table', 'add_column', 'add_index', 'add_constraint', 'add_fk'})


@dataclasses.dataclass(frozen=True)
class KnownVersion:
    """A version, and the schema that a database of it has."""

    revisions: tuple[str, ...]  #: the newest of each branch
    metadata: sa.MetaData

    @property
    def version(self) -> str:
        """Name the version as `db version` prints it."""
        return ', '.join(self.revisions)


def adopt(connection: sa.Connection, chain: Chain) -> str | None:
    """Record which version the tables are; returns it, or None where nothing was to be recorded.

    A first run that was killed between two statements is no case for it: the version table is there
    and empty, and what the tables lack is added by the next run.

    :raises SchemaNotRecognized: our tables are there, and fit no version or several.
    """
    if any(position.applied(connection, chain).values()):
        return None
    inspector = sa.inspect(connection)
    present = set(inspector.get_table_names()) - {chain.version_table, lease.TABLE.name}
    known = versions(chain) if present else []
    ours = set[str]().union(*(one.metadata.tables for one in known))
    if not ours & present:
        return None
    found = [(one, differences(connection, one.metadata, ours)) for one in known]
    fitting = [one for one, different in found if not different]
    if len(fitting) != 1:
        if inspector.has_table(chain.version_table) and _began(found[0][1]):
            return None
        raise _refused(fitting, found)
    alembic.command.stamp(chain.config(connection=connection), list(fitting[0].revisions))
    return fitting[0].version


def versions(chain: Chain) -> list[KnownVersion]:
    """Every version that a database can be at; of those with the same schema only the last, which
    an earlier one is as well.
    """
    order = chain.releases()
    expand, contract = (
        [one.revision for one in chain.revisions(branch)] for branch in chain.branches
    )
    found: list[KnownVersion] = []
    for last in range(len(expand)):
        release = order.index(release_of(expand[last]))
        whole = last + 1 == len(expand) or release_of(expand[last + 1]) != release_of(expand[last])
        allowed = [one for one in contract if order.index(release_of(one)) < release + whole]
        for count in range(len(allowed) + 1):
            revisions = (expand[last], *allowed[:count][-1:])
            metadata = schema_at(chain, [*expand[: last + 1], *allowed[:count]])
            if found and _same(found[-1].metadata, metadata):
                found[-1] = KnownVersion(revisions, metadata)
            else:
                found.append(KnownVersion(revisions, metadata))
    return found


def differences(connection: sa.Connection, metadata: sa.MetaData, ours: set[str]) -> list[Any]:
    """Return what Alembic would change to make the database that schema; tables that are not ours
    are not looked at.
    """

    def is_ours(name: str | None, kind: str, _parents: object) -> bool:
        return kind != 'table' or name in ours

    context = MigrationContext.configure(
        connection, opts={'compare_type': True, 'include_name': is_ours}
    )
    return _flat(compare_metadata(context, metadata))


def describe(difference: Any) -> str:
    """One difference in words, from the database's side."""
    kind, *rest = difference
    match kind:
        case 'add_table' | 'remove_table':
            return (
                f'table {rest[0].name} is '
                f'{"missing" if kind == "add_table" else "not of that version"}'
            )
        case 'add_column' | 'remove_column':
            return (
                f'column {rest[1]}.{rest[2].name} is '
                f'{"missing" if kind == "add_column" else "not of that version"}'
            )
        case 'add_index' | 'remove_index':
            return (
                f'index {rest[0].name} is '
                f'{"missing" if kind == "add_index" else "not of that version"}'
            )
        case 'modify_type' | 'modify_nullable' | 'modify_default':
            return (
                f'column {rest[1]}.{rest[2]}: {kind.removeprefix("modify_")} is {rest[4]}, not '
                f'{rest[5]}'
            )
        case _:
            return f'{kind}: {rest[0]}'


def _flat(found: Sequence[Any]) -> list[Any]:
    """Alembic puts the changes of one column into a list of their own."""
    return [one for entry in found for one in (entry if isinstance(entry, list) else [entry])]


def _began(different: Sequence[Any]) -> bool:
    return all(one[0] in _MISSING for one in different)


def _same(one: sa.MetaData, other: sa.MetaData) -> bool:
    return _signature(one) == _signature(other)


def _signature(metadata: sa.MetaData) -> Any:
    return {
        name: (
            sorted(
                (column.name, repr(column.type), column.nullable, column.primary_key)
                for column in table.columns
            ),
            sorted(
                (
                    str(index.name),
                    bool(index.unique),
                    tuple(column.name for column in index.columns),
                )
                for index in table.indexes
            ),
            sorted((type(one).__name__, str(one.name)) for one in table.constraints),
        )
        for name, table in metadata.tables.items()
    }


def _refused(
    fitting: Sequence[KnownVersion], found: Sequence[tuple[KnownVersion, list[Any]]]
) -> errors.SchemaNotRecognized:
    if fitting:
        return errors.SchemaNotRecognized(
            found='they fit several versions: ' + ' and '.join(one.version for one in fitting)
        )
    nearest, different = min(found, key=lambda entry: len(entry[1]))
    return errors.SchemaNotRecognized(
        found=f'they fit no version; of the nearest, {nearest.version}, these are different: '
        + '; '.join(describe(one) for one in different)
    )
