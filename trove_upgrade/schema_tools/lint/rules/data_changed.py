# SPDX-License-Identifier: Apache-2.0
"""Rows that a schema revision changes, all in one transaction."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule
from trove_upgrade.schema_tools.lint.subject import Subject
from trove_upgrade.schema_tools.sql.changes import Kind


def _hits(subject: Subject) -> Iterator[Hit]:
    for seen in subject.seen:
        change = seen.change
        many = change.kind in {Kind.UPDATE, Kind.DELETE} and change.table not in subject.new_tables
        if many or (change.kind is Kind.INSERT and change.from_query):
            yield Hit(
                f'{change.kind} {change.table}',
                f'rows of {change.table} are changed by a schema revision',
                seen,
            )


RULE = Rule(
    code='DATA_CHANGED',
    why='The whole table is changed in one transaction: its locks, its undo log and its replicas '
    'grow with the rows, and a killed run begins again.',
    instead='Write a data migration, which works in batches beside the services.',
    check=_hits,
)
