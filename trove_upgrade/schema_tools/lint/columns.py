# SPDX-License-Identifier: Apache-2.0
"""Columns that become something else under the services that write them."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.changes import Kind, Seen
from trove_upgrade.schema_tools.lint.rule import Hit, Rule, place
from trove_upgrade.schema_tools.lint.subject import Subject, dialect_of
from trove_upgrade.schema_tools.lint.types import Widening, compare


def _retyped(subject: Subject, *outcomes: Widening) -> Iterator[tuple[Seen, str]]:
    """With what the type was before."""
    if not subject.old_services_run:
        return
    for seen in subject.over_rows(Kind.SET_TYPE):
        column = subject.column_before(seen.change)
        if column is None:
            if (
                Widening.OTHER in outcomes
                and (seen.change.table, seen.change.name) not in subject.new_columns
            ):
                yield seen, 'a type that the linter does not know'
            continue
        old = str(column.type.compile(dialect=dialect_of(seen.dialect)))
        if compare(old, seen.change.type, seen.dialect) in outcomes:
            yield seen, old


def _narrowed(subject: Subject) -> Iterator[Hit]:
    for seen, old in _retyped(subject, Widening.NARROWER):
        yield Hit(place(seen), f'{place(seen)} shrinks from {old} to {seen.change.type}', seen)


def _changed(subject: Subject) -> Iterator[Hit]:
    for seen, old in _retyped(subject, Widening.OTHER):
        yield Hit(place(seen), f'{place(seen)} becomes {seen.change.type}; it was {old}', seen)


def _tightened(subject: Subject) -> Iterator[Hit]:
    if not subject.old_services_run:
        return
    for seen in subject.over_rows(Kind.SET_NOT_NULL):
        column = subject.column_before(seen.change)
        if column is None or column.nullable:
            yield Hit(place(seen), f'{place(seen)} becomes NOT NULL', seen)


def _default_dropped(subject: Subject) -> Iterator[Hit]:
    if not subject.old_services_run:
        return
    for seen in subject.over_rows(Kind.DROP_DEFAULT):
        column = subject.column_before(seen.change)
        if column is not None and column.server_default is not None:
            yield Hit(place(seen), f'{place(seen)} loses its server default', seen)


def _primary_key_changed(subject: Subject) -> Iterator[Hit]:
    for seen in subject.over_rows(Kind.ADD_PRIMARY_KEY, Kind.DROP_PRIMARY_KEY):
        yield Hit(
            seen.change.table, f'the primary key of {seen.change.table} becomes another', seen
        )


RULES = (
    Rule(
        code='TYPE_NARROWED',
        why='A row that does not fit makes the statement fail half way, and services of the '
        'release before go on writing such rows.',
        instead='Add a second column of the new type, let a data migration copy, and drop the '
        'first in the contract.',
        check=_narrowed,
    ),
    Rule(
        code='TYPE_CHANGED',
        why='Servers write every row anew while writers wait, and services of the release before '
        'send the former kind of value.',
        instead='Add a second column of the new type, let a data migration copy, and drop the '
        'first in the contract.',
        check=_changed,
    ),
    Rule(
        code='NULLABLE_TIGHTENED',
        why='Rows with NULL make the statement fail, and services of the release before go on '
        'writing NULL.',
        instead='Let a data migration fill what is NULL, and set NOT NULL in the contract.',
        check=_tightened,
    ),
    Rule(
        code='DEFAULT_DROPPED',
        why='Services of the release before do not name the column where they count on its '
        'default.',
        instead='Drop the default in the contract.',
        check=_default_dropped,
    ),
    Rule(
        code='PRIMARY_KEY_CHANGED',
        why='The table is built anew, and every other statement waits for as long as that takes; '
        'this release runs during a contract, too.',
        instead='Make a second table with the new key, let a data migration copy, and drop the '
        'first in the contract.',
        check=_primary_key_changed,
    ),
)
