# SPDX-License-Identifier: Apache-2.0
"""An index built CONCURRENTLY where a killed build may have left an invalid one."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule, place
from trove_upgrade.schema_tools.lint.subject import Subject
from trove_upgrade.schema_tools.sql.changes import Change, Kind


def _hits(subject: Subject) -> Iterator[Hit]:
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


RULE = Rule(
    code='INVALID_INDEX_LEFT',
    why='A build with CONCURRENTLY that is killed leaves an index that is INVALID: it costs every '
    'write, serves no query, and IF NOT EXISTS takes it for a finished one.',
    instead='Use ops.ensure_index_online, which drops it first; in SQL of your own put DROP INDEX '
    'CONCURRENTLY IF EXISTS before.',
    check=_hits,
)
