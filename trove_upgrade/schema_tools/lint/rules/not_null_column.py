# SPDX-License-Identifier: Apache-2.0
"""A column that is NOT NULL without a server default, which older services do not name."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule, place
from trove_upgrade.schema_tools.lint.subject import Subject
from trove_upgrade.schema_tools.sql.changes import Kind


def _hits(subject: Subject) -> Iterator[Hit]:
    if subject.old_services_run:
        for seen in subject.over_rows(Kind.ADD_COLUMN):
            if seen.change.not_null and not seen.change.default:
                yield Hit(
                    place(seen),
                    f'column {place(seen)} is added NOT NULL and has no server default',
                    seen,
                )


RULE = Rule(
    code='NOT_NULL_COLUMN',
    why='Services of the release before go on inserting rows, and do not name the column: every '
    'insert of theirs fails.',
    instead='Add it nullable, or with a server default. Let a data migration fill it, and set NOT '
    'NULL in the contract.',
    check=_hits,
)
