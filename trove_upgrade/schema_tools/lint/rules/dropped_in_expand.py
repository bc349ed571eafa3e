# SPDX-License-Identifier: Apache-2.0
"""A table or a column dropped under the services that still use it."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule, place
from trove_upgrade.schema_tools.lint.subject import Subject
from trove_upgrade.schema_tools.sql.changes import Kind


def _hits(subject: Subject) -> Iterator[Hit]:
    if subject.old_services_run:
        for seen in subject.over_rows(Kind.DROP_TABLE, Kind.DROP_COLUMN):
            what = 'table' if seen.change.kind is Kind.DROP_TABLE else 'column'
            yield Hit(place(seen), f'{what} {place(seen)} is dropped', seen)


RULE = Rule(
    code='DROPPED_IN_EXPAND',
    why='Services of the release before still read and write it: every statement of theirs that '
    'names it fails.',
    instead='Drop it in the contract, when they are gone.',
    check=_hits,
)
