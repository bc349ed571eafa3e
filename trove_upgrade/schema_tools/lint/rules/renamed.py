# SPDX-License-Identifier: Apache-2.0
"""A table or a column under another name, of which some service knows one only."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule, place
from trove_upgrade.schema_tools.lint.subject import Subject
from trove_upgrade.schema_tools.sql.changes import Kind


def _hits(subject: Subject) -> Iterator[Hit]:
    for seen in subject.over_rows(Kind.RENAME_TABLE, Kind.RENAME_COLUMN):
        is_table = seen.change.kind is Kind.RENAME_TABLE
        about = seen.change.table if is_table else place(seen)
        yield Hit(
            about,
            f'{"table" if is_table else "column"} {about} becomes '
            f'{seen.change.new_name or "another name"}',
            seen,
        )


RULE = Rule(
    code='RENAMED',
    why='Some service that runs knows one name only: in an expand that of the release before, in '
    'a contract that of this one.',
    instead='Add the new name, let a data migration copy while both are written, and drop the '
    'old one '
    'in the contract.',
    check=_hits,
)
