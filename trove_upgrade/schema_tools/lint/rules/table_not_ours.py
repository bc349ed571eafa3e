# SPDX-License-Identifier: Apache-2.0
"""A change of a table that is another project's, or of none that is known."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule
from trove_upgrade.schema_tools.lint.subject import Subject
from trove_upgrade.schema_tools.sql.changes import Kind

_OF_NO_TABLE = {Kind.SESSION, Kind.UNKNOWN}


def _hits(subject: Subject) -> Iterator[Hit]:
    for seen in subject.seen:
        change = seen.change
        if change.kind in _OF_NO_TABLE or (change.kind is Kind.COMMENT and not change.table):
            continue
        table = subject.table_of(change)
        if not table:
            yield Hit(
                change.name, f'{change.name or "what is named"} stands on no table of ours', seen
            )
        elif table in subject.others:
            yield Hit(
                table,
                f"{table} is the name of another project's table, or of a table of Alembic's own",
                seen,
            )
        elif table not in subject.ours:
            yield Hit(table, f'no revision of this chain has made {table}', seen)


RULE = Rule(
    code='TABLE_NOT_OURS',
    why='Another project stands in the same database, and changes its tables by itself.',
    instead='Keep what belongs to it in a table of ours, found by its id.',
    check=_hits,
)
