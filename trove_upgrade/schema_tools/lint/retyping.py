# SPDX-License-Identifier: Apache-2.0
"""Columns that get another type under the services that write them."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.subject import Seen, Subject, dialect_of
from trove_upgrade.schema_tools.lint.types import Widening, compare
from trove_upgrade.schema_tools.sql.changes import Kind


def retyped(subject: Subject, *outcomes: Widening) -> Iterator[tuple[Seen, str]]:
    """Yield those of these outcomes, with what the type was before."""
    if not subject.old_services_run:
        return
    for seen in subject.over_rows(Kind.SET_TYPE):
        column = subject.column_before(seen.change)
        if column is None:
            if (
                Widening.OTHER in outcomes
                and (seen.change.table, seen.change.name) not in subject.new_columns
            ):
                yield seen, 'a type that the linter does not know'
            continue
        old = str(column.type.compile(dialect=dialect_of(seen.dialect)))
        if compare(old, seen.change.type, seen.dialect) in outcomes:
            yield seen, old
