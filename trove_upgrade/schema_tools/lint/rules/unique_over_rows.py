# SPDX-License-Identifier: Apache-2.0
"""Columns that become unique over rows of older services."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule, place
from trove_upgrade.schema_tools.lint.subject import Subject
from trove_upgrade.schema_tools.sql.changes import Kind


def _hits(subject: Subject) -> Iterator[Hit]:
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


RULE = Rule(
    code='UNIQUE_OVER_ROWS',
    why='Rows that are equal make the statement fail half way, and services of the release before '
    'go on writing equal ones.',
    instead='Let a data migration remove what is double, and add the unique index in the contract.',
    check=_hits,
)
