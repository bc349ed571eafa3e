# SPDX-License-Identifier: Apache-2.0
"""A table or a column that comes after the services that want it."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule, place
from trove_upgrade.schema_tools.lint.subject import Subject
from trove_upgrade.schema_tools.sql.changes import Kind


def _hits(subject: Subject) -> Iterator[Hit]:
    if subject.branch != 'contract':
        return
    for seen in subject.seen:
        if seen.change.kind in {Kind.CREATE_TABLE, Kind.ADD_COLUMN}:
            what = 'table' if seen.change.kind is Kind.CREATE_TABLE else 'column'
            yield Hit(place(seen), f'{what} {place(seen)} is made by a contract', seen)


RULE = Rule(
    code='CREATED_IN_CONTRACT',
    why='Services of this release run before the contract does, and would not find it.',
    instead='Make it in the expand: nothing that is new breaks an older service.',
    check=_hits,
)
