# SPDX-License-Identifier: Apache-2.0
"""A check or a foreign key over rows of older services."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule, place
from trove_upgrade.schema_tools.lint.subject import Subject
from trove_upgrade.schema_tools.sql.changes import Kind


def _hits(subject: Subject) -> Iterator[Hit]:
    if not subject.old_services_run:
        return
    for seen in subject.over_rows(Kind.ADD_CHECK, Kind.ADD_FOREIGN_KEY):
        if not subject.are_new_columns(seen.change):
            what = 'check' if seen.change.kind is Kind.ADD_CHECK else 'foreign key'
            yield Hit(
                place(seen), f'a {what} is added to {seen.change.table}, which has rows', seen
            )


RULE = Rule(
    code='CONSTRAINT_OVER_ROWS',
    why='Rows that break it make the statement fail half way, and services of the release before '
    'go on writing such rows.',
    instead='Let a data migration mend the rows, and add the constraint in the contract.',
    check=_hits,
)
