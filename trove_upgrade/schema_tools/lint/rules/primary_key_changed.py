# SPDX-License-Identifier: Apache-2.0
"""Another primary key, for which the table is built anew."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule
from trove_upgrade.schema_tools.lint.subject import Subject
from trove_upgrade.schema_tools.sql.changes import Kind


def _hits(subject: Subject) -> Iterator[Hit]:
    for seen in subject.over_rows(Kind.ADD_PRIMARY_KEY, Kind.DROP_PRIMARY_KEY):
        yield Hit(
            seen.change.table, f'the primary key of {seen.change.table} becomes another', seen
        )


RULE = Rule(
    code='PRIMARY_KEY_CHANGED',
    why='The table is built anew, and every other statement waits for as long as that takes; this '
    'release runs during a contract, too.',
    instead='Make a second table with the new key, let a data migration copy, and drop the first '
    'in '
    'the contract.',
    check=_hits,
)
