# SPDX-License-Identifier: Apache-2.0
"""Rules about removals from services that still use a thing."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.changes import Kind
from trove_upgrade.schema_tools.lint.rule import Hit, Rule, place
from trove_upgrade.schema_tools.lint.subject import Subject


def _dropped(subject: Subject) -> Iterator[Hit]:
    if subject.old_services_run:
        for seen in subject.over_rows(Kind.DROP_TABLE, Kind.DROP_COLUMN):
            what = 'table' if seen.change.kind is Kind.DROP_TABLE else 'column'
            yield Hit(place(seen), f'{what} {place(seen)} is dropped', seen)


def _renamed(subject: Subject) -> Iterator[Hit]:
    for seen in subject.over_rows(Kind.RENAME_TABLE, Kind.RENAME_COLUMN):
        is_table = seen.change.kind is Kind.RENAME_TABLE
        about = seen.change.table if is_table else place(seen)
        yield Hit(
            about,
            f'{"table" if is_table else "column"} {about} becomes '
            f'{seen.change.new_name or "another name"}',
            seen,
        )


def _index_dropped(subject: Subject) -> Iterator[Hit]:
    """Not where the same index is made again: that clears away what a killed build has left."""
    made = {seen.change.name for seen in subject.seen if seen.change.kind is Kind.CREATE_INDEX}
    if not subject.old_services_run:
        return
    for seen in subject.over_rows(Kind.DROP_INDEX, Kind.DROP_CONSTRAINT):
        if seen.change.name not in made:
            table = subject.table_of(seen.change)
            yield Hit(
                f'{table}.{seen.change.name}',
                f'{seen.change.name} of {table or "no table of ours"} is dropped',
                seen,
            )


RULES = (
    Rule(
        code='DROPPED_IN_EXPAND',
        why='Services of the release before still read and write it: every statement of theirs '
        'that names it fails.',
        instead='Drop it in the contract, when they are gone.',
        check=_dropped,
    ),
    Rule(
        code='RENAMED',
        why='Some service that runs knows one name only: in an expand that of the release before, '
        'in a contract that of this one.',
        instead='Add the new name, let a data migration copy while both are written, and drop the '
        'old one in the contract.',
        check=_renamed,
    ),
    Rule(
        code='INDEX_DROPPED',
        why='Services of the release before count on it: on its speed, or on what it forbids.',
        instead='Drop it in the contract, when they are gone.',
        check=_index_dropped,
    ),
)
