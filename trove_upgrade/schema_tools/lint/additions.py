# SPDX-License-Identifier: Apache-2.0
"""Rules about additions over which a service of the release before fails."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.changes import Kind
from trove_upgrade.schema_tools.lint.rule import Hit, Rule, place
from trove_upgrade.schema_tools.lint.subject import Subject


def _not_null_column(subject: Subject) -> Iterator[Hit]:
    if subject.old_services_run:
        for seen in subject.over_rows(Kind.ADD_COLUMN):
            if seen.change.not_null and not seen.change.default:
                yield Hit(
                    place(seen),
                    f'column {place(seen)} is added NOT NULL and has no server default',
                    seen,
                )


def _unique_over_rows(subject: Subject) -> Iterator[Hit]:
    if not subject.old_services_run:
        return
    for seen in subject.over_rows(Kind.CREATE_INDEX, Kind.ADD_UNIQUE):
        if seen.change.unique and not subject.are_new_columns(seen.change):
            columns = ', '.join(seen.change.columns) or 'columns that the statement does not name'
            yield Hit(
                place(seen),
                f'({columns}) of {seen.change.table} becomes unique, and the table has rows',
                seen,
            )


def _constraint_over_rows(subject: Subject) -> Iterator[Hit]:
    if not subject.old_services_run:
        return
    for seen in subject.over_rows(Kind.ADD_CHECK, Kind.ADD_FOREIGN_KEY):
        if not subject.are_new_columns(seen.change):
            what = 'check' if seen.change.kind is Kind.ADD_CHECK else 'foreign key'
            yield Hit(
                place(seen), f'a {what} is added to {seen.change.table}, which has rows', seen
            )


def _created_in_contract(subject: Subject) -> Iterator[Hit]:
    if subject.branch != 'contract':
        return
    for seen in subject.seen:
        if seen.change.kind in {Kind.CREATE_TABLE, Kind.ADD_COLUMN}:
            what = 'table' if seen.change.kind is Kind.CREATE_TABLE else 'column'
            yield Hit(place(seen), f'{what} {place(seen)} is made by a contract', seen)


RULES = (
    Rule(
        code='NOT_NULL_COLUMN',
        why='Services of the release before go on inserting rows, and do not name the column: '
        'every insert of theirs fails.',
        instead='Add it nullable, or with a server default. Let a data migration fill it, and set '
        'NOT NULL in the contract.',
        check=_not_null_column,
    ),
    Rule(
        code='UNIQUE_OVER_ROWS',
        why='Rows that are equal make the statement fail half way, and services of the release '
        'before go on writing equal ones.',
        instead='Let a data migration remove what is double, and add the unique index in the '
        'contract.',
        check=_unique_over_rows,
    ),
    Rule(
        code='CONSTRAINT_OVER_ROWS',
        why='Rows that break it make the statement fail half way, and services of the release '
        'before go on writing such rows.',
        instead='Let a data migration mend the rows, and add the constraint in the contract.',
        check=_constraint_over_rows,
    ),
    Rule(
        code='CREATED_IN_CONTRACT',
        why='Services of this release run before the contract does, and would not find it.',
        instead='Make it in the expand: nothing that is new breaks an older service.',
        check=_created_in_contract,
    ),
)
