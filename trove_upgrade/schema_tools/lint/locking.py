# SPDX-License-Identifier: Apache-2.0
"""Rules about what keeps the services waiting, whichever release they are of."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.changes import Change, Kind
from trove_upgrade.schema_tools.lint.rule import Hit, Rule, place
from trove_upgrade.schema_tools.lint.subject import Subject


def _index_locks(subject: Subject) -> Iterator[Hit]:
    for seen in subject.over_rows(Kind.CREATE_INDEX, Kind.ADD_UNIQUE):
        if seen.dialect == 'postgresql' and not seen.change.concurrently:
            yield Hit(
                place(seen),
                f'{seen.change.name or "an index"} is built over {seen.change.table} without '
                'CONCURRENTLY',
                seen,
            )
        elif seen.dialect in {'mysql', 'mariadb'} and seen.change.locks:
            yield Hit(
                place(seen),
                f'{seen.change.name or "an index"} is built over {seen.change.table} in a way that '
                'locks it',
                seen,
            )
    for seen in subject.over_rows(
        *(kind for kind in Kind if kind not in {Kind.CREATE_INDEX, Kind.ADD_UNIQUE})
    ):
        if seen.change.locks:
            yield Hit(
                place(seen), f'the statement asks for a lock on {seen.change.table} itself', seen
            )


def _invalid_index(subject: Subject) -> Iterator[Hit]:
    dropped: list[Change] = []
    for seen in subject.seen:
        change = seen.change
        # ensured: ensure_index_online asks the server whether there is one
        if seen.dialect != 'postgresql' or seen.ensured:
            continue
        if change.kind is Kind.DROP_INDEX and change.guarded:
            dropped.append(change)
        elif (
            change.kind is Kind.CREATE_INDEX
            and change.concurrently
            and change.name not in {one.name for one in dropped}
        ):
            yield Hit(
                place(seen),
                f'{change.name} is built CONCURRENTLY, and nothing drops what a killed build has '
                'left',
                seen,
            )


def _data_changed(subject: Subject) -> Iterator[Hit]:
    for seen in subject.seen:
        change = seen.change
        many = change.kind in {Kind.UPDATE, Kind.DELETE} and change.table not in subject.new_tables
        if many or (change.kind is Kind.INSERT and change.from_query):
            yield Hit(
                f'{change.kind} {change.table}',
                f'rows of {change.table} are changed by a schema revision',
                seen,
            )


RULES = (
    Rule(
        code='INDEX_LOCKS_WRITERS',
        why='Every writer of the table waits until the index is built; on PostgreSQL that is so '
        'unless it is built CONCURRENTLY.',
        instead='Use ops.ensure_index_online, which builds it beside the writers.',
        check=_index_locks,
    ),
    Rule(
        code='INVALID_INDEX_LEFT',
        why='A build with CONCURRENTLY that is killed leaves an index that is INVALID: it costs '
        'every write, serves no query, and IF NOT EXISTS takes it for a finished one.',
        instead='Use ops.ensure_index_online, which drops it first; in SQL of your own put DROP '
        'INDEX CONCURRENTLY IF EXISTS before.',
        check=_invalid_index,
    ),
    Rule(
        code='DATA_CHANGED',
        why='The whole table is changed in one transaction: its locks, its undo log and its '
        'replicas grow with the rows, and a killed run begins again.',
        instead='Write a data migration, which works in batches beside the services.',
        check=_data_changed,
    ),
)
