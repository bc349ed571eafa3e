# SPDX-License-Identifier: Apache-2.0
"""An index that is built while writers wait, or a lock that a statement asks for."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule, place
from trove_upgrade.schema_tools.lint.subject import Subject
from trove_upgrade.schema_tools.sql.changes import Kind


def _hits(subject: Subject) -> Iterator[Hit]:
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


RULE = Rule(
    code='INDEX_LOCKS_WRITERS',
    why='Every writer of the table waits until the index is built; on PostgreSQL that is so '
    'unless it is built CONCURRENTLY.',
    instead='Use ops.ensure_index_online, which builds it beside the writers.',
    check=_hits,
)
