# SPDX-License-Identifier: Apache-2.0
"""NOT NULL over rows of older services."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule, place
from trove_upgrade.schema_tools.lint.subject import Subject
from trove_upgrade.schema_tools.sql.changes import Kind


def _hits(subject: Subject) -> Iterator[Hit]:
    if not subject.old_services_run:
        return
    for seen in subject.over_rows(Kind.SET_NOT_NULL):
        column = subject.column_before(seen.change)
        if column is None or column.nullable:
            yield Hit(place(seen), f'{place(seen)} becomes NOT NULL', seen)


RULE = Rule(
    code='NULLABLE_TIGHTENED',
    why='Rows with NULL make the statement fail, and services of the release before go on writing '
    'NULL.',
    instead='Let a data migration fill what is NULL, and set NOT NULL in the contract.',
    check=_hits,
)
